"""What changes below a deployment while it answers: its model's file on the disk, and whether there is one at all."""

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.factories.account import bearer
from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import act, deploy, one, project
from tests.rest.test_rollout import until
from tests.stack import ROOT, Stack

__all__ = ["project"]
CALLERS = 4


def fetched(stack: Stack, query: str, *values: object) -> list[asyncpg.Record]:
    async def fetch() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(stack.database_url)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def file_of(lab: Lab, model: int) -> Path:
    query = "SELECT storage_key FROM artifacts a JOIN models m ON m.artifact_id = a.id WHERE m.id::text = $1"
    (found,) = fetched(lab.stack, query, lab.models[model]["id"])
    return lab.stack.data_dir / "storage" / found["storage_key"]


def doctor(stack: Stack) -> str:
    command = [sys.executable, "-m", "coreplex.command.main", "doctor"]
    done = subprocess.run(command, env=stack.environment, capture_output=True, text=True, cwd=ROOT, check=False)
    return next(line for line in done.stdout.splitlines() if "served models" in line)


@pytest.mark.slow
def test_a_changed_model_file_is_not_loaded(project: Lab) -> None:
    """Who has it loaded answers on; a process that would have to load it refuses, until the file is as it was."""
    made, stack = deploy(project, "leaf"), project.stack
    path = file_of(project, 0)
    whole, expected = path.read_bytes(), act(project, made, "predict", inputs=ROW)["predictions"]
    try:
        path.write_bytes(whole[:-50] + bytes(50))
        assert act(project, made, "predict", inputs=ROW)["predictions"] == expected
        refused = [act(project, made, "predict", 409, inputs=[ROW] * 30, options={"explain": {}})]  # in a child that loads it
        stack.kill("web")
        stack.start("web")
        refused += [act(project, made, "predict", 409, inputs=rows) for rows in (ROW, [ROW] * 200)]
        for answer in refused:
            assert answer["code"] == "damaged"
            assert "changed since it was written" in answer["detail"]
        assert "stored_file_damaged" in (stack.folder / "web.log").read_text()
        said = doctor(stack)
        assert said.startswith("problem")
        assert f"“leaf” ({made}): {path} was changed" in said
        path.unlink()
        assert "cannot be read (No such file" in doctor(stack)
        assert act(project, made, "predict", 409, inputs=ROW)["code"] == "damaged"
    finally:
        path.write_bytes(whole)
    assert act(project, made, "predict", inputs=ROW)["predictions"] == expected
    assert doctor(stack).startswith("ok")


def asking(lab: Lab, deployment: str, during: Callable[[], None]) -> Counter[int]:
    """The statuses of predictions that several callers make while something happens, and a moment longer."""
    statuses, ended = Counter[int](), threading.Event()

    def call() -> None:
        with httpx.Client(base_url=lab.stack.base_url, headers=bearer(lab.key), timeout=30) as client:
            while not ended.is_set():
                statuses[client.post(f"{one(deployment)}/predict", json={"inputs": [ROW] * 20}).status_code] += 1

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    time.sleep(0.5)
    during()
    time.sleep(0.3)
    ended.set()
    for caller in callers:
        caller.join()
    return statuses


def delete(lab: Lab, deployment: str) -> None:
    act(lab, deployment, "deactivate")
    assert lab.client.delete(one(deployment)).status_code == 200


def deleted_under_predictions(lab: Lab, deployment: str, change: Callable[[], None]) -> None:
    """Answered, then 409 while it is inactive, then 404, and nothing else; its entries of the log go by themselves."""
    statuses = asking(lab, deployment, change)
    assert set(statuses) <= {200, 404, 409}, statuses
    assert min(statuses[200], statuses[404]) > 0
    fetched(lab.stack, "UPDATE schedules SET next_at = now() WHERE name = 'inference_log'")
    query = "SELECT count(*) FROM inference_logs WHERE deployment_id::text = $1"
    until(lambda: fetched(lab.stack, query, deployment)[0][0], lambda left: not left, 30)


def test_a_deployment_is_deleted_under_predictions(project: Lab) -> None:
    gone, kept = deploy(project, "gone"), deploy(project, "kept", "staging")
    request = act(project, kept, "predict", inputs=ROW)["request_id"]
    deleted_under_predictions(project, gone, lambda: delete(project, gone))
    entries = until(lambda: project.client.get(f"{one(kept)}/logs").json()["items"], bool)
    assert [entry["request_id"] for entry in entries] == [request]


@pytest.mark.slow
def test_a_project_is_deleted_under_predictions(own_lab: Lab) -> None:
    made = deploy(own_lab)

    def remove() -> None:
        act(own_lab, made, "deactivate")
        assert own_lab.client.delete(f"/api/projects/{own_lab.project_id}").status_code == 200

    deleted_under_predictions(own_lab, made, remove)
