"""The committed OpenAPI is what the table and the schema say, valid, and described to the last parameter."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openapi_spec_validator

from rest_compat import export
from rest_compat.endpoint import Kind
from rest_compat.openapi import document
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


def test_every_parameter_and_body_field_is_described() -> None:
    assert [place for place, text in described(document()["paths"]) if not text] == []


def test_texts_and_menu_speak_of_rest() -> None:
    text = export.text().decode()
    assert set(re.findall(r"`[a-z]+[A-Z]\w*`", text)) == {"`uploadDataset`"}, "operations keep their names"
    assert "not needed with `dataset_id`" in text
    menu = render(document()).partition("</nav>")[0]
    assert "/datasets<wbr>/{dataset_id}<wbr>/quality</a>" in menu, "paths are broken before a slash, never inside a name"


def test_cancelled_is_no_word_of_rest() -> None:
    assert '"cancelled"' not in export.text().decode()
    enums = {
        tuple(parameter["schema"].get("enum", ()))
        for path in ("/api/jobs", "/api/experiments")
        for parameter in document()["paths"][path]["get"]["parameters"]
        if parameter["name"] == "status"
    }
    assert enums == {("queued", "running", "succeeded", "failed")}


def test_every_operation_has_a_summary_and_a_unique_id() -> None:
    found = [operation for methods in document()["paths"].values() for operation in methods.values()]
    assert all(operation["summary"] for operation in found)
    assert len({operation["operationId"] for operation in found}) == len(found)


def test_every_stored_operation_is_used() -> None:
    used = {row.operation for row in TABLE} | {
        operation.get("x-graphql-operation") for methods in document()["paths"].values() for operation in methods.values()
    }
    # UploadTarget asks whether an upload may be sent before its bytes are taken.
    assert set(operations()) - used == {"UploadTarget"}


def test_stored_operations_are_valid_documents_of_the_public_schema() -> None:
    assert prepare("{ __typename }").root_fields
    assert operations()


def test_nothing_but_the_table_names_a_concept() -> None:
    """A new concept's endpoints, those of files too, are rows of a module of its own."""
    named = {path.name for path in (ROOT / "rest_compat").glob("*.py") if "rest_compat.endpoints" in path.read_text()}
    assert not named
    assert {row.kind for rows in CONCEPTS.values() for row in rows} == set(Kind)
    assert sum(map(len, CONCEPTS.values())) == sum(len(rows_of(kind)) for kind in Kind)
