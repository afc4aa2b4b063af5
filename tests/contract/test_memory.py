"""A web process near its memory limit refuses, in place of being killed, and is replaced when it stays there."""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
import uvicorn

import asgi
from coreplex.platform import memory
from coreplex.platform.database import Database
from coreplex.platform.heartbeat import Heartbeat
from coreplex.platform.memory import MemoryWatch
from coreplex.platform.settings import Settings
from tests.factories.account import browser, make_key, make_user, serving

MIB = 1 << 20


class Used(MemoryWatch):
    """Uses as much memory as one says."""

    used = 0

    def _used(self) -> int:
        return self.used


async def test_near_the_limit_requests_are_refused_and_probes_are_not(settings: Settings) -> None:
    async with serving(settings) as app, browser(app) as client:
        watch = app.state.services.parts[MemoryWatch] = Used(100 * MIB)
        watch.used = 81 * MIB
        assert not watch.look()
        rest, graphql = await client.get("/api/projects"), await client.post("/graphql", json={"query": "{ __typename }"})
        assert rest.json()["code"].upper() == graphql.json()["errors"][0]["extensions"]["code"] == "BUSY"
        for answer in (rest, graphql):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert (await client.get("/health")).status_code == 200
        watch.used = 79 * MIB
        assert not watch.look()
        assert (await client.post("/graphql", json={"query": "{ __typename }"})).status_code == 200


async def test_a_request_that_needs_too_much_is_told_so(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = await make_key(database, await make_user(database))
    async with serving(settings) as app, browser(app) as client:
        client.headers["Authorization"] = f"Bearer {token}"

        def too_much(*_arguments: Any, **_more: Any) -> None:
            raise MemoryError

        monkeypatch.setattr("coreplex.platform.database.Database.read", too_much)
        rest: Any = await client.get("/api/projects")
        assert (rest.status_code, rest.json()["code"], rest.headers["Retry-After"]) == (503, "busy", "5")
        graphql = await client.post("/graphql", json={"query": "{ projects(first: 1) { totalCount } }"})
        assert orjson.loads(graphql.content)["errors"][0]["extensions"]["code"] == "BUSY"


async def test_who_stays_short_of_memory_ends_in_order(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PATIENT_SECS", -1.0)
    watch = Used(100 * MIB)
    server = asgi.Server(uvicorn.Config(asgi.create_app(settings), log_config=None), Heartbeat(), watch)
    assert not await server.on_tick(1)
    watch.used = 90 * MIB
    assert await server.on_tick(2)
    assert server.outgrown


ASKS = """
import resource, subprocess, sys
from coreplex.platform.memory import MemoryWatch
MemoryWatch({limit}).limit_allocations()
try:
    bytearray({asked})
except MemoryError:
    print("refused", flush=True)
child = subprocess.Popen([sys.executable, "-c", "input(); bytearray({asked}); print('granted')"], stdin=subprocess.PIPE)
resource.prlimit(child.pid, resource.RLIMIT_DATA, (4 * {asked}, 4 * {asked}))
child.communicate(b"go")
"""


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit is Linux's")
def test_what_is_asked_for_beyond_the_limit_is_an_error_and_children_may_have_more() -> None:
    code = ASKS.format(limit=256 * MIB, asked=1024 * MIB)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert said.stdout.split() == ["refused", "granted"], said.stderr


def test_the_real_figure_is_looked_at() -> None:
    assert not MemoryWatch(1 << 40).look()
    small = MemoryWatch(MIB)
    small.look()
    assert small.short


@pytest.mark.parametrize(("says", "gives"), [("max\n", None), (f"{1200 * MIB}\n", 600 * MIB), (f"{100 * MIB}\n", 512 * MIB)])
def test_the_limit_is_at_most_half_of_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, gives: int | None
) -> None:
    group = tmp_path / "memory.max"
    group.write_text(says)
    monkeypatch.setattr("coreplex.platform.settings.CONTROL_GROUP_MEMORY", group)
    machine = psutil.virtual_memory().total
    assert Settings().web_memory_bytes == (gives or max(512 * MIB, min(2048 * MIB, machine // 2)))
