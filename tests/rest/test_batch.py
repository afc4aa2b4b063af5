"""Batches of predictions over REST and GraphQL: a file or a dataset version goes in, each of its rows comes out."""

import io
from collections.abc import AsyncIterator
from typing import Any

import polars as pl
import pytest
from httpx import AsyncClient, Response

from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving
from tests.factories.clock import work
from tests.factories.world import TABLE, TARGET, World, content, world

CREATE = """mutation($input: CreatePredictionBatchInput!) { createPredictionBatch(input: $input) { predictionBatch {
  id status rowCount receipt { inputRowCount } job { id type } datasetVersion { id } model { id } options
  warnings { message } } } }"""
READ = """query($id: ID!) { predictionBatch(id: $id) { status progress error { reason message } rowCount predictedRowCount
  refusedRowCount receipt { inputRowCount predictedRowCount refusedRowCount inputSha256 outputSha256 modelSha256 }
  resultArtifact { kind sha256 } file(format: PARQUET) { url filename } columnWarnings { kind column rowCount } } }"""
PREDICT = """mutation($input: PredictModelInput!) { predictModel(input: $input) { predictions {
  prediction probability probabilities { label probability } } } }"""


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[World, AsyncClient]]:
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        client.timeout = 60  # type: ignore[assignment]
        yield made, client


async def send(client: AsyncClient, made: World, data: bytes, name: str = "later.csv", **form: str) -> Response:
    return await client.post(f"/api/models/{made.ids['model']}/batch-predict", data=form, files={"file": (name, data)})


async def finished(client: AsyncClient, made: World, answer: Response) -> dict[str, Any]:
    """The batch, once its job has run."""
    assert answer.status_code == 202, answer.text
    await work(made.services)
    batch: dict[str, Any] = (await client.get(f"/api/predictions/batches/{answer.json()['id']}")).json()["batch"]
    return batch


async def download(client: AsyncClient, batch: dict[str, Any], format: str = "parquet") -> bytes:
    answer = await client.get(f"/api/predictions/batches/{batch['id']}/download", params={"format": format})
    assert answer.status_code == 200, answer.text
    return answer.content


async def ask(client: AsyncClient, query: str, **variables: Any) -> dict[str, Any]:
    body = (await client.post("/graphql", json={"query": query, "variables": variables})).json()
    assert "errors" not in body, body
    found: dict[str, Any] = body["data"]
    return found


async def test_a_file_is_predicted_as_its_rows_one_by_one(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    answer = await send(client, made, content(90))
    said = answer.json()
    assert (said["status"], said["id"], said["job_id"]) == ("queued", said["batch_id"], said["batch"]["job_id"])
    batch = await finished(client, made, answer)
    assert (batch["status"], batch["row_count"], batch["refused_row_count"]) == ("succeeded", 90, 0), batch
    table = pl.read_parquet(await download(client, batch))
    assert table.columns[: TABLE.width + 1] == [*TABLE.columns, TARGET]
    assert table.columns[-5:] == ["prediction", "probability", "probability_no", "probability_yes", "prediction_error"]
    rows = [
        {key: value for key, value in row.items() if value} for row in pl.read_csv(content(90), infer_schema=False).to_dicts()
    ]
    single = await client.post(f"/api/models/{made.ids['model']}/predict", json={"inputs": rows})
    for row, alone in zip(table.to_dicts(), single.json()["predictions"], strict=True):
        assert row["prediction"] == alone["prediction"]
        assert row["probability"] == pytest.approx(alone["probability"], abs=1e-9)
        assert row["probability_no"] == pytest.approx(alone["probabilities"]["no"], abs=1e-9)
    job = (await client.get(f"/api/jobs/{said['job_id']}")).json()["job"]
    assert (job["type"], job["status"], job["progress"]) == ("batch_predict", "succeeded", 100)


async def test_a_dataset_version_is_predicted_by_graphql(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    wanted = {"modelId": made.ids["model"], "datasetVersionId": made.ids["version"], "options": {"threshold": 0.0}}
    batch = (await ask(client, CREATE, input=wanted))["createPredictionBatch"]["predictionBatch"]
    assert (batch["status"], batch["receipt"], batch["job"]["type"]) == ("QUEUED", None, "BATCH_PREDICT")
    await work(made.services)
    found = (await ask(client, READ, id=batch["id"]))["predictionBatch"]
    assert (found["status"], found["progress"], found["error"]) == ("SUCCEEDED", 100, None), found
    assert found["receipt"]["outputSha256"] == found["resultArtifact"]["sha256"]
    file = await client.get(found["file"]["url"])
    table = pl.read_parquet(io.BytesIO(file.content))
    assert set(table["prediction"]) == {"yes"}
    assert table.height == found["rowCount"] == found["predictedRowCount"]
