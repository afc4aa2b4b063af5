"""What is missing and what a column is, said with an upload and afterwards, through REST and GraphQL."""

import json
from typing import Any

from httpx import Response

from coreplex.platform.database import Database
from coreplex.platform.services import Services
from tests.factories.dataset import Person, person, staged_files, stored_files, table

NOBODY = "01890000-0000-7000-8000-000000000000"
GARAGES = table(
    [
        ["garage", "area", "built", "code"],
        *[
            [("Attchd", "None", "BuiltIn")[i % 3], -200 if i % 9 == 4 else 40 + i, f"{1990 + i % 30}-05-01", i % 4]
            for i in range(90)
        ],
    ]
)
UPLOAD = """mutation($input: UploadDatasetInput!) { uploadDataset(input: $input) {
  version { id columns { name type reason missingCount missingValues } quality { issues {
    kind column fix { mutation } evidence { name entries { key value } } } } } } }"""
OVERRIDE = """mutation($input: OverrideColumnTypesInput!) { overrideColumnTypes(input: $input) {
  version { id source columns { name type reason missingCount missingValues } } } }"""
MARK = """mutation($input: MarkMissingInput!) { markMissing(input: $input) {
  version { id number parentVersionId columns { name type missingCount missingValues min } } } }"""


async def columns(ada: Person, dataset_id: str, version_id: str) -> dict[str, dict[str, Any]]:
    answer = await ada.client.get(f"/api/datasets/{dataset_id}/columns", params={"version_id": version_id})
    return {column["name"]: column for column in answer.json()["columns"]}


def places(answer: Response) -> list[list[Any]]:
    assert answer.status_code == 422, answer.text
    return [error["loc"] for error in answer.json()["detail"]]


async def test_an_upload_says_what_its_columns_are_and_lack(ada: Person) -> None:
    made = await ada.dataset(
        GARAGES,
        column_types=json.dumps({"code": "categorical"}),
        missing_values=json.dumps({"area": [-200], "garage": ["None"]}),
    )
    found = await columns(ada, made["id"], made["version_id"])
    assert {name: column["missing_count"] for name, column in found.items()} == {"garage": 30, "area": 10, "built": 0, "code": 0}
    assert (found["code"]["type"], found["code"]["reason"], found["area"]["type"]) == (
        "categorical",
        "set by the user",
        "integer",
    )
    assert (found["area"]["missing_values"], found["garage"]["missing_values"], found["built"]["missing_values"]) == (
        ["-200"],
        ["None"],
        None,
    )
    assert found["area"]["min"] == 40

    again = await ada.client.post(
        f"/api/datasets/{made['id']}/versions",
        data={"missing_values": json.dumps([-200, "None"]), "force": "true"},
        files={"file": ("g.csv", GARAGES)},
    )
    second = await columns(ada, made["id"], again.json()["version_id"])
    assert {name: column["missing_count"] for name, column in second.items()} == {"garage": 30, "area": 10, "built": 0, "code": 0}
    assert second["code"]["type"] == "integer", "a further file speaks for itself"


async def test_graphql_takes_the_same_and_overrides_keep_it(ada: Person) -> None:
    answer = await ada.client.post("/api/uploads", params={"filename": "g.csv"}, content=GARAGES)
    wanted = {
        "uploadId": answer.json()["upload_id"],
        "projectId": ada.project_id,
        "name": "Garages",
        "columns": [{"name": "area", "missingValues": ["-200"]}, {"name": "code", "type": "CATEGORICAL"}],
    }
    version = (await ada.data(UPLOAD, input=wanted))["uploadDataset"]["version"]
    kept = next(issue for issue in version["quality"]["issues"] if issue["kind"] == "MISSING_WORDS")
    words = next(fact["entries"] for fact in kept["evidence"] if fact["name"] == "words")
    assert (kept["column"], words) == ("garage", [{"key": "None", "value": 30}])

    wanted = {"versionId": version["id"], "columns": [{"name": "code", "type": "INTEGER"}]}
    second = (await ada.data(OVERRIDE, input=wanted))["overrideColumnTypes"]["version"]
    assert {c["name"]: (c["type"], c["missingCount"]) for c in second["columns"]} == {
        "garage": ("CATEGORICAL", 0),
        "area": ("INTEGER", 10),
        "built": ("DATETIME", 0),
        "code": ("INTEGER", 0),
    }

    # The call that the issue names, as it stands, makes the word missing; of the others nothing changes.
    marked = (await ada.data(kept["fix"]["mutation"].replace("{ id }", "{ columns { name type missingCount } }")))["markMissing"]
    assert {c["name"]: (c["type"], c["missingCount"]) for c in marked["version"]["columns"]} == {
        "garage": ("CATEGORICAL", 30),
        "area": ("INTEGER", 10),
        "built": ("DATETIME", 0),
        "code": ("CATEGORICAL", 0),
    }


async def test_rest_marks_and_overrides_what_is_there(ada: Person) -> None:
    made = await ada.dataset(GARAGES)
    here = f"/api/datasets/{made['id']}"
    kept = next(issue for issue in made["quality"]["issues"] if issue["kind"] == "missing_words")
    call = kept["evidence"]["rest"]
    answer = await ada.client.request(call["method"], call["path"], json=call["body"])
    assert answer.status_code == 201, answer.text
    found = await columns(ada, made["id"], answer.json()["version_id"])
    assert found["garage"]["missing_count"] == 30
    assert answer.json()["version"]["parent_version_id"] == made["version_id"]

    body = {"column_types": {"code": "categorical"}, "missing_values": {"area": -200}}
    answer = await ada.client.post(f"{here}/columns", json=body)
    assert answer.status_code == 201, answer.text
    found = await columns(ada, made["id"], answer.json()["version_id"])
    assert [found[name]["missing_count"] for name in ("garage", "area")] == [30, 10], (
        "of the latest version, added to what it says"
    )
    assert found["code"]["type"] == "categorical"


async def test_what_cannot_be_said_is_refused_at_its_place_and_changes_nothing(
    lab: tuple[Any, Person], database: Database
) -> None:
    app, ada = lab
    services: Services = app.state.services
    made = await ada.dataset(GARAGES)
    here, files = f"/api/datasets/{made['id']}", stored_files(services)

    async def upload(**fields: Any) -> Response:
        return await ada.upload(GARAGES, **{name: json.dumps(value) for name, value in fields.items()})

    async def post(path: str, **body: Any) -> Response:
        return await ada.client.post(f"{here}/{path}", json=body)

    assert places(await ada.upload(GARAGES, column_types="{")) == [["body", "column_types"]]
    assert places(await upload(column_types=["area"])) == [["body", "column_types"]]
    assert places(await upload(column_types={"area": "number"})) == [["body", "column_types", "area"]]
    assert places(await upload(column_types={"aera": "float"})) == [["body", "column_types", "aera"]]
    assert places(await upload(missing_values=True)) == [["body", "missing_values"]]
    assert places(await upload(missing_values={"area": [True]})) == [["body", "missing_values", "area"]]
    assert places(await upload(missing_values={"area": ["x" * 201]})) == [["body", "missing_values", "area", 0]]
    assert places(await upload(column_types={"garage": "float"})) == [["body", "column_types", "garage"]]
    assert places(await post("columns")) == [["body", "missing_values"]]
    assert places(await post("columns", column_types={"garage": "datetime"}, missing_values={"area": ["-200"]})) == [
        ["body", "column_types", "garage"]
    ]
    assert places(await post("missing", missing_values=["-200"])) == [["body", "missing_values"]]
    assert places(await post("missing", missing_values={"area": ["-201"]})) == [["body", "missing_values", "area"]]
    assert places(await post("missing", missing_values={"area": []})) == [["body", "missing_values", "area"]]
    assert places(await post("missing", missing_values={"code": [0, 1, 2, 3]})) == [["body", "missing_values", "code"]]
    emptied = {"code": [0, 1, 2, 3]}
    assert places(await upload(missing_values=emptied)) == [["body", "missing_values", "code"]]
    assert places(await post("columns", missing_values=emptied)) == [["body", "missing_values", "code"]]
    assert (await post("missing", version_id=NOBODY, missing_values={"area": [-200]})).status_code == 404

    wrong = (await upload(column_types={"area": "number"})).json()
    assert wrong["message"].startswith("column_types.area: must be one of integer, float, ")
    lost = (await upload(column_types={"garage": "float"})).json()
    assert lost["message"].startswith("Column 'garage' read as float would lose all of its values, such as 'Attchd', 'BuiltIn'")
    assert lost["message"] == lost["detail"][0]["msg"]
    assert "Did you mean 'area'?" in (await upload(column_types={"aera": "float"})).json()["detail"][0]["msg"]
    async with person(app, database) as eve:
        for path in ("columns", "missing"):
            answer = await eve.client.post(f"{here}/{path}", json={"missing_values": {"area": [-200]}})
            assert answer.status_code == 404
    assert stored_files(services) == files
    assert staged_files(services) == []

    forced = await post("columns", column_types={"garage": "float"}, force=True)
    assert forced.status_code == 201, forced.text
    (issue,) = [one for one in forced.json()["quality"]["issues"] if one["kind"] == "mixed_types"]
    assert (issue["column"], issue["affected_rows"], issue["severity"]) == ("garage", 60, "high")
