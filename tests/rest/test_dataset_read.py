"""Reading datasets over REST: lists, versions, columns, quality, analysis, downloads and deletion (contract B.3)."""

import hashlib
import io
from typing import Any

import openpyxl
import polars as pl
import pytest

from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope
from coreplex.platform.services import Services
from tests.factories.account import bearer, make_key
from tests.factories.dataset import PEOPLE, Person, person, staged_files, stored_files, table

DATASET = {
    *("id", "project_id", "name", "description", "status", "latest_version_id", "version_count", "row_count"),
    *("column_count", "size_bytes", "file_format", "quality_score", "created_at", "updated_at"),
}
VERSION = {
    *("id", "dataset_id", "project_id", "version", "row_count", "column_count", "size_bytes", "file_format"),
    *("artifact_id", "quality_score", "source", "parent_version_id", "created_at", "sheet"),
}
ISSUE = {"kind", "severity", "column", "message", "evidence", "affected_rows", "affected_pct"}
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORMULAS = ("=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "＝1+1", '  =HYPERLINK("http://x")', "=cmd|'/c'!A1")


async def test_the_documented_shapes(ada: Person) -> None:
    made = await ada.dataset()
    one = f"/api/datasets/{made['id']}"

    listed = (await ada.client.get("/api/datasets", params={"project_id": ada.project_id})).json()
    assert (listed["total"], listed["limit"], listed["offset"]) == (1, 50, 0)
    assert set(listed["items"][0]) == DATASET

    got = (await ada.client.get(one)).json()
    assert got["dataset"] == {name: got[name] for name in DATASET} == listed["items"][0]

    versions = (await ada.client.get(f"{one}/versions")).json()
    assert set(versions["items"][0]) == VERSION
    assert versions["items"][0]["source"] == "upload"

    columns = (await ada.client.get(f"{one}/columns")).json()
    assert columns["columns"] == columns["items"]
    assert columns["total"] == 6
    by_name = {column["name"]: column for column in columns["columns"]}
    assert by_name["age"]["type"] == "integer"
    assert (by_name["age"]["min"], by_name["age"]["max"]) == (36, 85)
    assert by_name["amount"]["missing_count"] == 1
    assert by_name["late"]["type"] == "boolean"
    assert {top["value"] for top in by_name["late"]["top_values"]} == {"yes", "no"}
    assert by_name["signed_on"]["type"] == "datetime"

    quality = (await ada.client.get(f"{one}/quality")).json()
    assert quality["overall_score"] == got["quality_score"] == made["quality"]["overall_score"]
    assert quality["issues"] == made["quality"]["issues"]
    assert all(set(issue) == ISSUE for issue in quality["issues"])

    analysis = (await ada.client.get(f"{one}/analyze")).json()
    assert (analysis["dataset_id"], analysis["version_id"]) == (made["id"], made["version_id"])
    assert (analysis["row_count"], analysis["column_count"]) == (4, 6)
    age = next(column for column in analysis["columns"] if column["name"] == "age")
    assert sum(age["histogram"]["counts"]) == 4
    assert age["median"] == 47
    assert {"correlations", "missing", "duplicates", "suggested_target", "suggested_problem_type"} <= set(analysis)


async def test_every_view_works_for_any_version(ada: Person) -> None:
    first = await ada.dataset()
    second = await ada.dataset(table([["x", "y"], *[[i, i * i] for i in range(9)]]), dataset_id=first["id"])
    other = await ada.dataset()
    one = f"/api/datasets/{first['id']}"
    for version, names in ((first, 6), (second, 2)):
        params = {"version_id": version["version_id"]}
        assert len((await ada.client.get(f"{one}/columns", params=params)).json()["columns"]) == names
        assert (await ada.client.get(f"{one}/quality", params=params)).json()["version_id"] == version["version_id"]
        assert (await ada.client.get(f"{one}/analyze", params=params)).json()["column_count"] == names
        csv = await ada.client.get(f"{one}/download", params=params)
        assert len(csv.text.splitlines()[0].split(",")) == names
        assert f"_v{version['version']['version']}.csv" in csv.headers["content-disposition"]
    assert len((await ada.client.get(f"{one}/columns")).json()["columns"]) == 2, "the latest when none is named"
    for name in ("columns", "quality", "analyze", "download"):
        for wrong in (other["version_id"], "nonsense"):
            answer = await ada.client.get(f"{one}/{name}", params={"version_id": wrong})
            assert (answer.status_code, answer.json()["detail"]) == (404, "Dataset version not found")


async def test_lists_filter_search_sort_and_page(ada: Person) -> None:
    for name, rows in (("Alpha", 3), ("beta", 9), ("Gamma", 6)):
        await ada.dataset(table([["x", "y"], *[[i, i % 2] for i in range(rows)]]), name=name)

    async def names(**params: Any) -> list[str]:
        answer = await ada.client.get("/api/datasets", params=params)
        assert answer.status_code == 200, answer.text
        return [item["name"] for item in answer.json()["items"]]

    assert await names() == ["Gamma", "beta", "Alpha"]
    assert await names(sort_field="name", sort_direction="asc") == ["Alpha", "beta", "Gamma"]
    assert await names(sort_field="row_count") == ["beta", "Gamma", "Alpha"]
    assert await names(search="ALPH") == ["Alpha"]
    assert await names(limit=1, offset=1) == ["beta"]
    unknown = await ada.client.get("/api/datasets", params={"project_id": "01890000-0000-7000-8000-000000000000"})
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Project not found")
    for params in ({"limit": 0}, {"limit": 501}, {"limit": "x"}, {"offset": -1}, {"sort_field": "password"}):
        assert (await ada.client.get("/api/datasets", params=params)).status_code == 422


async def test_downloads_come_back_as_the_table(ada: Person, services: Services) -> None:
    made = await ada.dataset(name="Who came? äöü")
    url = f"/api/datasets/{made['id']}/download"
    csv = await ada.client.get(url)
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.headers["x-content-type-options"] == "nosniff"
    assert csv.headers["content-disposition"].startswith('attachment; filename="')
    assert "filename*=UTF-8''Who_came__" in csv.headers["content-disposition"]
    assert csv.content.decode().splitlines()[:2] == PEOPLE.decode().splitlines()[:2]
    parquet = await ada.client.get(url, params={"format": "parquet"})
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    frame = pl.read_parquet(io.BytesIO(parquet.content))
    assert frame.height == 4
    assert frame.schema["age"].is_integer()
    sheet = await ada.client.get(url, params={"format": "xlsx"})
    assert sheet.headers["content-type"] == SHEET
    book = openpyxl.load_workbook(io.BytesIO(sheet.content)).active
    assert [cell.value for cell in book[1]] == ["name", "age", "city", "late", "signed_on", "amount"]
    assert book["B2"].value == 36
    wrong = await ada.client.get(url, params={"format": "exe"})
    assert wrong.status_code == 422
    assert "csv, parquet, xlsx" in str(wrong.json()["detail"])
    left = [name.startswith("export-") for name in staged_files(services)]
    assert sorted(left) == [False] * 2 + [True] * 2, "the two written forms stay for whoever asks next, and their bytes charged"


async def test_formula_cells_cannot_run(ada: Person) -> None:
    rows = [["label", "n", "=name"], *[[text, -i, "x"] for i, text in enumerate(FORMULAS * 3)]]
    made = await ada.dataset(table(rows))
    url = f"/api/datasets/{made['id']}/download"
    lines = (await ada.client.get(url)).content.decode()
    cells = pl.read_csv(io.BytesIO(lines.encode()), infer_schema=False)
    for name in cells.columns:
        assert not name.lstrip().startswith(("=", "+", "-", "@", "＝"))
    for cell in cells.to_series(0):
        assert cell.startswith("'"), cell
    assert cells["n"].to_list()[1] == "-1", "numbers stay numbers"
    sheet = await ada.client.get(url, params={"format": "xlsx"})
    for row in openpyxl.load_workbook(io.BytesIO(sheet.content)).active.iter_rows():
        assert all(cell.data_type != "f" for cell in row)


async def test_stored_files_can_be_fetched_by_id(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    made = await ada.dataset()
    answer = await ada.client.get(f"/api/artifacts/{made['artifact_id']}/download")
    assert answer.status_code == 200
    assert pl.read_parquet(io.BytesIO(answer.content)).height == 4
    found = await ada.data("query($id: ID!) { datasetVersion(id: $id) { uploadArtifactId } }", id=made["version_id"])
    raw_id = found["datasetVersion"]["uploadArtifactId"]
    raw = await ada.client.get(f"/api/artifacts/{raw_id}/download")
    assert raw.content == PEOPLE
    facts = (await ada.data("query($id: ID!) { artifact(id: $id) { sha256 filename kind } }", id=raw_id))["artifact"]
    assert facts == {"sha256": hashlib.sha256(PEOPLE).hexdigest(), "filename": "people.csv", "kind": "UPLOAD"}
    async with person(app, database) as eve:
        answer = await eve.client.get(f"/api/artifacts/{raw_id}/download")
        assert (answer.status_code, answer.json()["detail"]) == (404, "Artifact not found")


async def test_uploads_for_graphql(lab: tuple[Any, Person], database: Database, services: Services) -> None:
    app, ada = lab
    form = (await ada.client.post("/api/uploads", files={"file": ("a.csv", PEOPLE)})).json()
    bare = await ada.client.post("/api/uploads", params={"filename": "b.csv"}, content=PEOPLE)
    assert bare.status_code == 201
    assert form["id"] == form["upload_id"]
    digest = hashlib.sha256(PEOPLE).hexdigest()
    assert bare.json() | {"id": "", "upload_id": ""} == {
        "id": "",
        "upload_id": "",
        "filename": "b.csv",
        "size_bytes": len(PEOPLE),
        "sha256": digest,
    }
    assert (await ada.client.post("/api/uploads", content=PEOPLE)).status_code == 422
    for name in ("", "upload_id"):  # a form without a file, whatever else is in it
        answer = await ada.client.post("/api/uploads", files={name: (None, b"{}")})
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "file"])
    mine = await ada.client.get(f"/api/files/{form['id']}")
    assert mine.content == PEOPLE
    assert (await ada.client.get(f"/api/files/{form['id']}", headers={"Range": "bytes=0-3"})).content == PEOPLE[:4]
    _, reader = await make_key(database, ada.user, [Scope.read])
    assert (await ada.client.post("/api/uploads?filename=x", content=b"1", headers=bearer(reader))).status_code == 403
    async with person(app, database) as eve:
        answer = await eve.client.get(f"/api/files/{form['id']}")
        assert (answer.status_code, answer.json()["detail"]) == (404, "File not found")
    assert len(staged_files(services)) == 4


async def test_foreign_datasets_are_not_found(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    made = await ada.dataset()
    one = f"/api/datasets/{made['id']}"
    async with person(app, database) as eve:
        for path in ("", "/versions", "/quality", "/columns", "/analyze", "/download"):
            answer = await eve.client.get(f"{one}{path}")
            unknown = await eve.client.get(f"/api/datasets/nonsense{path}")
            assert answer.status_code == unknown.status_code == 404
            assert answer.json()["detail"] == unknown.json()["detail"] == "Dataset not found"
        assert (await eve.client.delete(one)).status_code == 404
        listed = await eve.client.get("/api/datasets", params={"project_id": ada.project_id})
        assert (listed.status_code, listed.json()["detail"]) == (404, "Project not found")
    assert (await ada.client.get(one)).status_code == 200


async def test_deletion_takes_everything(ada: Person, services: Services, database: Database) -> None:
    made = await ada.dataset()
    await ada.dataset(dataset_id=made["id"])
    kept = await ada.dataset()
    one = f"/api/datasets/{made['id']}"
    assert (await ada.client.delete(one)).json() == {"ok": True}
    assert (await ada.client.get(one)).status_code == 404
    assert (await ada.client.delete(one)).status_code == 404
    assert (await ada.client.get(f"/api/artifacts/{made['artifact_id']}/download")).status_code == 404
    assert (await ada.client.get(f"/api/datasets/{kept['id']}")).status_code == 200
    async with database.read() as session:
        from sqlalchemy import text

        payloads = (await session.execute(text("SELECT payload FROM jobs WHERE type = 'storage_delete'"))).scalars().all()
    assert payloads == [{"prefix": f"projects/{ada.project_id}/datasets/{made['id']}"}]
    await services.storage.delete_all(payloads[0]["prefix"])
    assert len(stored_files(services)) == 2


async def test_statistics_of_very_large_numbers_are_read(ada: Person) -> None:
    """Beyond 2^53 the database writes a mean such as 1.7e18 as a whole number that no float holds exactly."""
    numbers = [2**60 + 7_777_777_777_777_777 * i for i in range(40)]
    made = await ada.dataset(table([["big", "n"], *[[number, i] for i, number in enumerate(numbers)]]))
    one = f"/api/datasets/{made['id']}"
    for path in ("columns", "analyze"):
        answer = await ada.client.get(f"{one}/{path}")
        assert answer.status_code == 200, answer.text
        facts = answer.json()["columns"][0]
        assert (facts["min"], facts["max"]) == (numbers[0], numbers[-1])
        assert facts["mean"] == pytest.approx(sum(numbers) / 40)
        assert facts["std"] > 2**53
