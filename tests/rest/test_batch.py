"""Batches of predictions over REST and GraphQL: a file or a dataset version goes in, each of its rows comes out."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from httpx import AsyncClient, Response
from openpyxl import load_workbook
from sqlalchemy import text, update
from sqlmodel import col

from coreplex.model.table import Model
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving
from tests.factories.clock import work
from tests.factories.dataset import staged_files, stored_files
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
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM jobs"))  # the world's own, which would train
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


async def test_every_line_of_a_file_is_a_line_of_every_format(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    lines = content(20).decode().splitlines()
    lines[3] += ",one too many"
    lines[5] = "=1+1,2"
    batch = await finished(client, made, await send(client, made, "\n".join(lines).encode()))
    receipt = batch["receipt"]
    assert (receipt["rows_in"], receipt["rows_out"], receipt["rows_refused"]) == (20, 18, 2)
    assert receipt["input_sha256"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    parquet = await download(client, batch)
    assert receipt["output_sha256"] == hashlib.sha256(parquet).hexdigest()
    table = pl.read_parquet(parquet)
    assert [place for place, error in enumerate(table["prediction_error"]) if error] == [2, 4]
    written = pl.read_csv(await download(client, batch, "csv"), infer_schema=False)
    assert written.columns == table.columns
    assert (written["amount"][4], written["prediction"].to_list()) == ("'=1+1", table["prediction"].to_list())
    book = load_workbook(io.BytesIO(await download(client, batch, "xlsx")))["data"]
    assert [cell.value for cell in book[1]] == table.columns
    assert book.max_row == 21


async def test_a_deployment_predicts_with_the_model_of_the_moment(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    path = f"/api/mlops/deployments/{made.ids['deployment']}"
    files = {"file": ("later.csv", content(30))}
    answer = await client.post(f"{path}/batch-predict", files=files, data={"options": '{"threshold": 0.0}'})
    moved = await client.post(f"{path}/rollback", json={"to_model_id": made.ids["spare_model"]})
    assert moved.status_code == 200, moved.text
    batch = await finished(client, made, answer)
    assert (batch["status"], batch["deployment_id"], batch["model_id"]) == (
        "succeeded",
        made.ids["deployment"],
        made.ids["model"],
    )
    assert set(pl.read_parquet(await download(client, batch))["prediction"]) == {"yes"}
    for idle in ("idle", "archived"):
        refused = await client.post(f"/api/mlops/deployments/{made.ids[idle]}/batch-predict", files=files)
        assert (refused.status_code, "only an active one predicts" in refused.json()["detail"]) == (409, True)
    assert staged_files(made.services) == []


async def test_what_is_asked_wrongly_is_refused_and_leaves_nothing(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    before, rows = stored_files(made.services), content(5)
    path = f"/api/models/{made.ids['model']}/batch-predict"
    wrong = {
        "no JSON": await send(client, made, rows, options="threshold=1"),
        "no object": await send(client, made, rows, options="[1]"),
        "beyond its range": await send(client, made, rows, options='{"threshold": 7}'),
        "of predict": await send(client, made, rows, options='{"contributions": 3}'),
        "of a canary": await send(client, made, rows, options='{"keys": ["a"]}'),
        "unknown under strict": await send(client, made, rows, options='{"strict": true, "treshold": 0.5}'),
        "no rows": await client.post(path, json={}),
        "two kinds of rows": await client.post(
            path, json={"dataset_version_id": made.ids["version"], "upload_id": made.ids["version"]}
        ),
        "of another project": await client.post(path, json={"dataset_version_id": made.foreign["version"]}),
    }
    assert {name: answer.status_code for name, answer in wrong.items()} == dict.fromkeys(wrong, 422) | {"of another project": 404}
    assert 'such as {"threshold": 0.4}' in wrong["no JSON"].text.replace("\\", "")
    assert "Did you mean 'threshold'?" in wrong["unknown under strict"].text
    stranger = await client.post(
        f"/api/models/{made.foreign['model']}/batch-predict", files={"file": ("later.csv", rows)}, headers=made.headers("viewer")
    )
    assert stranger.status_code == 404
    assert (stored_files(made.services), staged_files(made.services)) == (before, [])
    said = await send(client, made, rows, options='{"treshold": 0.5}')
    assert said.json()["warnings"] == ["options has no option 'treshold', which is ignored. Did you mean 'threshold'?"]


async def test_a_file_above_the_limit_is_told_the_other_ways(settings: Settings, database: Database) -> None:
    small = settings.model_copy(update={"max_batch_upload_bytes": 2_000})
    async with serving(small) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        answer = await send(client, made, content(120))
        assert (answer.status_code, staged_files(made.services)) == (413, [])
        assert all(word in answer.json()["detail"] for word in ("2,000 bytes", "as Parquet", "as a dataset"))
        sent = await client.post("/api/uploads", params={"filename": "later.csv"}, content=content(120))
        by_id = await client.post(f"/api/models/{made.ids['model']}/batch-predict", json={"upload_id": sent.json()["id"]})
        assert (by_id.status_code, by_id.json()["detail"]) == (413, answer.json()["detail"])


async def test_a_table_that_says_nothing_fails_with_a_reason(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    for data, told in ((b"amuont,colour\n1,red\n", "Did you mean 'amount'?"), (b"amount,age\n,\n,?\n", "None of the 2 rows")):
        batch = await finished(client, made, await send(client, made, data))
        assert (batch["status"], batch["receipt"], told in batch["error"]) == ("failed", None, True), batch
        refused = await client.get(f"/api/predictions/batches/{batch['id']}/download")
        assert (refused.status_code, told in refused.json()["detail"]) == (409, True)
    assert not any("/batches/" in name and "/input/" in name for name in stored_files(made.services))
    assert list((made.services.settings.data_dir / "batches").iterdir()) == []


async def test_its_end_is_told_to_webhooks_and_none_where_it_is_cancelled(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    done = await finished(client, made, await send(client, made, content(20)))
    failed = await finished(client, made, await send(client, made, b"amount,age\n,\n"))
    waiting = (await send(client, made, content(20))).json()
    assert (await client.post(f"/api/jobs/{waiting['job_id']}/cancel")).status_code in (200, 202)
    told = (await client.get(f"/api/mlops/webhooks/{made.ids['webhook']}/deliveries")).json()["items"]
    ends = {one["type"]: (one["subject"], one["data"]) for one in told if one["type"].startswith("prediction_batch.")}
    assert {kind: subject for kind, (subject, _) in ends.items()} == {
        "prediction_batch.succeeded": f"prediction_batch/{done['id']}",
        "prediction_batch.failed": f"prediction_batch/{failed['id']}",
    }
    data = ends["prediction_batch.succeeded"][1]
    assert data == {
        "message": "20 of 20 rows of “later.csv” were predicted.",
        "prediction_batch_id": done["id"],
        "status": "succeeded",
        "model_id": made.ids["model"],
    }


async def test_a_version_of_which_the_model_knows_no_column_is_refused_at_once(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    form = {"project_id": made.ids["project"], "name": "Others"}
    other = await client.post("/api/datasets/upload", data=form, files={"file": ("o.csv", b"amuont,colour\n1,red\n2,blue\n")})
    async with made.database.transaction() as session:
        features = [{"name": "amount", "type": "float"}, {"name": "age", "type": "integer"}]
        await session.execute(update(Model).where(col(Model.id) == UUID(made.ids["model"])).values(features=features))
    answer = await client.post(
        f"/api/models/{made.ids['model']}/batch-predict", json={"dataset_version_id": other.json()["version_id"]}
    )
    assert (answer.status_code, "Did you mean 'amount'?" in answer.text) == (422, True)


async def test_a_long_result_is_no_workbook(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    async with made.database.transaction() as session:
        await session.execute(text("UPDATE prediction_batches SET row_count = 200001"))
    answer = await client.get(f"/api/predictions/batches/{made.ids['batch']}/download", params={"format": "xlsx"})
    assert (answer.status_code, "take csv or parquet" in answer.text) == (422, True)
    assert (await client.get(f"/api/predictions/batches/{made.ids['batch']}/download")).status_code == 200


async def test_a_result_becomes_a_dataset_and_a_further_version(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    batch = await finished(client, made, await send(client, made, content(60)))
    saved = await client.post(f"/api/predictions/batches/{batch['id']}/dataset", json={"name": "Scored"})
    assert saved.status_code == 201, saved.text
    version = saved.json()["version"]
    assert (version["row_count"], version["source"]) == (60, "prediction")
    columns = (await client.get(f"/api/datasets/{saved.json()['dataset_id']}/columns")).json()["columns"]
    types = {one["name"]: one["type"] for one in columns}
    assert (types["probability"], types["amount"], types["prediction"]) == ("float", "float", "categorical")
    assert "prediction_error" not in types, "every row has a prediction: a column of nothing is nobody's data"
    again = await client.post(f"/api/predictions/batches/{batch['id']}/dataset", json={"dataset_id": saved.json()["dataset_id"]})
    assert (again.status_code, again.json()["version"]["version"]) == (201, 2)
    nameless = await client.post(f"/api/predictions/batches/{batch['id']}/dataset", json={})
    assert nameless.status_code == 422
    over = await client.post(
        f"/api/models/{made.ids['model']}/batch-predict", json={"dataset_version_id": saved.json()["version_id"]}
    )
    third = await finished(client, made, over)
    assert (third["status"], third["row_count"]) == ("succeeded", 60), third
    assert "'prediction' is called 'original_prediction'" in " ".join(third["warnings"])


async def test_a_batch_is_deleted_with_its_files_and_one_that_waits_is_ended(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    done = await finished(client, made, await send(client, made, content(10)))
    waiting = (await send(client, made, content(10))).json()
    for identity in (done["id"], waiting["id"]):
        assert (await client.delete(f"/api/predictions/batches/{identity}")).status_code == 200
        assert (await client.get(f"/api/predictions/batches/{identity}")).status_code == 404
    job = (await client.get(f"/api/jobs/{waiting['job_id']}")).json()["job"]
    assert (job["status"], job["error"]) == ("failed", "cancelled")
    await work(made.services)
    assert not any(done["id"] in name or waiting["id"] in name for name in stored_files(made.services))


async def test_an_option_that_changes_nothing_is_said(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    async with made.services.database.transaction() as session:
        of_it = update(Model).where(col(Model.id) == UUID(made.ids["model"]))
        await session.execute(of_it.values(classes=["no", "yes", "perhaps"]))
    answer = await send(client, made, content(5), options='{"threshold": 0.4}')
    assert answer.json()["warnings"] == ["threshold is for models of two classes; this one is multiclass."]
    strict = await send(client, made, content(5), options='{"threshold": 0.4, "strict": true}')
    assert (strict.status_code, strict.json()["detail"][0]["loc"]) == (422, ["body", "options", "threshold"])


async def test_of_many_that_delete_a_batch_at_once_one_does(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    done = await finished(client, made, await send(client, made, content(10)))
    waiting = (await send(client, made, content(10))).json()
    for identity in (done["id"], waiting["id"]):
        answers = await asyncio.gather(*(client.delete(f"/api/predictions/batches/{identity}") for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, *[404] * 4]


async def test_a_model_stays_while_it_predicts_and_its_batches_outlive_it(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    path = f"/api/models/{made.ids['spare_model']}"
    answer = await client.post(f"{path}/batch-predict", files={"file": ("later.csv", content(10))})
    refused = await client.delete(path)
    assert (refused.status_code, "later.csv" in refused.json()["detail"]) == (409, True)
    batch = await finished(client, made, answer)
    assert (await client.delete(path)).status_code == 200
    left = (await client.get(f"/api/predictions/batches/{batch['id']}")).json()["batch"]
    assert (left["model_id"], left["model_name"], left["receipt"]) == (None, batch["model_name"], batch["receipt"])
    assert (await client.get(f"/api/predictions/batches/{batch['id']}/download")).status_code == 200


async def test_lists_by_project_model_and_state(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    batch = await finished(client, made, await send(client, made, content(10), "march.csv"))
    found = (await client.get("/api/predictions/batches", params={"project_id": made.ids["project"], "search": "march"})).json()
    assert ([one["id"] for one in found["items"]], found["total"]) == ([batch["id"]], 1)
    for wanted in ({"status": "failed"}, {"model_id": made.ids["spare_model"]}):
        assert (await client.get("/api/predictions/batches", params=wanted)).json()["total"] == 0
    assert (await client.get("/api/predictions/batches", params={"project_id": made.foreign["project"]})).status_code == 404
    query = """query($project: ID!, $model: ID!) { project(id: $project) { predictionBatches { totalCount } }
      model(id: $model) { predictionBatches(filter: {status: [SUCCEEDED]}, first: 1) { nodes { id filename } } } }"""
    inside = await ask(client, query, project=made.ids["project"], model=made.ids["model"])
    assert inside["model"]["predictionBatches"]["nodes"] == [{"id": batch["id"], "filename": "march.csv"}]
    assert inside["project"]["predictionBatches"]["totalCount"] == 3


async def test_what_is_archived_gets_no_batches(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    async with made.database.transaction() as session:
        await session.execute(text("UPDATE projects SET status = 'archived'"))
    answer = await send(client, made, content(5))
    assert (answer.status_code, "archived" in answer.json()["detail"]) == (409, True)
