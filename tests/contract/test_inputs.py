"""No input makes a 500: hypothesis replaces values of good calls by hostile ones, at both doors, for every row and field."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from graphql import GraphQLInputObjectType, get_named_type
from httpx import AsyncClient, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from rest_compat.endpoint import Endpoint, Kind
from rest_compat.table import TABLE, rows_of
from rest_compat.variables import binder_of
from tests.contract.samples import SAMPLES, RestSample, filled, graphql_call, root_fields
from tests.factories.account import browser, serving
from tests.factories.snapshot import Snapshot, snapshot
from tests.factories.world import ROW, World, content, world

deep: Any = []
for _ in range(60):
    deep = [deep]

TEXTS = st.sampled_from(
    [
        *("", " ", "\0", "a\0b", "\ud800", "💣", "%", "_", "\\", "'", '"', "../x", "NaN", "1e999", "٣", "-1", "true", "null"),
        *("A" * 300, "A" * 20_000, "nonsense", str(uuid4()), str(uuid4()).upper(), f"{{{uuid4()}}}", f"urn:uuid:{uuid4()}"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30", "native", "h2o", "AUTO", "auc", "desc"),
    ]
)
NUMBERS = st.sampled_from([0, -1, 1, 500, 501, 2**31, 2**53 + 1, 2**63, 10**30, -(10**30), 0.5, 1e308, -0.0, 1e-320])
ODD = st.sampled_from([None, True, False, float("nan"), float("inf"), deep])
LEAVES = TEXTS | NUMBERS | ODD
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just("a"), inner, max_size=3), max_leaves=5
)
FREE = {
    "config": st.dictionaries(
        st.sampled_from([*AutoMLConfig.model_fields, "traffic_percent", "strategy", "privacy_policy_id", "privacy_threshold"]),
        VALUES | st.lists(TEXTS, max_size=2),
        max_size=3,
    ),
    "inputs": st.lists(st.dictionaries(st.sampled_from([*ROW, "zzz"]), VALUES, max_size=4), max_size=3),
    "column_types": st.dictionaries(st.sampled_from(["age", "plan", "zzz"]), VALUES, max_size=2),
    "missing_values": st.dictionaries(st.sampled_from(["age", "plan", "zzz"]), VALUES | st.lists(VALUES), max_size=2),
    "options": st.dictionaries(
        st.sampled_from(["contributions", "explain", "threshold", "interval", "strict", "x"]), VALUES, max_size=2
    ),
}
"""Objects whose keys mean something: hostile values under good keys reach further."""
RELAXED = settings(
    max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None, print_blob=False, derandomize=True
)
THOROUGH = settings(RELAXED, max_examples=5000, derandomize=False)


def value_of(name: str, good: Any) -> st.SearchStrategy[Any]:
    """The good value most of the time, so that the others get somewhere."""
    hostile = FREE.get(name, VALUES) | VALUES
    return hostile if good is None else st.one_of(st.just(good), st.just(good), hostile)


@st.composite
def rest_requests(draw: st.DrawFn) -> tuple[Endpoint, dict[str, Any]]:
    """A row and values for some of its names; for no name it does not know, since those are ignored."""
    row = draw(st.sampled_from([*TABLE, *rows_of(Kind.download)]))
    sample = RestSample(row)
    binder = binder_of(row)
    values = {name: draw(value_of(name, good)) for name, good in sample.values.items()}
    others = [name for name in (*binder.params, *row.body) if name not in values]
    for name in draw(st.sets(st.sampled_from(others), max_size=3)) if others else ():
        values[name] = draw(value_of(name, None))
    return row, values


@st.composite
def graphql_requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A root field and its arguments, those inside an input object too."""
    name = draw(st.sampled_from([name for name in SAMPLES if root_fields()[name][1] != "subscription"]))
    field, _ = root_fields()[name]
    arguments = {}
    for argument, definition in field.args.items():
        good = SAMPLES[name].get(argument)
        inner = get_named_type(definition.type)
        if isinstance(inner, GraphQLInputObjectType) and draw(st.integers(0, 9)):
            members = {key: draw(value_of(key, value)) for key, value in (good or {}).items()}
            for key in (
                draw(st.sets(st.sampled_from(sorted(set(inner.fields) - set(members))), max_size=2))
                if len(inner.fields) > len(members)
                else ()
            ):
                members[key] = draw(value_of(key, None))
            if members:
                arguments[argument] = members
        elif good is not None or not draw(st.integers(0, 3)):
            arguments[argument] = draw(value_of(argument, good))
    return name, arguments


def literal(value: Any) -> str:
    """A value as it is written in a document."""
    if isinstance(value, dict):
        fields = (f"{key}: {literal(item)}" for key, item in value.items() if key.isidentifier() and key.isascii())
        return "{" + ", ".join(fields) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else json.dumps(value)


class Target:
    """The running application, and how it all was before."""

    def __init__(self, made: World, client: AsyncClient, before: Snapshot) -> None:
        self.world, self.client, self.before = made, client, before

    async def ids(self, values: Any) -> dict[str, str]:
        upload = await self.world.stage("owner") if "<upload>" in str(values) else ""
        own = {"api_key": str(self.world.key_rows["owner"].id), "elsewhere": self.world.elsewhere}
        return {**self.world.ids, **own, "upload": upload}

    async def judge(self, response: Response, logs: list[Any], writes: bool) -> None:
        assert response.status_code < 500, response.text[:500]
        broken = [entry for entry in logs if entry["log_level"] in {"error", "critical"}]
        assert not broken, [{k: str(v)[-1500:] for k, v in entry.items()} for entry in broken]
        if writes and response.status_code < 400:
            await self.world.settled()
            await self.before.restore()

    async def rest(self, row: Endpoint, values: dict[str, Any]) -> None:
        values = filled(values, await self.ids(values))
        path_names = binder_of(row).path_names
        path = row.path.format(**{name: quote(str(values[name]).encode(errors="replace"), safe="") or "-" for name in path_names})
        rest = {name: value for name, value in values.items() if name not in path_names}
        session = RestSample(row).permission.session_only
        headers = self.world.headers("session" if session else "owner")
        with capture_logs() as logs:
            if row.method == "GET":
                # The client itself refuses to send an address of more than 64 KB.
                query = {name: str(value).encode(errors="replace")[:4000] for name, value in rest.items()}
                response = await self.client.get(path[:4000], params=query, headers=headers)  # type: ignore[arg-type]
            else:
                headers = {**headers, "Content-Type": "application/json"}
                body = json.dumps(rest).encode()
                response = await self.client.request(row.method, path[:4000], content=body, headers=headers)
        await self.judge(response, logs, row.method != "GET")

    async def graphql(self, name: str, arguments: dict[str, Any], inline: bool) -> None:
        arguments = filled(arguments, await self.ids(arguments))
        field, word = root_fields()[name]
        declared = ", ".join(f"${argument}: {field.args[argument].type}" for argument in arguments)
        given_ = ", ".join(f"{key}: {literal(value) if inline else f'${key}'}" for key, value in arguments.items())
        head = "" if inline or not declared else f"({declared})"
        text = f"{word}{head} {{ {name}{f'({given_})' if given_ else ''} {{ __typename }} }}"
        session = graphql_call(name).permission.session_only
        headers = {**self.world.headers("session" if session else "owner"), "Content-Type": "application/json"}
        body: dict[str, Any] = {"query": text} if inline else {"query": text, "variables": arguments}
        with capture_logs() as logs:
            response = await self.client.post("/graphql", content=json.dumps(body).encode(), headers=headers)
        await self.judge(response, logs, word == "mutation")


@pytest.fixture
async def target(settings: Settings, database: Database) -> AsyncIterator[Target]:
    async with serving(settings) as app, world(app, database) as made, snapshot(database) as before:
        async with browser(app) as client:
            client.timeout = 60  # type: ignore[assignment]
            yield Target(made, client, before)


@RELAXED
@given(rest_requests())
async def test_no_rest_input_makes_a_500(target: Target, request_: tuple[Endpoint, dict[str, Any]]) -> None:
    await target.rest(*request_)


@RELAXED
@given(graphql_requests(), st.booleans())
async def test_no_graphql_input_makes_a_500(target: Target, request_: tuple[str, dict[str, Any]], inline: bool) -> None:
    await target.graphql(*request_, inline)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@THOROUGH
@given(rest_requests() | st.tuples(graphql_requests(), st.booleans()))
async def test_no_input_at_all_makes_a_500(target: Target, request_: Any) -> None:
    if isinstance(request_[0], Endpoint):
        await target.rest(*request_)
    else:
        await target.graphql(*request_[0], request_[1])


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000])
async def test_bodies_that_are_no_object(target: Target, raw: bytes) -> None:
    headers = {**target.world.headers("owner"), "Content-Type": "application/json"}
    for row in TABLE:
        if row.method != "GET" and row.body and not row.body_optional:
            path = row.path.format(**{name: uuid4() for name in binder_of(row).path_names})
            response = await target.client.request(row.method, path, content=raw, headers=headers)
            assert response.status_code in {403, 404, 422}, (row.path, response.text)


async def test_uploads_with_odd_fields(target: Target) -> None:
    for project in ("", "x", "\0", str(uuid4()), "A" * 5000):
        for name in ("", "\0", "A" * 5000, "💣"):
            data = {"project_id": project, "name": name}
            files = {"file": (name or "x", content(5))}
            response = await target.client.post(
                "/api/datasets/upload", data=data, files=files, headers=target.world.headers("owner")
            )
            assert 400 <= response.status_code < 500, response.text
