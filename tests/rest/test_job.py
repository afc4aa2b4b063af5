"""Jobs over REST (contract B.13): lists, one, its log, its end."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from coreplexml import CorePlexMLClient
from httpx import AsyncClient

from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving
from tests.factories.experiment import LONG, Lab
from tests.factories.world import World, world

JOB = {
    *("id", "type", "job_type", "status", "progress", "message", "project_id", "entity_type", "entity_id", "payload", "result"),
    *("error", "attempts", "created_at", "started_at", "finished_at"),
}


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[World, AsyncClient]]:
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        yield made, client


async def test_lists_and_filters(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab

    async def count(**params: str) -> int:
        answer = await client.get("/api/jobs", params=params)
        assert answer.status_code == 200, answer.text
        assert all(set(item) == JOB for item in answer.json()["items"])
        return int(answer.json()["total"])

    assert await count() == await count(project_id=made.ids["project"]) == await count(status="queued") == 2
    assert await count(job_type="automl_train") == await count(job_type="batch_predict") == 1
    assert await count(status="running") == await count(job_type="probe") == 0
    for identity in ("nonsense", str(uuid4()), made.foreign["project"]):
        for kind in ("jobs", "datasets", "experiments", "models"):
            answer = await client.get(f"/api/{kind}", params={"project_id": identity})
            assert (answer.status_code, answer.json()["detail"]) == (404, "Project not found"), (kind, identity)
    for sort in ("created_at", "started_at", "finished_at", "status", "type"):
        assert await count(sort_field=sort, sort_direction="asc") == 2
    for params in (
        {"status": "asleep"},
        {"status": "cancelled"},
        {"job_type": "magic"},
        {"sort_field": "payload"},
        {"limit": "0"},
    ):
        assert (await client.get("/api/jobs", params=params)).status_code == 422, params


async def test_a_waiting_job_is_cancelled_at_once(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    one = f"/api/jobs/{made.ids['job']}"
    got = (await client.get(one)).json()["job"]
    assert (got["status"], got["job_type"], got["entity_type"]) == ("queued", "automl_train", "experiment")
    assert got["entity_id"] == made.ids["waiting_experiment"]
    ended = (await client.post(f"{one}/cancel")).json()["job"]
    assert (ended["status"], ended["error"]) == ("failed", "cancelled")
    assert (await client.post(f"{one}/cancel")).status_code == 409
    experiment = (await client.get(f"/api/experiments/{made.ids['waiting_experiment']}")).json()
    assert (experiment["status"], experiment["error"]) == ("failed", "cancelled")
    for kind, identity in (("jobs", made.ids["job"]), ("experiments", made.ids["waiting_experiment"])):
        found = (await client.get(f"/api/{kind}", params={"status": "failed"})).json()["items"]
        assert identity in [item["id"] for item in found], "cancelled is failed in REST"
        assert identity not in [i["id"] for i in (await client.get(f"/api/{kind}", params={"status": "queued"})).json()["items"]]
        refused = (await client.get(f"/api/{kind}", params={"status": "cancelled"})).json()
        assert refused["detail"][0]["loc"] == ["query", "status"]
        assert refused["message"] == "status: must be one of queued, running, succeeded, failed"
    timeline = (await client.get(f"/api/projects/{made.ids['project']}/timeline")).json()
    said = {entry["type"]: entry["message"] for entry in timeline["events"]}
    assert said["job.cancelled"] == "The job of experiment “waiting” was cancelled."


def test_a_running_job(trained: Lab) -> None:
    made = trained.start(config=LONG, name="Cancelled by its job")
    trained.until(made, lambda status: status["models_trained"] > 0)
    job = trained.status(made)["job_id"]
    running = trained.client.get(f"/api/jobs/{job}").json()["job"]
    assert (running["status"], running["attempts"]) == ("running", 1)
    assert running["started_at"]
    logs = trained.client.get(f"/api/jobs/{job}/logs").json()
    assert logs["logs"] == logs["items"]
    assert logs["total"] == len(logs["logs"]) > 0
    assert logs["logs"] == trained.client.get(f"/api/experiments/{made}/logs").json()["logs"][: len(logs["logs"])]
    assert trained.client.post(f"/api/jobs/{job}/cancel").status_code == 200
    assert trained.wait(made)["error"] == "cancelled"
    assert trained.client.get(f"/api/jobs/{job}").json()["job"]["status"] == "failed"
    assert trained.client.delete(f"/api/experiments/{made}").status_code == 200


def test_the_published_client(trained: Lab) -> None:
    client = CorePlexMLClient(base_url=trained.stack.base_url, api_key=trained.key)
    job = trained.status(trained.experiment_id)["job_id"]
    found = client._http.get(f"/api/jobs/{job}")["job"]
    assert (found["status"], found["progress"]) == ("succeeded", 100)
