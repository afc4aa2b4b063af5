"""Thousands of calls that schemathesis makes up from our OpenAPI: none is a 5xx, and each answer is one that is described."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rest_compat.export import PATH as DESCRIPTION
from tests.clients.tools import python_with, run
from tests.factories.experiment import ROW, Lab
from tests.factories.experiment import trained as laboratory
from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
TOOL = ("schemathesis==4.32.5",)
CASES = int(os.environ.get("SCHEMATHESIS_CASES", "40"))
"""For each operation and phase."""
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def calls(stack: Stack, key: str, folder: Path, known: Mapping[str, str], *more: str) -> int:
    """Make up calls, in which `known` parameters of paths have these values, and judge the answers. How many there were."""
    settings = ["[parameters]", *(f'"path.{name}" = "{value}"' for name, value in known.items())]
    (folder / "schemathesis.toml").write_text("\n".join(settings) + "\n")
    tool = str(python_with(*TOOL).parent / "st")
    command = [tool, "run", str(DESCRIPTION), "--url", stack.base_url, "-H", f"Authorization: Bearer {key}"]
    command += [
        "--phases",
        "coverage,fuzzing",
        "--checks",
        CHECKS,
        "-n",
        str(CASES),
        "--continue-on-failure",
        "--request-timeout",
        "60",
        *more,
    ]
    said = run([*command, "--seed", "9", "--warnings", "off", "--no-color"], folder, seconds=3000)
    found = re.search(r"([\d,]+) generated", said)
    assert found, said
    return int(found[1].replace(",", ""))


@pytest.fixture
def lab(stack: Stack) -> Iterator[Lab]:
    with laboratory(stack) as made:
        yield made


def test_calls_about_things_that_are_not_there(stack: Stack, tmp_path: Path) -> None:
    assert calls(stack, stack.key(), tmp_path, {}) > 1000


def watched(lab: Lab) -> dict[str, str]:
    """A deployment that was asked, and one of everything that watches it, by the names of their ids."""

    def post(path: str, **body: object) -> dict[str, Any]:
        answer = lab.client.post(f"/api/mlops/{path}", json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    project, (best, other) = f"projects/{lab.project_id}", (model["id"] for model in lab.models[:2])
    served = [
        post(f"{project}/deployments", model_id=model, name=model, stage=stage)["deployment_id"]
        for model, stage in ((best, "production"), (best, "staging"), (other, "staging"))
    ]
    one = f"deployments/{served[0]}"
    for _ in range(30):
        post(f"{one}/predict", inputs=[ROW] * 20)
    test = post(f"{project}/ab-tests", name="Which", deployment_a_id=served[1], deployment_b_id=served[2])["ab_test"]["id"]
    post(f"ab-tests/{test}/start")
    lab.client.put(f"/api/mlops/{one}/retrain-policy", json={"schedule": "0 3 * * *"}).raise_for_status()
    return {
        "deployment_id": served[0],
        "alert_id": post(f"{project}/alerts", name="Moved", deployment_id=served[0], kind="drift")["id"],
        "webhook_id": post(f"{project}/webhooks", url="https://receiver.example/")["webhook"]["id"],
        "ab_test_id": test,
        "replay_id": post(f"{one}/replays", model_id=other)["replay_id"],
        "metric_change_id": post(f"{one}/metric-changes", metric="accuracy")["metric_change_id"],
    }


def test_calls_about_things_that_are_there(stack: Stack, lab: Lab, tmp_path: Path) -> None:
    """All but those that end them."""
    experiment = lab.client.get(f"/api/experiments/{lab.experiment_id}").json()
    known = {
        **{"project_id": lab.project_id, "experiment_id": lab.experiment_id, "model_id": lab.models[0]["id"]},
        **watched(lab),
        "job_id": experiment["job_id"],
        "dataset_id": lab.client.get("/api/datasets").json()["items"][0]["id"],
    }
    assert calls(stack, lab.key, tmp_path, known, "--exclude-method", "DELETE") > 1000
