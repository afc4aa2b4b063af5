"""PostgreSQL frozen (SIGSTOP, a network that swallows packets): every request is refused soon, and all is well afterwards."""

import asyncio
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from coreplex.errors.tree import Unavailable
from coreplex.platform import database_watch
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests import servers
from tests.factories.account import PASSWORD, bearer, browser, make_key, make_user, serving

LONGEST_SECS = 8.0
"""5 s is the aim, with room for a busy machine; without the watch it is 15 and more."""


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[servers.Servers, str]]:
    with servers.running() as found:
        servers.make_template(found.postgres.url("postgres"), "template")
        yield found, servers.make_database(found.postgres.url("postgres"), "frozen", "template")


class Frozen:
    """The server and its back-ends stopped for the time of the block."""

    def __init__(self, own: servers.Servers) -> None:
        assert own.postgres.child is not None
        self.postmaster = psutil.Process(own.postgres.child.pid)

    def __enter__(self) -> None:
        self.stopped = [self.postmaster, *self.postmaster.children(recursive=True)]
        for process in self.stopped:
            process.send_signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.stopped):
            process.send_signal(signal.SIGCONT)


async def test_nobody_waits_for_a_frozen_database(settings: Settings, own: tuple[servers.Servers, str]) -> None:
    running, url = own
    database = Database(url, pool_size=2)
    user = await make_user(database)
    _, key = await make_key(database, user)
    chosen = settings.model_copy(update={"database_url": url, "database_pool_size": 4})
    async with serving(chosen) as app, browser(app) as client:
        client.headers.update(bearer(key))
        assert (await client.get("/api/projects")).status_code == 200
        body = {"query": "{ projects { totalCount } }"}
        login = {"email": user.email, "password": PASSWORD}

        async def asked() -> list[int]:
            requests = [
                *(client.get("/api/projects") for _ in range(10)),
                *(
                    client.post("/api/projects", json={"name": f"frozen {n}"}, headers={"Idempotency-Key": f"{n}"})
                    for n in range(5)
                ),
                client.post("/graphql", json=body),
                client.post("/api/auth/login", json=login),
            ]
            answers = await asyncio.gather(*requests)
            assert all(answer.status_code == 200 or answer.json().get("code") != "internal" for answer in answers)
            return [
                answer.json()["errors"][0]["extensions"]["status"] if "errors" in answer.json() else answer.status_code
                for answer in answers
            ]

        with Frozen(running):
            began = time.monotonic()
            assert set(await asked()) == {503}
            assert time.monotonic() - began < LONGEST_SECS
            assert app.state.services.database.watch.silent.is_set()
            assert set(await asked()) == {503}, "at once: it is known by now"
        async with asyncio.timeout(60):
            while (await client.get("/api/projects")).status_code != 200:  # noqa: ASYNC110 only asking tells
                await asyncio.sleep(0.1)
        assert set(await asked()) <= {200, 201}
        assert (await client.get("/api/projects")).json()["total"] == 5
    await database.close()


async def test_our_own_pause_is_not_its_silence(own: tuple[servers.Servers, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped, or computed, for longer than an answer may take has missed one question at most."""
    monkeypatch.setattr(database_watch, "EVERY_SECS", 0.02)
    monkeypatch.setattr(database_watch, "ANSWER_SECS", 0.5)
    database = Database(own[1], pool_size=1)
    watching = asyncio.create_task(database.watch.run())
    for _ in range(3):
        await asyncio.sleep(0.1)
        time.sleep(0.8)  # noqa: ASYNC251 that is the point
        assert not database.watch.silent.is_set()
    async with database.read():
        pass
    with Frozen(own[0]):
        async with asyncio.timeout(20):
            await database.watch.silent.wait()
        with pytest.raises(Unavailable):
            await database.ping()
    async with asyncio.timeout(20):
        while database.watch.silent.is_set():  # noqa: ASYNC110 nothing rings when it ends
            await asyncio.sleep(0.02)
    await database.ping()
    watching.cancel()
    await database.close()
