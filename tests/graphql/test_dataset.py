"""Datasets over GraphQL: uploads by id, overridden types, nested views without a query per row, and what deletion respects."""

import io
from typing import Any

import polars as pl

from coreplex.platform.database import Database
from coreplex.platform.services import Services
from tests.counting import counted
from tests.factories.dataset import PEOPLE, Person, person, staged_files, stored_files, table

UPLOAD = """mutation($input: UploadDatasetInput!) { uploadDataset(input: $input) {
  dataset { id name latestVersionId versionCount } version { id number source quality { overallScore } } } }"""
OVERRIDE = """mutation($input: OverrideColumnTypesInput!) { overrideColumnTypes(input: $input) {
  version { id number source parentVersionId fileFormat sizeBytes columns { name type reason } } } }"""
TYPES = "query($id: ID!) { datasetVersion(id: $id) { columns { name type reason } } }"
CODES = table([["code", "score", "group"], *[[f"{i % 4}", i / 2, i % 3] for i in range(40)]])


async def upload_id(ada: Person, content: bytes = PEOPLE, filename: str = "people.csv") -> str:
    answer = await ada.client.post("/api/uploads", params={"filename": filename}, content=content)
    return str(answer.json()["upload_id"])


def code(body: dict[str, Any]) -> str:
    return str(body["errors"][0]["extensions"]["code"])


async def test_an_upload_is_used_once(ada: Person, services: Services) -> None:
    wanted = {"uploadId": await upload_id(ada), "projectId": ada.project_id, "name": "People"}
    made = (await ada.data(UPLOAD, input=wanted))["uploadDataset"]
    assert made["dataset"]["latestVersionId"] == made["version"]["id"]
    assert (made["version"]["number"], made["version"]["source"]) == (1, "UPLOAD")
    assert code(await ada.ask(UPLOAD, input=wanted)) == "NOT_FOUND", "it is a dataset now"
    assert staged_files(services) == []


async def test_an_upload_may_be_mended_and_sent_again(ada: Person, services: Services) -> None:
    wanted = {"uploadId": await upload_id(ada), "projectId": ada.project_id}
    assert code(await ada.ask(UPLOAD, input=wanted)) == "INVALID"
    assert len(staged_files(services)) == 2, "the file waits for the next try"
    assert stored_files(services) == []
    await ada.data(UPLOAD, input=wanted | {"name": "Now with a name"})


async def test_uploads_belong_to_their_sender(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    mine = await upload_id(ada)
    async with person(app, database) as eve:
        theirs = {"uploadId": mine, "projectId": eve.project_id, "name": "stolen"}
        assert code(await eve.ask(UPLOAD, input=theirs)) == "NOT_FOUND"
        assert code(await eve.ask(UPLOAD, input=theirs | {"projectId": ada.project_id})) == "NOT_FOUND"
        ask = "query($p: ID, $d: ID) { uploadTarget(projectId: $p, datasetId: $d) { projectId datasetId } }"
        assert code(await eve.ask(ask, p=ada.project_id)) == "NOT_FOUND"
        assert (await ada.data(ask, p=ada.project_id))["uploadTarget"] == {"projectId": ada.project_id, "datasetId": None}
        assert code(await ada.ask(ask)) == "INVALID"


async def test_types_can_be_overridden_again_and_again(ada: Person, services: Services) -> None:
    made = await ada.dataset(CODES, "codes.csv")
    types = {c["name"]: c["type"] for c in (await ada.data(TYPES, id=made["version_id"]))["datasetVersion"]["columns"]}
    assert types["code"] == "INTEGER"

    wanted = {"versionId": made["version_id"], "columns": [{"name": "code", "type": "CATEGORICAL"}]}
    second = (await ada.data(OVERRIDE, input=wanted))["overrideColumnTypes"]["version"]
    assert (second["number"], second["source"], second["parentVersionId"]) == (2, "OVERRIDE", made["version_id"])
    assert (second["fileFormat"], second["sizeBytes"]) == ("csv", len(CODES))
    column = next(c for c in second["columns"] if c["name"] == "code")
    assert (column["type"], column["reason"]) == ("CATEGORICAL", "set by the user")

    wanted = {"versionId": second["id"], "columns": [{"name": "group", "type": "CATEGORICAL"}]}
    third = (await ada.data(OVERRIDE, input=wanted))["overrideColumnTypes"]["version"]
    assert {c["name"]: c["type"] for c in third["columns"]} == {"code": "CATEGORICAL", "score": "FLOAT", "group": "CATEGORICAL"}

    for columns in ([{"name": "nobody", "type": "FLOAT"}], []):
        body = await ada.ask(OVERRIDE, input={"versionId": third["id"], "columns": columns})
        assert code(body) == "INVALID", body
    assert len(stored_files(services)) == 4, "one raw file and three tables"
    assert (await ada.data(TYPES, id=made["version_id"]))["datasetVersion"]["columns"][0]["type"] == "INTEGER", "frozen"


async def test_a_wrong_override_is_refused_at_its_place(ada: Person) -> None:
    made = await ada.dataset(CODES)

    async def place(*names: str) -> list[Any]:
        columns = [{"name": name, "type": "FLOAT"} for name in names]
        body = await ada.ask(OVERRIDE, input={"versionId": made["version_id"], "columns": columns})
        return [field["loc"] for field in body["errors"][0]["extensions"]["errors"]]

    assert await place("code", "nobody") == [["columns", 1, "name"]]
    assert await place("code", "score", "code") == [["columns"]]


async def test_overriding_needs_the_version(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    made = await ada.dataset(CODES)
    async with person(app, database) as eve:
        columns = [{"name": "code", "type": "TEXT"}]
        for version in (made["version_id"], "nonsense"):
            body = await eve.ask(OVERRIDE, input={"versionId": version, "columns": columns})
            assert code(body) == "NOT_FOUND"


async def test_a_dataset_can_be_renamed(ada: Person) -> None:
    made = await ada.dataset()
    update = "mutation($input: UpdateDatasetInput!) { updateDataset(input: $input) { dataset { name description } } }"
    changed = await ada.data(update, input={"datasetId": made["id"], "name": "Better"})
    assert changed["updateDataset"]["dataset"] == {"name": "Better", "description": ""}
    assert code(await ada.ask(update, input={"datasetId": made["id"], "name": " "})) == "INVALID"


async def test_nested_views_cost_a_query_per_level_not_per_row(ada: Person, services: Services) -> None:
    query = """query($p: ID!) { project(id: $p) { datasets(first: 10) { totalCount nodes {
      name versionCount rowCount qualityScore
      latestVersion { id columns { name type } quality { issues { kind } } analysis { rowCount } } } } } }"""
    counts = []
    for _ in range(2):
        await ada.dataset()
        with counted(services.database) as asked:
            found = await ada.data(query, p=ada.project_id)
        counts.append(len(asked))
    assert found["project"]["datasets"]["totalCount"] == 2
    assert len(found["project"]["datasets"]["nodes"][0]["latestVersion"]["columns"]) == 6
    assert counts[0] == counts[1], asked


async def test_preview_and_file(ada: Person) -> None:
    made = await ada.dataset()
    query = "query($id: ID!, $n: Int!) { datasetVersion(id: $id) { preview(rows: $n) dataset { name } } }"
    found = (await ada.data(query, id=made["version_id"], n=2))["datasetVersion"]
    assert found["dataset"]["name"] == "People"
    assert [row["name"] for row in found["preview"]] == ["Ada", "Grace"]
    assert found["preview"][0]["late"] == "yes"
    query = "query($id: ID!) { datasetVersion(id: $id) { file(format: XLSX) { url filename contentType sizeBytes sha256 } } }"
    file = (await ada.data(query, id=made["version_id"]))["datasetVersion"]["file"]
    fetched = await ada.client.get(file["url"])
    assert len(fetched.content) == file["sizeBytes"]
    assert fetched.headers["content-type"] == file["contentType"]
    assert (await ada.client.get(file["url"])).status_code == 200, "it may be fetched again"


async def test_parquet_versions_can_be_overridden_too(ada: Person) -> None:
    file = io.BytesIO()
    pl.DataFrame({"n": list(range(30)), "k": [i % 3 for i in range(30)]}).write_parquet(file)
    made = await ada.dataset(file.getvalue(), "t.parquet")
    wanted = {"versionId": made["version_id"], "columns": [{"name": "k", "type": "CATEGORICAL"}]}
    version = (await ada.data(OVERRIDE, input=wanted))["overrideColumnTypes"]["version"]
    assert {c["name"]: c["type"] for c in version["columns"]}["k"] == "CATEGORICAL"
