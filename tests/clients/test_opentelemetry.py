"""Traces reach a collector of OpenTelemetry: a request, its operation, and the job it queued, in one trace."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.tools import HERE, python_with
from tests.factories.experiment import laboratory
from tests.stack import ROOT, beside

PACKAGES = ("opentelemetry-sdk>=1.45,<2", "opentelemetry-exporter-otlp-proto-http>=1.45,<2")
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "a-table-nobody-knows"


@pytest.mark.slow
def test_a_server_that_cannot_send_traces_says_what_is_missing(tmp_path: Path) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "DATA_DIR": str(tmp_path)}
    for module in ("asgi", "workers"):
        ended = subprocess.run(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env={**os.environ, **endpoint, "REDIS_URL": "redis://127.0.0.1:1"},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert b"EXTRAS=otel" in ended.stderr


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[tuple[Path, int, Path]]:
    """The environment with the SDK, the port, and the file of spans."""
    python, port, spans = python_with(*PACKAGES), tmp_path / "port", tmp_path / "spans"
    process = subprocess.Popen([str(python), str(HERE / "programs" / "collector.py"), str(port), str(spans)])
    try:
        until(lambda: port.exists() and port.read_text().isdigit())
        yield next((python.parent.parent / "lib").glob("python*/site-packages")), int(port.read_text()), spans
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def read(spans: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in spans.read_text().splitlines()] if spans.exists() else []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_request_its_operation_and_its_job_are_one_trace(
    addresses: dict[str, str], worker_id: str, tmp_path: Path, collector: tuple[Path, int, Path]
) -> None:
    packages, port, spans = collector
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)]),
    }
    with beside(addresses, f"{worker_id}otel", tmp_path, **more) as stack, laboratory(stack) as lab:
        began = lab.client.post(
            "/api/experiments",
            headers={"traceparent": f"00-{TRACE}-{CALLER}-01"},
            json={
                "project_id": lab.project_id,
                "dataset_version_id": lab.version_id,
                "name": SECRET,
                "target_column": "label",
                "problem_type": "classification",
                "config": {"max_models": 1, "max_runtime_secs": 5},
            },
        )
        assert began.status_code in {200, 201, 202}, began.text
        asked = lab.client.post("/graphql", json={"query": "query Mine { projects { nodes { id } } }"})
        assert asked.status_code == 200
        until(lambda: any(one["name"].startswith("job ") and one["trace"] == TRACE for one in read(spans)), 120)
        until(lambda: any(one["told"].get("graphql.operation.name") == "Mine" for one in read(spans)))
    found = read(spans)
    mine = [one for one in found if one["trace"] == TRACE]
    request = next(one for one in mine if one["name"] == "POST /api/experiments")
    assert (request["parent"], request["kind"], request["of"]["service.name"]) == (CALLER, 2, "coreplexml-server")
    assert request["of"]["coreplex.part"] == "web"
    operation = next(one for one in mine if one["name"].startswith("graphql mutation"))
    assert operation["parent"] == request["id"]
    job = next(one for one in mine if one["name"].startswith("job "))
    assert (job["parent"], job["kind"]) == (operation["id"], 5)
    assert SECRET not in spans.read_text()
    assert not [one for one in found if "/ready" in one["name"]]
