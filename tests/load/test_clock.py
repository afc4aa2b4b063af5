"""The clock goes back an hour under load: nothing hangs until it is there again, nothing is refused, doubled or lost."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests import servers
from tests.factories.account import bearer
from tests.factories.experiment import LONG, ROW, Lab, trained
from tests.load.stepped import BACK, FIRST, HOUR, STEPPED
from tests.load.test_serving_away import Callers, check_logged
from tests.rest.test_deployment import deploy, one
from tests.stack import ADMIN_EMAIL, ADMIN_PASSWORD, Stack, running

SOON_SECS = 60.0
"""A job of a dead worker is taken over within 12 s, a step of a canary within 15; on a busy machine it takes longer."""
RIGHT, WRONG = ({"email": ADMIN_EMAIL, "password": password} for password in (ADMIN_PASSWORD, "wrong-horse-battery"))


@pytest.fixture(scope="module")
def lab(addresses: dict[str, str], worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A person with trained models on a stack whose clocks, the database's too, can be put back."""
    name = f"coreplexml_clock_{worker_id}_{os.getpid()}"
    database = servers.make_database(addresses["database"], name, addresses["template"])
    redis = servers.redis_database(addresses["redis"], 100 + (int(worker_id[2:]) if worker_id.startswith("gw") else 0))
    for statement in (STEPPED, FIRST.format(name=name)):
        servers.execute(database, statement)
    stepped = ("-m", "tests.load.stepped")
    try:
        with (
            running(database, redis, tmp_path_factory.mktemp("clock"), (*stepped, "asgi"), (*stepped, "workers")) as stack,
            trained(stack) as made,
        ):
            yield made
    finally:
        servers.drop_database(addresses["database"], name)


def put_back(stack: Stack) -> None:
    servers.execute(stack.database_url, BACK)
    stack.environment["PUT_BACK"] = str(HOUR)  # for whoever is started from now on
    for child in stack.children.values():
        child.send_signal(signal.SIGUSR2)


async def value(stack: Stack, query: str, *values: object) -> Any:
    connection = await asyncpg.connect(stack.database_url)
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


async def soon(stack: Stack, expected: Any, query: str, *values: object) -> None:
    async with asyncio.timeout(SOON_SECS):
        while (found := await value(stack, query, *values)) != expected:
            assert found is not None
            await asyncio.sleep(0.3)


async def locked_out(client: httpx.AsyncClient) -> None:
    """Sign in with a wrong password until nothing is evaluated any more."""
    for _ in range(20):
        if (await client.post("/api/auth/login", json=WRONG)).status_code == 429:
            return
    raise AssertionError("every password was looked at")


@pytest.mark.slow
async def test_an_hour_back(lab: Lab) -> None:
    stack, key = lab.stack, {"Idempotency-Key": str(uuid4())}
    champion, challenger = deploy(lab, "champion"), deploy(lab, "challenger", "staging", 1)
    path, canary = f"{one(champion)}/predict", f"{one(champion)}/canary"
    callers = Callers([stack.base_url], f"{one(deploy(lab, 'asked', 'staging'))}/predict", lab.key)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=bearer(lab.key), timeout=60) as client:
        asking = asyncio.create_task(callers.run())
        first = await client.post(path, json={"inputs": ROW}, headers=key)
        experiment = lab.start(name="Long", config=LONG)
        lab.wait(experiment, "running")
        stack.kill("worker")  # its job has a lease, and its row says that it was there a moment ago
        async with httpx.AsyncClient(base_url=stack.base_url) as stranger:
            await locked_out(stranger)
        steps = {"candidate_deployment_id": challenger, "steps": [50], "auto_advance": True, "min_secs": 1, "min_row_count": 0}
        assert (await client.post(canary, json=steps)).status_code == 201
        waiting = asyncio.create_task(seconds_waited(client, experiment))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(put_back, stack)

        assert await waiting < 20
        assert (await client.get("/ready")).json()["checks"]["worker"] == "no worker has reported lately"
        for answer in (await client.get("/api/projects"), await client.get("/health"), await client.get("/api/projects")):
            assert 0 <= int(answer.headers["X-RateLimit-Reset"]) - (time.time() - HOUR) <= 61
        async with httpx.AsyncClient(base_url=stack.base_url) as stranger:
            assert (await stranger.post("/api/auth/login", json=RIGHT)).status_code == 200
            assert ADMIN_EMAIL in (await stranger.get("/api/auth/me")).text
        again = await client.post(path, json={"inputs": ROW}, headers=key)
        assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")

        stack.launch("worker")
        await asyncio.to_thread(stack.wait)
        await soon(stack, 2, "SELECT attempts FROM jobs WHERE entity_id::text = $1", experiment)
        await soon(stack, "completed", "SELECT status FROM rollouts WHERE candidate_id::text = $1", challenger)
        await soon(stack, False, "SELECT bool_or(next_at > clock_timestamp() + interval '1 day') FROM schedules")
        await client.post(f"/api/experiments/{experiment}/stop")
        await asyncio.to_thread(lab.wait, experiment)
        callers.ended.set()
        await asking
    assert set(callers.statuses) == {200}
    assert callers.longest < 5
    await check_logged(lab, callers.path.split("/")[-2], callers.told)
    for name in ("web", "worker"):
        assert "Traceback" not in (stack.folder / f"{name}.log").read_text()


async def seconds_waited(client: httpx.AsyncClient, experiment: str) -> float:
    """How long an empty list of models is held back, which began before the clock was put back."""
    began = time.monotonic()
    query = "query($of: ID!) { models(filter: {experimentId: $of}, waitSecs: 3) { totalCount } }"
    answer = await client.post("/graphql", json={"query": query, "variables": {"of": experiment}})
    assert answer.json()["data"] == {"models": {"totalCount": 0}}
    return time.monotonic() - began
