"""Answers are compressed as asked, and never where that would tell a secret or delay an event (docs/security.md#bodies)."""

import zlib
from typing import Any

import pytest
import zstandard
from graphql import GraphQLObjectType, get_named_type
from httpx import AsyncClient, Response

from coreplex.platform.database import Database
from edge import compression
from edge.compression import LEAST, chosen
from schema.execution import STORED, core_schema, from_document, prepare
from schema.limits import read
from schema.secret import Secrets
from tests.factories.account import PASSWORD, make_key, make_user, sign_in
from tests.graphql.conftest import address  # noqa: F401 a fixture
from tests.graphql.followed import make_job, tell

SUSPICIOUS = ("token", "secret", "password", "cookie", "key")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("GZIP ; Q=0.3", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0, *", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *;q=0.1", "gzip"),
        ("gzip;q=0.4, identity;q=0.8", None),
        ("gzip;q=x", None),
        ("br", None),
        (";;,,=", None),
    ],
)
def test_the_coding_that_is_liked_best(accepted: str, coding: str | None) -> None:
    assert chosen(accepted) == coding


async def raw(client: AsyncClient, method: str, path: str, coding: str | None, **more: Any) -> tuple[Response, bytes]:
    """An answer and its bytes as they were sent."""
    headers = {**more.pop("headers", {}), "accept-encoding": coding or "identity"}
    async with client.stream(method, path, headers=headers, **more) as answer:
        return answer, b"".join([part async for part in answer.aiter_raw()])


def read_as(coding: str | None, body: bytes) -> bytes:
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompress(body)
    return zlib.decompress(body, wbits=31) if coding == "gzip" else body


@pytest.fixture
async def web(address: str) -> Any:  # noqa: F811
    async with AsyncClient(base_url=f"http://{address}") as made:
        yield made


@pytest.fixture
async def key(web: AsyncClient, database: Database) -> dict[str, str]:
    _, token = await make_key(database, await make_user(database))
    header = {"authorization": f"Bearer {token}"}
    for number in range(20):
        made = await web.post("/api/projects", json={"name": f"P{number}", "description": "d" * 200}, headers=header)
        assert made.status_code == 201
    return header


@pytest.mark.parametrize("coding", ["gzip", "zstd", None])
@pytest.mark.parametrize("large", [False, True])
async def test_lists_at_both_doors(
    web: AsyncClient, key: dict[str, str], coding: str | None, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one in a thread."""
    monkeypatch.setattr(compression, "LARGE", 0 if large else 1 << 20)
    query = {"query": "{ projects { nodes { name description } } }"}
    for method, path, more in (
        ("GET", "/api/projects", {}),
        ("POST", "/graphql", {"json": query}),
        ("GET", "/graphql", {"params": query}),
        ("GET", "/openapi.json", {}),
        ("GET", "/docs", {}),
    ):
        answer, body = await raw(web, method, path, coding, headers=key, **more)
        plain, whole = await raw(web, method, path, None, headers=key, **more)
        assert answer.headers.get("content-encoding") == coding, path
        assert int(answer.headers["content-length"]) == len(body)
        assert "Accept-Encoding" in plain.headers["vary"]
        assert "Accept-Encoding" in answer.headers["vary"]
        assert read_as(coding, body) == whole
        assert coding is None or len(body) < len(whole) / 2


async def test_what_is_small_or_refused_is_left_alone(web: AsyncClient, key: dict[str, str]) -> None:
    for method, path, more in (("GET", "/health", {}), ("GET", "/api/projects?limit=1", {}), ("GET", "/nowhere", {})):
        answer, _ = await raw(web, method, path, "gzip", headers=key, **more)
        assert "content-encoding" not in answer.headers
    wrong = " ".join(f"nothing{number:0200}" for number in range(10))
    refused, body = await raw(web, "POST", "/graphql", "gzip", headers=key, json={"query": f"{{ {wrong} }}"})
    assert (refused.status_code, "content-encoding" in refused.headers, len(body) > LEAST) == (400, False, True)


async def test_no_secret_is_compressed(web: AsyncClient, database: Database) -> None:
    """Whatever stands beside it, and however it is asked for: the answers are long and hold what the caller said."""
    user = await make_user(database)
    login = "mutation($i: LoginInput!) { login(input: $i) { ...P } } fragment P on LoginPayload { csrfToken user { id } }"
    body = {"query": login, "variables": {"i": {"email": user.email, "password": PASSWORD}}}
    long = {"accept-encoding": "zstd, gzip"}
    signed_in, _ = await raw(web, "POST", "/graphql", "gzip", json=body)
    assert "content-encoding" not in signed_in.headers
    csrf = await sign_in(web, user.email)
    for number in range(20):
        made = await web.post("/api/projects", json={"name": f"P{number}", "description": "d" * 200}, headers=csrf)
        assert made.status_code == 201
    projects = "projects { nodes { name description } }"
    secret = f"{{ ... on Query {{ session {{ ... {{ t: csrfToken }} }} }} {projects} }}"
    for headers in (csrf, {**csrf, **long}):
        answer, found = await raw(web, "POST", "/graphql", "gzip", json={"query": secret}, headers=headers)
        assert "content-encoding" not in answer.headers
        assert len(found) > LEAST
        assert csrf["X-CSRF-Token"].encode() in found
    key = 'mutation { createApiKey(input: {name: "%s", scopes: [READ]}) { key apiKey { name } } }' % ("k" * 100)
    made, found = await raw(web, "POST", "/graphql", "gzip", json={"query": key}, headers=csrf)
    assert b"cpx_live" in found, found
    assert "content-encoding" not in made.headers
    plain, _ = await raw(web, "POST", "/graphql", "gzip", json={"query": f"{{ me {{ id }} {projects} }}"}, headers=csrf)
    assert plain.headers["content-encoding"] == "gzip"


def test_operations_with_secrets_are_known_before_they_run() -> None:
    for query in (
        "{ session { csrfToken } }",
        "{ session { x: csrfToken } }",
        "{ ...Q } fragment Q on Query { session { ... { csrfToken } } }",
        'mutation { createApiKey(input: {name: "k", scopes: [READ]}) { key } }',
    ):
        assert prepare(query).secret, query
    assert not prepare("{ me { id } }").secret
    assert from_document(read("{ result: session { csrf_token: csrfToken } }"), contract=STORED).secret


def test_no_credential_of_the_contract_is_forgotten() -> None:
    """A text that sounds like one says `@secret`."""
    secrets = Secrets(core_schema)
    objects = [kind for kind in core_schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
    texts = [
        (kind.name, name) for kind in objects for name, one in kind.fields.items() if get_named_type(one.type).name == "String"
    ]
    sounding = {(kind, name) for kind, name in texts if any(word in name.lower() for word in SUSPICIOUS)}
    sounding -= {
        ("FactEntry", "key"),
        ("DatasetIssue", "key"),
    }  # the name of a figure among the evidence of an issue, and of an issue
    assert sounding == secrets.fields, "declare it with `schema.secret.secret`"


async def test_a_stream_is_not_compressed(web: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    _, token = await make_key(database, user)
    job = await make_job(database, user)
    await tell(database, job, "x" * LEAST)
    body = {"query": "subscription($j: ID!) { jobEvents(jobId: $j) { message } }", "variables": {"j": str(job.id)}}
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream", "accept-encoding": "gzip, zstd"}
    async with web.stream("POST", "/graphql", json=body, headers=headers) as answer:
        assert "content-encoding" not in answer.headers
        assert (await anext(answer.aiter_raw())).startswith(b"event: next")
