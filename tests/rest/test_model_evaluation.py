"""Evaluations over REST and GraphQL: labelled rows as a file, or as a version that is there; who may, and what stays."""

import csv
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import update
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.model.table import Model
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.engines.tabular.files import book
from tests.factories.account import browser, serving
from tests.factories.dataset import staged_files
from tests.factories.snapshot import snapshot
from tests.factories.world import ROW, World, content, world

PROMISE = {"metric": "auc", "value": 0.5, "low": 0.4, "high": 1.0, "level": 0.9, "rows": 120, "holdout_rows": 24}
NARROW = {**PROMISE, "metric": "accuracy", "value": 0.001, "low": 0.0, "high": 0.002}


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[World, AsyncClient]]:
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        async with database.transaction() as session:
            chosen = update(Model).where(col(Model.id) == UUID(made.ids["model"]))
            await session.execute(chosen.values(metric_intervals=[PROMISE, NARROW]))
        yield made, client


async def test_a_file_and_a_version_are_held_against_the_promise(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    path = f"/api/models/{made.ids['model']}"
    sent = await client.post(f"{path}/evaluate", files={"file": ("later.csv", content(90))})
    assert sent.status_code == 201, sent.text
    found = sent.json()["evaluation"]
    assert sent.json()["id"] == sent.json()["evaluation_id"] == found["id"]
    assert (found["filename"], found["rows"], found["rows_used"]) == ("later.csv", 90, 90)
    kept = {one["metric"]: one["holds"] for one in found["promises"]}
    assert kept == {"auc": True, "accuracy": False}
    assert found["interval_coverage"] is None
    assert sum(map(sum, found["curves"]["confusion_matrix"]["matrix"])) == 90
    assert staged_files(made.services) == []
    sheets = book(Notes=[["note"], ["old"]], Later=csv.reader(content(90).decode().splitlines()))
    of_sheet = await client.post(f"{path}/evaluate", files={"file": ("later.xlsx", sheets), "sheet": (None, "later")})
    assert of_sheet.status_code == 201, of_sheet.text
    assert of_sheet.json()["evaluation"]["promises"] == found["promises"]
    named = await client.post(f"{path}/evaluate", json={"dataset_version_id": made.ids["version"]})
    assert named.status_code == 201, named.text
    assert named.json()["evaluation"]["dataset_version_id"] == made.ids["version"]
    assert "rows the model learned from" in named.json()["evaluation"]["notes"][0]
    listed = (await client.get(f"{path}/evaluations")).json()
    assert (listed["total"], [one["id"] for one in listed["items"]]) == (
        3,
        [one.json()["id"] for one in (named, of_sheet, sent)],
    )
    assert listed["items"][2] == found
    query = "query($id: ID!) { model(id: $id) { evaluations(first: 1) { totalCount nodes { promises { metric holds } } } } }"
    answer = (await client.post("/graphql", json={"query": query, "variables": {"id": made.ids["model"]}})).json()
    assert answer["data"]["model"]["evaluations"]["totalCount"] == 3
    assert (await client.delete(f"/api/models/{made.ids['spare_model']}")).status_code == 200


async def test_a_refusal_changes_nothing(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    path = f"/api/models/{made.ids['model']}/evaluate"
    version, foreign = made.ids["version"], made.foreign
    async with snapshot(made.database) as before:
        said = await before.digest()
        for address, body, status, says in (
            (path, {}, 422, "dataset_version_id or an upload_id"),
            (path, {"dataset_version_id": version, "upload_id": version}, 422, "dataset_version_id or an upload_id"),
            (path, {"dataset_version_id": foreign["version"]}, 404, "Dataset version not found"),
            (path, {"dataset_version_id": version, "sheet": "1"}, 422, "sheet"),
            (path, {"upload_id": version}, 404, "Upload not found"),
            (f"/api/models/{foreign['model']}/evaluate", {"dataset_version_id": version}, 404, "Model not found"),
        ):
            refused = await client.post(address, json=body)
            assert refused.status_code == status, refused.text
            assert says in refused.text
        without = b"\n".join(line.rsplit(b",", 1)[0] for line in content(50).splitlines())
        refused = await client.post(path, files={"file": ("later.csv", without)})
        assert refused.status_code == 422
        assert "no column 'left'" in refused.text
        refused = await client.post(f"/api/models/{foreign['model']}/evaluate", files={"file": ("later.csv", content())})
        assert refused.status_code == 404
        refused = await client.post(path, json={"dataset_version_id": version}, headers=made.headers("viewer"))
        assert refused.status_code == 403
        assert await before.digest() == said
    assert staged_files(made.services) == []


async def test_a_model_of_before_has_no_intervals(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    refused = await client.post(f"/api/models/{made.ids['model']}/predict", json={"inputs": ROW, "options": {"interval": 0.9}})
    assert refused.status_code == 422
    assert "trained before intervals were kept" in refused.json()["message"]
    assert refused.json()["detail"][0]["loc"] == ["body", "options", "interval"]
    assert (await client.get(f"/api/models/{made.ids['model']}")).json()["threshold"] is None


async def test_a_version_that_is_gone_leaves_its_evaluation(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    spare = await client.get(f"/api/datasets/{made.ids['spare_dataset']}/versions")
    version = spare.json()["items"][0]["id"]
    path = f"/api/models/{made.ids['model']}"
    answer = await client.post(f"{path}/evaluate", json={"dataset_version_id": version})
    assert answer.status_code == 201, answer.text
    assert answer.json()["evaluation"]["notes"] == []
    async with made.database.read() as session:
        assert await session.get(DatasetVersion, UUID(version)) is not None
    assert (await client.delete(f"/api/datasets/{made.ids['spare_dataset']}")).status_code == 200
    listed = (await client.get(f"{path}/evaluations")).json()["items"]
    assert [one["dataset_version_id"] for one in listed] == [None]
