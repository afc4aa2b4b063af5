"""OpenAPI says the limits the server enforces: beyond one a value is refused, at it taken, and where none is said none holds."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response

from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from rest_compat.endpoint import Endpoint
from rest_compat.openapi.document import inlined
from rest_compat.table import TABLE
from rest_compat.variables import binder_of
from tests.contract.samples import RestSample, filled
from tests.factories.account import browser, serving
from tests.factories.world import ROW, World, world

HUGE = "A" * 20_000
ROWS = frozenset({"inputs"})
"""Fields whose values at the limit are real work: only what is beyond it is sent."""
EXCLUSIVE = {"to_model_id": "to_deployment_id", "candidate_model_id": "candidate_deployment_id"}
"""Fields that go only without another one of the sample."""
Path = tuple[str, ...]


def described(row: Endpoint) -> dict[str, Any]:
    """The schema of each field of a row's body and query."""
    operation = inlined()["paths"][row.path][row.method.lower()]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("properties", {})
    query = {one["name"]: one["schema"] for one in operation["parameters"] if one.get("in") == "query"}
    return {**query, **body}


def fields() -> Iterator[tuple[Endpoint, Path, dict[str, Any]]]:
    """Every field of every row, and every field of its objects."""
    for row in TABLE:
        for name, schema in described(row).items():
            yield row, (name,), schema
            for inner, below in schema.get("properties", {}).items():
                yield row, (name, inner), below


def text(length: int, schema: dict[str, Any]) -> str:
    """A text of that length; an e-mail where one is wanted."""
    return f"a@{'b' * (length - 6)}.com" if schema.get("format") == "email" else "a" * length


def taken(schema: dict[str, Any]) -> Iterator[Any]:
    """Values at each limit, and far out where there is none."""
    kind = schema.get("type")
    if kind == "string" and not {"enum", "format"} & set(schema):
        yield text(schema["maxLength"], schema) if "maxLength" in schema else HUGE
        yield text(schema.get("minLength", 1), schema)
    elif kind == "integer":
        yield schema.get("maximum", 2**31 - 1)
        yield schema.get("minimum", -(2**31) + 1)
    elif kind == "number":
        yield from (schema[key] for key in ("maximum", "minimum") if key in schema)
    elif kind == "array" and "enum" in schema.get("items", {}):
        yield [schema["items"]["enum"][0]] * schema.get("minItems", 1)
        yield [schema["items"]["enum"][0]] * schema.get("maxItems", 1000)
    for one in schema.get("anyOf", ()):
        yield from taken(one)


def refused(schema: dict[str, Any]) -> Iterator[Any]:
    """Values just beyond each limit."""
    if "maxLength" in schema:
        yield text(schema["maxLength"] + 1, schema)
    if schema.get("minLength", 0) > 0:
        yield "a" * (schema["minLength"] - 1)
    if "pattern" in schema:
        yield "a\0b"
    if "enum" in schema or "format" in schema:
        yield "nonsense"
    for key, beyond in (("maximum", 1), ("minimum", -1), ("exclusiveMaximum", 0), ("exclusiveMinimum", 0)):
        if key in schema:
            yield schema[key] + beyond
    item = schema.get("items", {}).get("enum", [ROW if schema.get("items", {}).get("type") == "object" else "a"])[0]
    if "maxItems" in schema:
        yield [item] * (schema["maxItems"] + 1)
    if schema.get("minItems", 0) > 0:
        yield [item] * (schema["minItems"] - 1)
    if schema.get("minProperties", 0) > 0:
        yield {}
    if schema.get("type") == "object":
        yield "no object"
    if schema.get("maxProperties") == 0:
        yield {"a": "b"}
    if schema.get("const") is False:
        yield True
    if schema.get("type") == "null":
        yield 0.5
    if schema.get("anyOf") and not any(one.get("type") == "boolean" for one in schema["anyOf"]):
        for one in schema["anyOf"]:
            yield from (value for value in refused(one) if value != "no object")


def put(values: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The values with one of them replaced, inside an object where the path goes deeper."""
    name, *rest = path
    values = {key: one for key, one in values.items() if key != EXCLUSIVE.get(name)}
    return {**values, name: put(values.get(name) or {}, tuple(rest), value) if rest else value}


class Doors:
    def __init__(self, made: World, client: AsyncClient) -> None:
        self.world, self.client = made, client

    async def complains(self, row: Endpoint, path: Path, value: Any, *, known: bool) -> bool:
        """Whether a request with this value is a 422 that names the field; `known`: about things that are there."""
        sample = RestSample(row)
        upload = await self.world.stage("owner") if "<upload>" in str(sample.values) else ""
        ids = {**self.world.ids, "upload": upload, "api_key": str(self.world.key_rows["owner"].id)}
        values = put(filled(sample.values, ids if known else dict.fromkeys(ids, str(uuid4()))), path, value)
        path_names = binder_of(row).path_names
        address = row.path.format(**{name: values.pop(name) for name in path_names})
        headers = self.world.headers("session" if sample.permission.session_only else "owner")
        if row.method in {"GET", "DELETE"}:
            answer = await self.client.request(row.method, address, params=values, headers=headers)
        else:
            answer = await self.client.request(row.method, address, json=values, headers=headers)
        assert answer.status_code < 500
        return names(answer, path)


def names(answer: Response, path: Path) -> bool:
    if answer.status_code != 422:
        return False
    detail = answer.json()["detail"]
    return any(set(path) <= set(map(str, one["loc"])) for one in detail) if isinstance(detail, list) else path[0] in detail


@pytest.fixture
async def doors(settings: Settings, database: Database) -> Any:
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.timeout = 60  # type: ignore[assignment]
        yield Doors(made, client)


async def test_what_is_beyond_a_limit_is_refused_and_what_is_not_is_taken(doors: Doors) -> None:
    wrong = []
    for row, path, schema in fields():
        for value in refused(schema):
            if not await doors.complains(row, path, value, known=True):
                wrong.append(("taken", row.method, row.path, path, json.dumps(value)[:60]))
        for value in taken(schema) if path[0] not in ROWS else ():
            if await doors.complains(row, path, value, known=False):
                wrong.append(("refused", row.method, row.path, path, json.dumps(value)[:60]))
    assert wrong == [], wrong


def test_fixed_words_are_said() -> None:
    """Of every option that is one of some words, and of what the operation takes fewer of than its type has."""
    found = {path: schema for row, path, schema in fields() if row.operation in {"CreateExperiment", "PromoteDeployment"}}
    options = ("preset", "sort_metric", "stopping_metric", "distribution", "threshold_metric", "validation", "verbosity")
    assert all("enum" in found["config", name] for name in options)
    assert all("XGBoost" in found["config", name]["items"]["enum"] for name in ("include_algos", "exclude_algos"))
    assert "native" in found["engine",]["enum"]
    assert found["to_stage",]["enum"] == ["production"]


async def test_a_limit_of_columns_is_told_of_what_said_them(doors: Doors) -> None:
    """5,001 types are too many types, and not too many missing values."""
    row = next(row for row in TABLE if row.operation == "OverrideColumnTypes")
    types = {f"c{number}": "float" for number in range(5_001)}
    assert await doors.complains(row, ("column_types",), types, known=True)


def test_there_is_much_to_compare() -> None:
    limited = [path for _, path, schema in fields() if any(True for _ in refused(schema))]
    assert len(limited) > 80
