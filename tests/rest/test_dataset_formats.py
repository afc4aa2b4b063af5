"""Tables in the formats people have, through both doors: what is kept of them, and that refusals leave nothing."""

import gzip

import zstandard

from coreplex.platform.database import Database
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.engines.tabular.files import book, zipped
from tests.factories.dataset import PEOPLE, Person, laboratory, staged_files, stored_files

UPLOAD = """mutation($input: UploadDatasetInput!) { uploadDataset(input: $input) {
  version { id rowCount fileFormat sheet uploadArtifactId columns { name type } quality { issues { kind message } } } } }"""
OVERRIDE = """mutation($input: OverrideColumnTypesInput!) { overrideColumnTypes(input: $input) {
  version { fileFormat sheet columns { name type } preview(rows: 1) } } }"""
BOOK = book(Prices=[["a", "b"], [1, 2.5], [3, 4.5]], Clients=[["c", "d"], *([f"{n:03d}", n] for n in range(30))])


async def test_a_workbook_keeps_its_sheet_and_its_file(ada: Person, services: Services) -> None:
    first = await ada.dataset(BOOK, "book.xlsx")
    assert (first["version"]["file_format"], first["version"]["sheet"]) == ("xlsx", "Prices")
    assert "sheet_chosen" in {issue["kind"] for issue in first["quality"]["issues"]}
    second = await ada.dataset(BOOK, "book.xlsx", sheet="clients")
    assert (second["dataset"]["row_count"], second["version"]["sheet"]) == (30, "Clients")

    column = [{"name": "d", "type": "CATEGORICAL"}]
    again = (await ada.data(OVERRIDE, input={"versionId": second["version_id"], "columns": column}))["overrideColumnTypes"][
        "version"
    ]
    assert (again["fileFormat"], again["sheet"]) == ("xlsx", "Clients")
    assert {"name": "d", "type": "CATEGORICAL"} in again["columns"]
    assert again["preview"] == [{"c": "000", "d": "0"}]

    artifact = (await ada.data("query($id: ID!) { datasetVersion(id: $id) { uploadArtifactId } }", id=second["version_id"]))[
        "datasetVersion"
    ]["uploadArtifactId"]
    raw = await ada.client.get(f"/api/artifacts/{artifact}/download")
    assert raw.content == BOOK
    assert raw.headers["content-type"].endswith("spreadsheetml.sheet")
    for wanted in ("csv", "parquet", "xlsx"):
        answer = await ada.client.get(f"/api/datasets/{second['id']}/download", params={"format": wanted})
        assert answer.status_code == 200
    exports = [name for name in staged_files(services) if name.startswith("export-")]
    assert len(exports) == 2, "csv and xlsx are kept for who asks again"
    assert len(staged_files(services)) == 2 * len(exports), "each is charged to who asked first, and nothing else is left"


async def test_graphql_takes_a_sheet(ada: Person) -> None:
    sent = await ada.client.post("/api/uploads?filename=book.xlsx.gz", content=gzip.compress(BOOK))
    wanted = {"uploadId": sent.json()["upload_id"], "projectId": ada.project_id, "name": "Book"}
    refused = await ada.ask(UPLOAD, input={**wanted, "sheet": "Client"})
    assert "Did you mean 'Clients'?" in refused["errors"][0]["message"]
    version = (await ada.data(UPLOAD, input={**wanted, "sheet": "2"}))["uploadDataset"]["version"]
    assert (version["rowCount"], version["fileFormat"], version["sheet"]) == (30, "xlsx.gz", "Clients")


async def test_packed_text_is_a_dataset(ada: Person, services: Services) -> None:
    packed = {
        "people.csv.gz": (gzip.compress(PEOPLE), "csv.gz", "application/gzip"),
        "people.csv.zst": (zstandard.ZstdCompressor().compress(PEOPLE), "csv.zst", "application/zstd"),
        "people.zip": (zipped({"people.csv": PEOPLE}), "csv.zip", "application/zip"),
        "people.jsonl": (b'{"name": "Ada", "age": 36}\n{"name": "Emmy", "age": 53}\n', "jsonl", "application/x-ndjson"),
        "people.tsv": (PEOPLE.replace(b",", b"\t"), "tsv", "text/tab-separated-values; charset=utf-8"),
    }
    for name, (content, format, media) in packed.items():
        body = await ada.dataset(content, name)
        assert body["version"]["file_format"] == format
        assert body["version"]["size_bytes"] == len(content)
        listed = (await ada.client.get(f"/api/datasets/{body['id']}/columns")).json()["columns"]
        assert [column["name"] for column in listed][:2] == ["name", "age"]
        query = "query($id: ID!) { datasetVersion(id: $id) { uploadArtifactId } }"
        artifact = (await ada.data(query, id=body["version_id"]))["datasetVersion"]["uploadArtifactId"]
        raw = await ada.client.get(f"/api/artifacts/{artifact}/download")
        assert (raw.content, raw.headers["content-type"]) == (content, media)
    assert staged_files(services) == []


async def test_refusals_name_the_thing_and_leave_nothing(settings: Settings, database: Database) -> None:
    small = settings.model_copy(update={"max_dataset_upload_bytes": 1 << 20})
    async with laboratory(small, database) as (app, ada):
        refusals: list[tuple[bytes, str, dict[str, str], int, str]] = [
            (gzip.compress(b"0,0,0\n" * (1 << 20)), "t.csv.gz", {}, 413, "unpacks to more than 4 MB"),
            (zipped({"t.csv": b"0,0,0\n" * (1 << 20)}), "t.zip", {}, 413, "unpacks to more than 4 MB"),
            (gzip.compress(PEOPLE)[:-9], "t.csv.gz", {}, 400, "cut off"),
            (zipped({"a.csv": PEOPLE, "b.csv": PEOPLE}), "t.zip", {}, 400, "'a.csv', 'b.csv'"),
            (b"<html><table></table></html>", "t.xls", {}, 400, "HTML"),
            (BOOK, "t.xlsx", {"sheet": "Prises"}, 422, "Did you mean 'Prices'?"),
            (PEOPLE, "t.csv", {"sheet": "1"}, 422, "sheet"),
            (BOOK[:-100], "t.xlsx", {}, 400, "cut off"),
        ]
        for content, name, fields, status, said in refusals:
            answer = await ada.upload(content, name, **fields)
            assert answer.status_code == status, (name, answer.text)
            assert said in answer.text, answer.text
            if fields:
                assert answer.json()["detail"][0]["loc"] == ["body", "sheet"]
            assert staged_files(app.state.services) == stored_files(app.state.services) == []
        assert (await ada.client.get("/api/datasets")).json()["total"] == 0
