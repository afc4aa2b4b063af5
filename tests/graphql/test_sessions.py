"""One's own account: its name, and the browsers it is signed in with, which end everywhere at once."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select
from sqlmodel import col
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from coreplex.account.table import Session, User
from coreplex.event.table import Event
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import bearer, browser, make_key, make_user, serving, sign_in

LIST = "{ sessions { totalCount nodes { id createdAt lastSeenAt expiresAt isRemembered isCurrent userAgent network } } }"
END = "mutation($id: ID!) { endSession(input: {sessionId: $id}) { deletedId } }"
END_OTHERS = "mutation { endOtherSessions { deletedIds } }"
RENAME = "mutation($input: UpdateMeInput!) { updateMe(input: $input) { user { id name } } }"
ME = "{ me { name } }"


async def ask(client: AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
    return (await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)).json()


def code(answer: Any) -> str:
    return str(answer["errors"][0]["extensions"]["code"]).lower()


@pytest.fixture
async def user(database: Database) -> User:
    return await make_user(database)


async def count(database: Database, user: User) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(Session).where(col(Session.user_id) == user.id)) or 0


async def test_a_person_sees_their_own_browsers(client: AsyncClient, app: Any, database: Database, user: User) -> None:
    async with browser(app, address="2001:db8:1:2:3::4") as other, browser(app) as stranger:
        other.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
        await sign_in(other, user.email, remember=True)
        await sign_in(client, user.email)
        await sign_in(stranger, (await make_user(database)).email)
        found = (await ask(client, LIST))["data"]["sessions"]
        assert found["totalCount"] == 2
        here, there = found["nodes"]
        assert (here["isCurrent"], here["isRemembered"], here["network"]) == (True, False, "192.0.2.0/24")
        assert (there["isCurrent"], there["isRemembered"], there["network"]) == (False, True, "2001:db8:1::/48")
        assert there["userAgent"].endswith("Firefox/140.0")
        assert there["expiresAt"] > here["expiresAt"] > here["createdAt"]
        searched = '{ sessions(search: "firefox", sort: {field: LAST_SEEN_AT}) { nodes { id } } }'
        assert [one["id"] for one in (await ask(client, searched))["data"]["sessions"]["nodes"]] == [there["id"]]


async def test_an_ended_session_is_signed_out_everywhere(
    client: AsyncClient, settings: Settings, database: Database, user: User
) -> None:
    """Also in another process, which remembers whose the cookie is."""
    headers = await sign_in(client, user.email)
    async with serving(settings) as elsewhere, browser(elsewhere) as other:
        await sign_in(other, user.email)
        assert (await ask(other, ME))["data"]["me"]["name"] == "Ada"
        (gone,) = [one for one in (await ask(client, LIST))["data"]["sessions"]["nodes"] if not one["isCurrent"]]
        assert (await ask(client, END, headers, id=gone["id"]))["data"]["endSession"]["deletedId"] == gone["id"]
        async with asyncio.timeout(5):
            while "errors" not in await ask(other, ME):  # noqa: ASYNC110 the word travels through the database
                await asyncio.sleep(0.02)
    assert code(await ask(client, END, headers, id=gone["id"])) == "not_found"
    assert await count(database, user) == 1
    async with database.read() as session:
        kinds = set(await session.scalars(select(Event.type).where(col(Event.entity_id) == user.id)))
    assert "session.ended" in kinds


async def test_what_it_follows_ends_too(address: str, app: Any, database: Database, user: User) -> None:
    async with browser(app) as here, browser(app) as there:
        headers = await sign_in(here, user.email)
        await sign_in(there, user.email)
        cookie = f"session={there.cookies['session']}"
        options: Any = {"subprotocols": ["graphql-transport-ws"], "additional_headers": {"Cookie": cookie}}
        async with connect(f"ws://{address}/graphql", **options) as socket:
            await socket.send('{"type": "connection_init"}')
            assert "connection_ack" in str(await socket.recv())
            nodes = (await ask(there, LIST))["data"]["sessions"]["nodes"]
            (ended,) = [one["id"] for one in nodes if one["isCurrent"]]
            assert (await ask(here, END_OTHERS, headers))["data"]["endOtherSessions"]["deletedIds"] == [ended]
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403
        assert (await ask(here, ME))["data"]["me"]["name"] == "Ada"
        assert (await ask(here, END_OTHERS, headers))["data"]["endOtherSessions"]["deletedIds"] == []


async def test_ending_ones_own_session_is_signing_out(client: AsyncClient, database: Database, user: User) -> None:
    headers = await sign_in(client, user.email)
    (mine,) = (await ask(client, LIST))["data"]["sessions"]["nodes"]
    assert (await ask(client, END, headers, id=mine["id"]))["data"]["endSession"]["deletedId"] == mine["id"]
    assert "session" not in client.cookies
    assert code(await ask(client, ME)) == "unauthenticated"


async def test_nobody_ends_anothers_session(client: AsyncClient, app: Any, database: Database, user: User) -> None:
    async with browser(app) as other:
        await sign_in(other, user.email)
        (theirs,) = (await ask(other, LIST))["data"]["sessions"]["nodes"]
    headers = await sign_in(client, (await make_user(database)).email)
    for id in (theirs["id"], "nonsense"):
        assert code(await ask(client, END, headers, id=id)) == "not_found"
    _, key = await make_key(database, user)
    async with browser(app) as program:
        for query, variables in ((LIST, {}), (END, {"id": theirs["id"]}), (END_OTHERS, {}), (RENAME, {"input": {"name": "X"}})):
            assert code(await ask(program, query, bearer(key), **variables)) == "forbidden"
    assert code(await ask(client, END, id=theirs["id"])) == "forbidden", "no CSRF token"
    assert await count(database, user) == 1


async def test_a_name_of_ones_own(client: AsyncClient, database: Database, user: User) -> None:
    headers = await sign_in(client, user.email)
    assert (await ask(client, RENAME, headers, input={"name": " Grace  "}))["data"]["updateMe"]["user"] == {
        "id": str(user.id),
        "name": "Grace",
    }
    assert (await ask(client, ME))["data"]["me"]["name"] == "Grace"
    assert (await ask(client, RENAME, headers, input={}))["data"]["updateMe"]["user"]["name"] == "Grace"
    for wrong in ("", "  ", "x" * 201, "a\nb"):
        assert code(await ask(client, RENAME, headers, input={"name": wrong})) == "invalid"
    assert (await ask(client, ME))["data"]["me"]["name"] == "Grace"


async def test_sent_again_under_a_key_it_is_done_once(client: AsyncClient, app: Any, database: Database, user: User) -> None:
    headers = await sign_in(client, user.email)
    async with browser(app) as other:
        await sign_in(other, user.email)
    for query, variables in ((END_OTHERS, {}), (RENAME, {"input": {"name": "Grace"}})):
        keyed = {**headers, "Idempotency-Key": query[:20]}
        first = await ask(client, query, keyed, **variables)
        assert "errors" not in first, first
        assert (await ask(client, query, keyed, **variables))["data"] == first["data"]
