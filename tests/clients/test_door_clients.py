"""The doors of GraphQL as others' programs use them: graphql-http's audits, Apollo, urql, graphql-ws, graphql-sse."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from asgi import configuration
from coreplex.job.table import Job
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from schema.door.websocket import MAX_SOCKETS
from tests.clients.conftest import HERE, Program, running
from tests.factories.account import make_key, make_user, serving
from tests.graphql.followed import make_job, tell

AUDIT = HERE / "graphql-http-audit.md"
WRITE = "WRITE_GRAPHQL_HTTP_AUDIT"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def owned(database: Database) -> tuple[str, Job]:
    user = await make_user(database)
    _, token = await make_key(database, user)
    return token, await make_job(database, user)


def table(found: list[dict[str, Any]]) -> str:
    rows = [f"| {one['id']} | {one['name']} | {one['status']} |" for one in found]
    passed = sum(one["status"] == "ok" for one in found)
    return (
        f"# The audits of graphql-http\n\n{passed} of {len(found)} pass. "
        f"Written by `{WRITE}=1 ./scripts/test tests/clients`, and compared.\n\n"
        "| Id | Audit | Result |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


async def test_the_audits_of_graphql_http(programs: Path, address: str) -> None:
    async with running(programs, "audit.mjs", f"http://{address}/graphql") as program:
        found = await program.heard()
    assert len(found) >= 60
    failed = [one for one in found if one["status"] != "ok" and not one["name"].startswith("MAY")]
    assert not failed, failed
    if os.environ.get(WRITE):
        AUDIT.write_text(table(found))
    assert AUDIT.read_text() == table(found)


async def test_persisted_queries_of_apollo_and_urql(programs: Path, address: str, owned: tuple[str, Job]) -> None:
    """Each is asked twice: the first time the document is sent once after its hash was not known, the second time never."""
    async with running(programs, "persisted.mjs", f"http://{address}/graphql", owned[0]) as program:
        found = [await program.heard() for _ in range(8)]
    for one in found:
        assert one["data"]["projects"]["totalCount"] == 1, one
        assert one.get("error") is None, one
    said = {}
    for number, one in enumerate(found):
        said[one["name"], number % 2] = [(sent["method"], sent["document"]) for sent in one["sent"]]
    assert said["apollo Post", 0] == [("POST", False), ("POST", True)]
    assert said["apollo Post", 1] == [("POST", False)]
    assert said["apollo Get", 0] == [("GET", False), ("POST", True)]
    assert said["apollo Get", 1] == [("GET", False)]
    assert said["urql plain", 0] == said["urql plain", 1] == [("GET", True)]
    assert [method for method, _ in said["urql persisted", 0]] == ["GET", "GET"]
    assert said["urql persisted", 1] == [("GET", False)]


@asynccontextmanager
async def server(settings: Settings, port: int) -> AsyncIterator[int]:
    """The whole application at a port, stopped as a process is that gets SIGTERM."""
    async with serving(settings) as app:
        bound = socket.create_server(("127.0.0.1", port))
        config = configuration(settings, app)
        config.lifespan, config.timeout_graceful_shutdown = "off", 1
        running_server = uvicorn.Server(config)
        task = asyncio.create_task(running_server.serve([bound]))
        while not running_server.started:  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(0.01)
        try:
            yield bound.getsockname()[1]
        finally:
            running_server.should_exit = True
            await task


async def next_event(program: Program) -> str:
    while "heard" not in (said := await program.heard()):
        assert "errors" not in said, said
    found: str = said["heard"]
    return found


@pytest.mark.parametrize("client", ["sockets", "distinct", "single"])
async def test_a_subscription_outlives_its_server(
    programs: Path, settings: Settings, database: Database, owned: tuple[str, Job], client: str
) -> None:
    """Queries and mutations work too; what happened while there was no server is heard, once and in order."""
    token, job = owned
    async with server(settings, 0) as port:
        base = f"localhost:{port}"
        if client == "sockets":
            program = running(programs, "sockets.mjs", f"ws://{base}/graphql", token, str(job.id), str(MAX_SOCKETS))
        else:
            program = running(programs, "events.mjs", f"http://{base}/graphql/stream", token, str(job.id), client)
        started = await program.__aenter__()
        try:
            assert (await started.heard())["query"]["data"] == {"projects": {"totalCount": 1}}
            assert "By graphql-" in (await started.heard())["mutation"]["data"]["createProject"]["project"]["name"]
            failed = await started.heard()
            assert "failed" in failed, failed
            if client == "sockets":
                assert json.loads((await started.heard())["refused"]) == [4429, "At most 32 sockets at once; close one first."]
            await tell(database, job, "one")
            while (heard := await next_event(started)) != "one":
                assert heard == "" or heard is None or heard != "two"
            await tell(database, job, "two")
            assert await next_event(started) == "two"
        except BaseException:
            await program.__aexit__(None, None, None)
            raise
    try:
        await tell(database, job, "meanwhile")
        async with server(settings, port):
            await tell(database, job, "after")
            assert [await next_event(started) for _ in range(2)] == ["meanwhile", "after"]
            await started.say()
            if client != "sockets":
                assert await started.heard() in ({"completed": True}, {"disposed": True})
    finally:
        await program.__aexit__(None, None, None)
