"""The committed OpenAPI is what the table and the schema say, valid, and described to the last parameter."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openapi_spec_validator

from rest_compat import export
from rest_compat.endpoint import Kind
from rest_compat.openapi.document import document, inlined
from rest_compat.openapi.given import NAMES
from rest_compat.openapi.names import folded
from rest_compat.reference import render
from rest_compat.stored import operations
from rest_compat.table import CONCEPTS, TABLE, rows_of
from schema.execution import prepare

ROOT = Path(__file__).resolve().parents[2]


def test_committed_description_is_current() -> None:
    assert export.PATH.read_bytes() == export.text(), "run python -m rest_compat.export and review the change"


def test_description_is_valid_openapi() -> None:
    openapi_spec_validator.validate(document())


def described(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if "in" in value and "schema" in value:
            yield f"{path} {value['name']}", value.get("description")
        if value.get("type") == "object" and "requestBody" in path:
            yield from ((f"{path} {name}", field.get("description")) for name, field in value.get("properties", {}).items())
        for name, item in value.items():
            yield from described(item, f"{path}/{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from described(item, f"{path}/{number}")


def schemas(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every schema of an object inside a part of the description, and where it stands."""
    if isinstance(value, dict):
        if value.get("type") in ("object", ["object", "null"]):
            yield path, value
        for name, item in value.items():
            yield from schemas(item, f"{path}/{name}")
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from schemas(item, f"{path}/{number}")


def test_every_parameter_and_body_field_is_described() -> None:
    assert [place for place, text in described(inlined()["paths"]) if not text] == []


def test_texts_and_menu_speak_of_rest() -> None:
    text = export.text().decode()
    assert set(re.findall(r"`[a-z]+[A-Z]\w*`", text)) == {"`uploadDataset`"}, "operations keep their names"
    assert "not needed with `dataset_id`" in text
    menu = render(inlined()).partition("</nav>")[0]
    assert "/datasets<wbr>/{dataset_id}<wbr>/quality</a>" in menu, "paths are broken before a slash, never inside a name"


def test_cancelled_is_no_word_of_rest() -> None:
    assert '"cancelled"' not in export.text().decode()
    enums = {
        tuple(parameter["schema"].get("enum", ()))
        for path in ("/api/jobs", "/api/experiments")
        for parameter in inlined()["paths"][path]["get"]["parameters"]
        if parameter["name"] == "status"
    }
    assert enums == {("queued", "running", "succeeded", "failed")}


def test_every_operation_has_a_summary_and_a_unique_id() -> None:
    found = [operation for methods in document()["paths"].values() for operation in methods.values()]
    assert all(operation["summary"] for operation in found)
    assert len({folded(operation["operationId"]) for operation in found}) == len(found)


def test_schemas_have_names() -> None:
    """Of resources, pages and bodies: nothing a generator would have to invent a name for, and no two that it would confuse."""
    names = document()["components"]["schemas"]
    assert {"Project", "ProjectPage", "Error", "Model", "ModelDetail", "JobType", "CreateProjectBody", "Done"} <= set(names)
    assert len({folded(name) for name in names}) == len(names)
    assert not [name for name in names if name[-1].isdigit() or "_" in name], "named by what they are, not by a number"
    nested = [place for place, schema in schemas(document()["paths"]) if "properties" in schema]
    assert nested == [], "each body and answer is a reference"
    named = document()["components"]["schemas"].values()
    assert [place for one in named for place, schema in schemas(one.get("properties", {})) if "properties" in schema] == []
    assert set(re.findall(r'"(x-[a-z-]+)":', export.text().decode())) == {"x-graphql-operation", "x-rate-limit"}


def test_names_that_are_given_are_taken() -> None:
    """One that is not stands for a place that is gone."""
    assert set(NAMES.values()) <= set(document()["components"]["schemas"])


def test_references_lead_somewhere() -> None:
    text = export.text().decode()
    for place in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        found: Any = document()
        for part in place.split("/"):
            found = found[part]
        assert found


def test_the_cookie_is_called_as_it_is_set() -> None:
    assert document()["components"]["securitySchemes"]["session"]["name"] == "__Host-session"
    assert document("session")["components"]["securitySchemes"]["session"]["name"] == "session"


def test_files_have_types() -> None:
    content = document()["paths"]["/api/datasets/{dataset_id}/download"]["get"]["responses"]["200"]["content"]
    assert {"text/csv", "application/vnd.apache.parquet"} <= set(content)
    assert all(media["schema"] == {"type": "string", "format": "binary"} for media in content.values())


def test_every_stored_operation_is_used() -> None:
    used = {row.operation for row in TABLE} | {
        operation.get("x-graphql-operation") for methods in document()["paths"].values() for operation in methods.values()
    }
    # These ask whether a file may be sent before its bytes are taken, and what the inference protocol takes: its description is
    # that of its standard.
    assert set(operations()) - used == {"UploadTarget", "PredictionTarget", "ServedModel"}


def test_stored_operations_are_valid_documents_of_the_public_schema() -> None:
    assert prepare("{ __typename }").root_fields
    assert operations()


def test_nothing_but_the_table_names_a_concept() -> None:
    """A new concept's endpoints, those of files too, are rows of a module of its own."""
    named = {path.name for path in (ROOT / "rest_compat").glob("*.py") if "rest_compat.endpoints" in path.read_text()}
    assert not named
    assert {row.kind for rows in CONCEPTS.values() for row in rows} == set(Kind)
    assert sum(map(len, CONCEPTS.values())) == sum(len(rows_of(kind)) for kind in Kind)
