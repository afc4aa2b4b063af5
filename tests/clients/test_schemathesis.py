"""Thousands of calls that schemathesis makes up from our OpenAPI: none is a 5xx, and each answer is one that is described."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rest_compat.export import PATH as DESCRIPTION
from tests.clients.tools import python_with, run
from tests.factories.experiment import Lab
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


def test_calls_about_things_that_are_there(stack: Stack, lab: Lab, tmp_path: Path) -> None:
    """All but those that end them."""
    body = {"model_id": lab.models[0]["id"], "name": "d", "stage": "staging"}
    deployment = lab.client.post(f"/api/mlops/projects/{lab.project_id}/deployments", json=body).json()["deployment_id"]
    experiment = lab.client.get(f"/api/experiments/{lab.experiment_id}").json()
    known = {
        **{"project_id": lab.project_id, "experiment_id": lab.experiment_id, "model_id": lab.models[0]["id"]},
        **{"deployment_id": deployment, "job_id": experiment["job_id"]},
        "dataset_id": lab.client.get("/api/datasets").json()["items"][0]["id"],
    }
    assert calls(stack, lab.key, tmp_path, known, "--exclude-method", "DELETE") > 1000
