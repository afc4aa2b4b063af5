"""Documents that are named, not sent: automatic persisted queries, ids, and the operator's list in its three rules."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from httpx import ASGITransport, AsyncClient, Response
from pydantic import ValidationError
from structlog.testing import capture_logs

from asgi import create_app
from coreplex.command import doctor
from coreplex.platform import shared_documents
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.supervisor.folder import DataFolder
from coreplex.supervisor.trouble import Trouble
from schema.door import document_list
from tests.factories.account import make_key, make_user

NAME = "query Name { __typename }"
LISTED = "query Listed($first: Int) { projects(first: $first) { totalCount } }"
TWO = "query One { __typename } mutation Two { logout { ok } }"
BROKEN = "query Broken { nothing }"
Door = Callable[..., AbstractAsyncContextManager[AsyncClient]]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hashed(text: str, **more: Any) -> dict[str, Any]:
    return {**more, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}}


def first(answer: Response) -> tuple[int, str, str]:
    """Status, message and code of a refusal."""
    error = answer.json()["errors"][0]
    assert "data" not in answer.json()
    return answer.status_code, error["message"], error["extensions"]["code"]


@pytest.fixture
def door(settings: Settings, tmp_path: Path) -> Door:
    """Starts the application with other settings; `listed` becomes its list of documents."""

    @asynccontextmanager
    async def started(listed: Any = None, **more: Any) -> AsyncIterator[AsyncClient]:
        if listed is not None:
            path = tmp_path / "documents.json"
            path.write_bytes(orjson.dumps(listed))
            more["graphql_document_list"] = path
        app = create_app(Settings.model_validate({**settings.model_dump(), **more}))
        async with app.router.lifespan_context(app), AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
            yield client

    return started


@pytest.fixture
async def key(database: Database) -> dict[str, str]:
    _, token = await make_key(database, await make_user(database))
    return {"authorization": f"Bearer {token}"}


async def ask(client: AsyncClient, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return await client.post("/graphql", json=body, headers=headers or {})


async def test_an_automatic_persisted_query(door: Door) -> None:
    """The client sends the hash, is told that it is not known, and sends the document once; other processes know it too."""
    async with door() as one, door() as other:
        for accept, status in (("application/json", 200), ("application/graphql-response+json", 400)):
            unknown = await ask(one, hashed(NAME), {"accept": accept})
            assert first(unknown) == (status, "PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
            assert unknown.headers["cache-control"] == "no-store"
        assert (await ask(one, hashed(NAME, query=NAME))).json()["data"] == {"__typename": "Query"}
        for client in (one, other):
            assert (await ask(client, hashed(NAME))).json()["data"] == {"__typename": "Query"}
            by_get = await client.get("/graphql", params={"extensions": orjson.dumps(hashed(NAME)["extensions"]).decode()})
            assert by_get.json()["data"] == {"__typename": "Query"}
            assert by_get.headers["cache-control"].startswith("public")
        by_id = await ask(other, {"documentId": f"sha256:{sha256(NAME)}"})
        assert by_id.json()["data"] == {"__typename": "Query"}


async def test_a_hash_that_is_not_the_documents(door: Door) -> None:
    async with door() as client:
        wrong = await ask(client, hashed(LISTED, query=NAME))
        assert first(wrong)[::2] == (400, "BAD_REQUEST")
        assert "is not the SHA-256" in first(wrong)[1]
        assert first(await ask(client, hashed(LISTED)))[1] == "PersistedQueryNotFound"


async def test_what_is_refused_is_not_kept(door: Door) -> None:
    deep = "{ " + "__schema { types { " * 12 + "name" + " } }" * 12 + " }"
    async with door() as client:
        for document in (BROKEN, "{", deep, LISTED):
            assert (await ask(client, hashed(document, query=document))).status_code in {400, 401}
            assert first(await ask(client, hashed(document)))[1] == "PersistedQueryNotFound"


@pytest.mark.parametrize(
    "said",
    [
        3,
        [],
        {},
        {"version": 2, "sha256Hash": sha256(NAME)},
        {"version": 1, "sha256Hash": sha256(NAME).upper()},
        {"version": 1, "sha256Hash": "x"},
        {"version": 1, "sha256Hash": None},
    ],
)
async def test_malformed_extensions(client: AsyncClient, said: Any) -> None:
    answer = await ask(client, {"query": NAME, "extensions": {"persistedQuery": said}})
    assert first(answer)[::2] == (400, "BAD_REQUEST")


@pytest.mark.parametrize("id", ["", "x" * 201, 3, ["x"], {}])
async def test_malformed_ids(client: AsyncClient, id: Any) -> None:
    assert first(await ask(client, {"documentId": id}))[::2] == (400, "BAD_REQUEST")
    assert first(await ask(client, {"documentId": "x", "query": NAME}))[::2] == (400, "BAD_REQUEST")


async def test_kept_documents_are_bounded(door: Door, key: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers push out strangers' documents only, and a long one is run but not kept."""
    monkeypatch.setattr(shared_documents, "MOST", 3)
    monkeypatch.setattr(shared_documents, "MOST_HERE", 1)
    long = NAME + "#" * 5000
    documents = [f"query N{number} {{ __typename }}" for number in range(5)]
    async with door() as client:
        assert (await ask(client, hashed(LISTED, query=LISTED), key)).status_code == 200
        for document in documents:
            assert (await ask(client, hashed(document, query=document))).status_code == 200
        found = [(await ask(client, hashed(document))).status_code == 200 for document in documents]
        assert found == [False, False, True, True, True]
        assert (await ask(client, hashed(LISTED), key)).status_code == 200
        monkeypatch.setattr(shared_documents, "MAX_BYTES", 1000)
        assert (await ask(client, hashed(long, query=long))).status_code == 200
        assert first(await ask(client, hashed(long)))[1] == "PersistedQueryNotFound"


async def test_without_redis_a_process_remembers_alone(door: Door) -> None:
    async with door(redis_url="redis://localhost:1/0") as client:
        assert first(await ask(client, hashed(NAME)))[1] == "PersistedQueryNotFound"
        assert (await ask(client, hashed(NAME, query=NAME))).status_code == 200
        assert (await ask(client, hashed(NAME))).json()["data"] == {"__typename": "Query"}


async def test_the_operators_list(door: Door, key: dict[str, str]) -> None:
    """By its own id (an MD5 of relay-compiler, say), by SHA-256, and as an automatic persisted query that is always known."""
    async with door({"d41d8": LISTED, "two": TWO}) as client:
        for body in ({"documentId": "d41d8"}, {"documentId": f"sha256:{sha256(LISTED)}"}, hashed(LISTED), {"query": LISTED}):
            answer = await ask(client, {**body, "variables": {"first": 1}}, key)
            assert answer.json()["data"] == {"projects": {"totalCount": 0}}, body
        assert first(await ask(client, {"documentId": "other"}))[::2] == (404, "DOCUMENT_NOT_FOUND")
        assert (await ask(client, {"documentId": "two", "operationName": "One"})).status_code == 200
        assert (await client.get("/graphql", params={"documentId": "two", "operationName": "Two"})).status_code == 405
        expensive = await ask(client, {"documentId": "d41d8", "variables": {"first": 10**6}}, key)
        assert "errors" in expensive.json(), "limits hold for what is listed too"


async def test_required_runs_the_list_and_nothing_else(door: Door, key: dict[str, str]) -> None:
    async with door({"d41d8": LISTED}, graphql_documents="required") as client:
        for body in ({"documentId": "d41d8"}, hashed(LISTED), {"query": LISTED}, hashed(LISTED, query=LISTED)):
            assert (await ask(client, body, key)).json()["data"] == {"projects": {"totalCount": 0}}
        for query in (NAME, "{ __schema { queryType { name } } }", LISTED + " "):
            status, message, code = first(await ask(client, {"query": query}, key))
            assert (status, code, "GRAPHQL_DOCUMENTS=required" in message) == (403, "DOCUMENT_NOT_LISTED", True)
        not_supported = (400, "PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")
        assert first(await ask(client, hashed(NAME), key)) == not_supported
        assert first(await ask(client, hashed(NAME, query=NAME), key))[2] == "DOCUMENT_NOT_LISTED"
        streamed = await client.post("/graphql/stream", json={"query": NAME}, headers=key)
        assert first(streamed)[2] == "DOCUMENT_NOT_LISTED"
        by_rest = await client.get("/api/projects", headers=key)
        assert by_rest.status_code == 200, "the documents of REST are the server's own"


async def test_off_runs_what_is_sent_in_full(door: Door) -> None:
    async with door(graphql_documents="off") as client:
        assert first(await ask(client, hashed(NAME)))[1] == "PersistedQueryNotSupported"
        assert (await ask(client, hashed(NAME, query=NAME))).status_code == 200
        assert first(await ask(client, {"documentId": "x"}))[2] == "DOCUMENT_NOT_FOUND"


async def test_what_is_wrong_in_the_list_is_named_and_refused(door: Door, capsys: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as logs:
        async with door({"good": NAME, "bad": BROKEN, "none": 3}) as client:
            assert (await ask(client, {"documentId": "good"})).status_code == 200
            for id in ("bad", "none"):
                assert (
                    f"The document '{id}' in the list of this server is not valid"
                    in first(await ask(client, {"documentId": id}))[1]
                )
            path = client._transport.app.state.services.settings.graphql_document_list  # type: ignore[attr-defined]
    assert {line["document"] for line in logs if line["event"] == "document_refused"} == {"bad", "none"}
    assert document_list.main(str(path)) == 1
    assert "bad: Cannot query field 'nothing'" in capsys.readouterr().out


@pytest.mark.slow
def test_doctor_looks_at_the_list(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "documents.json"
    world = doctor.World(settings.model_copy(update={"graphql_document_list": path}), DataFolder(tmp_path), None)
    path.write_bytes(orjson.dumps({"good": NAME}))
    assert doctor._documents(world).endswith("is valid")
    path.write_bytes(orjson.dumps({"good": NAME, "bad": BROKEN}))
    with pytest.raises(Trouble, match=r"1 of .* refused: bad: Cannot query field 'nothing'"):
        doctor._documents(world)
    path.unlink()
    with pytest.raises(Trouble, match="cannot be read"):
        doctor._documents(world)


async def test_apollos_manifest(door: Door) -> None:
    operations = [{"id": "x1", "name": "Name", "type": "query", "body": NAME}]
    async with door({"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}) as client:
        assert (await ask(client, {"documentId": "x1"})).json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b"3"])
def test_a_file_that_is_no_list_stops_the_start(settings: Settings, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "documents.json"
    path.write_bytes(content)
    with pytest.raises(Trouble, match=r"documents\.json"):
        create_app(settings.model_copy(update={"graphql_document_list": path}))
    path.unlink()
    with pytest.raises(Trouble, match="cannot be read"):
        create_app(settings.model_copy(update={"graphql_document_list": path}))


def test_settings_that_contradict_each_other(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs GRAPHQL_DOCUMENT_LIST"):
        Settings.model_validate({**settings.model_dump(), "graphql_documents": "required"})
    with pytest.raises(ValidationError, match="has no effect"):
        Settings.model_validate({**settings.model_dump(), "graphql_documents": "off", "graphql_document_list": tmp_path})
