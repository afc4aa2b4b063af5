"""Queries and mutations over a WebSocket: the same answers, rights and prices as by POST, and no more than those."""

import asyncio
import hashlib
from typing import Any

import orjson
import pytest
from httpx import AsyncClient
from sqlalchemy import text
from starlette.applications import Starlette
from websockets import ClientConnection

from coreplex.account.table import ApiKey
from coreplex.job.table import Job
from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope
from coreplex.platform.settings import Settings
from edge.unread import Unread
from schema.door import work
from tests.factories.account import PASSWORD, make_key, make_user, sign_in
from tests.graphql.conftest import served_on
from tests.graphql.test_door_websocket import dial, greet, hear, owned, said, say  # noqa: F401 a fixture

Owned = tuple[str, Job, ApiKey]
CREATE = "mutation($name: String!) { createProject(input: {name: $name}) { project { id name } } }"


async def ask(socket: ClientConnection, query: str | None, id: str = "1", **more: Any) -> dict[str, Any]:
    """The payload of the one answer, checked to be followed by `complete`; an error's first entry."""
    await say(socket, {"id": id, "type": "subscribe", "payload": {"query": query, **more}})
    heard = await hear(socket)
    assert heard["id"] == id
    if heard["type"] == "error":
        return {"error": heard["payload"][0]}
    assert heard["type"] == "next"
    assert await hear(socket) == {"id": id, "type": "complete"}
    payload: dict[str, Any] = heard["payload"]
    return payload


def code(payload: dict[str, Any]) -> str:
    found = payload["error"]["extensions"]["code"]
    assert isinstance(found, str)
    return found


async def projects(database: Database) -> int:
    async with database.read() as session:
        return int(await session.scalar(text("SELECT count(*) FROM projects")) or 0)


async def test_queries_and_mutations(address: str, owned: Owned) -> None:  # noqa: F811
    async with dial(address) as socket, AsyncClient(base_url=f"http://{address}") as web:
        await greet(socket, owned[0])
        made = await ask(socket, CREATE, variables={"name": "By socket"})
        assert made["data"]["createProject"]["project"]["name"] == "By socket"
        listed = "query($n: Int) { projects(first: $n) { nodes { name } } }"
        found = await ask(socket, listed, variables={"n": 5})
        headers = {"authorization": f"Bearer {owned[0]}"}
        posted = await web.post("/graphql", json={"query": listed, "variables": {"n": 5}}, headers=headers)
        assert found == posted.json()
        partly = await ask(socket, '{ __typename project(id: "nonsense") { id } }')
        assert partly["errors"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_refusals_are_errors_of_the_operation(address: str, owned: Owned, database: Database) -> None:  # noqa: F811
    before = await projects(database)
    deep = "{ projects(first: 500) { nodes { members(first: 500) { nodes { id } } } } }"
    _, reader = await make_key(database, await make_user(database), (Scope.read,))
    async with dial(address) as socket, dial(address) as reading:
        await greet(socket, owned[0])
        await greet(reading, reader)
        assert code(await ask(socket, "{ nothing }")) == "BAD_REQUEST"
        assert code(await ask(socket, CREATE, variables={"name": None})) == "BAD_REQUEST"
        assert code(await ask(socket, None)) == "BAD_REQUEST"
        assert code(await ask(socket, deep)) == "TOO_EXPENSIVE"
        assert code(await ask(reading, CREATE, variables={"name": "x"})) == "FORBIDDEN"
    assert await projects(database) == before


async def test_documents_by_hash(address: str, owned: Owned) -> None:  # noqa: F811
    query = "query ByHash { __typename }"
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(query.encode()).hexdigest()}}
    async with dial(address) as socket:
        await greet(socket, owned[0])
        missed = await ask(socket, None, extensions=extensions)
        assert missed["error"]["message"] == "PersistedQueryNotFound"
        for sent in (query, None):
            assert (await ask(socket, sent, extensions=extensions))["data"] == {"__typename": "Query"}


async def test_a_cookie_changes_nothing_without_its_token(address: str, database: Database) -> None:
    user = await make_user(database)
    async with AsyncClient(base_url=f"http://{address}") as web:
        csrf = (await sign_in(web, user.email))["X-CSRF-Token"]
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in web.cookies.items())}
    before = await projects(database)
    for payload, allowed in (({}, False), ({"csrfToken": "wrong"}, False), ({"csrfToken": csrf}, True)):
        async with dial(address, origin=f"http://{address}", additional_headers=header) as socket:
            await say(socket, {"type": "connection_init", "payload": payload})
            assert await hear(socket) == {"type": "connection_ack"}
            assert (await ask(socket, "{ me { id } }"))["data"]["me"]
            made = await ask(socket, CREATE, variables={"name": "x"})
            assert ("data" in made) is allowed, made
            assert allowed or (code(made), "csrfToken" in made["error"]["message"]) == ("FORBIDDEN", True)
            assert await projects(database) == before + allowed


async def test_what_sets_cookies_goes_by_post(address: str, database: Database) -> None:
    user = await make_user(database)
    _, token = await make_key(database, user)
    login = "mutation($i: LoginInput!) { login(input: $i) { user { id } } }"
    async with dial(address) as socket:
        await greet(socket, token)
        refused = await ask(socket, login, variables={"i": {"email": user.email, "password": PASSWORD}})
        assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "send it by POST" in refused["errors"][0]["message"]
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM sessions")) == 0


async def test_sent_again_under_a_key_it_is_done_once(address: str, owned: Owned, database: Database) -> None:  # noqa: F811
    """Also where the first was by POST and the second by socket: a client may fall back."""
    before = await projects(database)
    key = {"idempotencyKey": "k-1"}
    headers = {"authorization": f"Bearer {owned[0]}", "Idempotency-Key": "k-2"}
    async with dial(address) as socket, AsyncClient(base_url=f"http://{address}", headers=headers) as web:
        await greet(socket, owned[0])
        first, second = [await ask(socket, CREATE, variables={"name": "Once"}, extensions=key) for _ in range(2)]
        assert first["data"] == second["data"]
        assert second["extensions"]["idempotentReplayed"] is True
        other = await ask(socket, CREATE, variables={"name": "Other"}, extensions=key)
        assert code(other) == "CONFLICT"
        posted = await web.post("/graphql", json={"query": CREATE, "variables": {"name": "Posted"}})
        again = await ask(socket, CREATE, variables={"name": "Posted"}, extensions={"idempotencyKey": "k-2"})
        assert again["data"] == posted.json()["data"]
        assert code(await ask(socket, "{ __typename }", extensions=key)) == "BAD_REQUEST"
        assert code(await ask(socket, CREATE, variables={"name": "x"}, extensions={"idempotencyKey": 3})) == "BAD_REQUEST"
    assert await projects(database) == before + 2


async def test_an_answer_with_a_refusal_in_it_is_not_kept(address: str, owned: Owned, database: Database) -> None:  # noqa: F811
    """What was done is found again, what was refused is tried again."""
    before = await projects(database)
    a = 'a: createProject(input: {name: "Once"}) { project { id } userErrors { code } }'
    both = f'mutation {{ {a} b: createProject(input: {{name: " "}}) {{ project {{ id }} userErrors {{ code }} }} }}'
    async with dial(address) as socket:
        await greet(socket, owned[0])
        first, again = [await ask(socket, both, extensions={"idempotencyKey": "k"}) for _ in range(2)]
    assert first["data"] == again["data"]
    assert first["data"]["a"]["project"]
    assert first["data"]["b"]["userErrors"] == [{"code": "INVALID"}]
    assert await projects(database) == before + 1
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(body) FROM idempotency_keys")) == 0


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_mutation_is_brought_to_its_end(
    app: Starlette,
    address: str,
    owned: Owned,  # noqa: F811
    database: Database,
    leaves: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether its client says that it wants no answer any more, or is gone."""
    before, running, go_on = await projects(database), asyncio.Event(), asyncio.Event()
    really = work.run

    async def slow(*given: Any) -> Any:
        running.set()
        await go_on.wait()
        return await really(*given)

    monkeypatch.setattr(work, "run", slow)
    async with dial(address) as socket:
        await greet(socket, owned[0])
        await say(socket, {"id": "1", "type": "subscribe", "payload": {"query": CREATE, "variables": {"name": "x"}}})
        await asyncio.wait_for(running.wait(), 10)
        if leaves:
            await socket.close()
        else:
            await say(socket, {"id": "1", "type": "complete"})
            await say(socket, {"type": "ping"})
            assert await said(socket) == "pong"
        assert await projects(database) == before
        go_on.set()
        for _ in range(100):
            if not work.Work.of(app.state.services)._going_on:
                break
            await asyncio.sleep(0.02)
    assert await projects(database) == before + 1


async def test_who_leaves_answers_untaken_is_answered_no_more(address: str, owned: Owned, app: Starlette) -> None:  # noqa: F811
    async with dial(address) as socket:
        await greet(socket, owned[0])
        Unread.of(app.state.services).most = 0
        assert code(await ask(socket, "{ me { id } }")) == "BUSY"


async def test_the_budget_is_one_over_all_transports(app: Starlette, settings: Settings, owned: Owned) -> None:  # noqa: F811
    from tests.factories.account import serving

    async with (
        serving(settings.model_copy(update={"rate_limit_general": "3/day"})) as strict,
        served_on(strict, settings) as found,
    ):
        async with dial(found) as socket:
            await greet(socket, owned[0])
            answers = [await ask(socket, query) for query in ("{ __typename }", "{", "{ me { id } }", "{ me { id } }")]
            assert ["data" in one for one in answers] == [True, False, True, False]
            assert code(answers[-1]) == "RATE_LIMITED"


async def test_required_documents_hold_for_sockets(settings: Settings, owned: Owned, tmp_path: Any) -> None:  # noqa: F811
    from tests.factories.account import serving

    path = tmp_path / "documents.json"
    path.write_bytes(orjson.dumps({"known": "query Known { me { id } }"}))
    rules = {"graphql_documents": "required", "graphql_document_list": path}
    strict = Settings.model_validate({**settings.model_dump(), **rules})
    async with serving(strict) as made, served_on(made, settings) as found:
        async with dial(found) as socket:
            await greet(socket, owned[0])
            assert (await ask(socket, None, documentId="known"))["data"]["me"]
            assert code(await ask(socket, "{ me { id } }")) == "DOCUMENT_NOT_LISTED"
            subscription = "subscription($j: ID!) { jobEvents(jobId: $j) { seq } }"
            assert code(await ask(socket, subscription, variables={"j": str(owned[1].id)})) == "DOCUMENT_NOT_LISTED"
