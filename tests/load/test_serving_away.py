"""PostgreSQL or Redis away for ten seconds under predictions on two web processes: who is known is answered, and logged.

On servers of its own. Once what was away is back the log is compared with what the callers were told: nothing lost or doubled.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests import servers
from tests.factories.account import bearer
from tests.factories.experiment import ROW, Lab, trained
from tests.jobs.conftest import kill_postgres, revive_postgres
from tests.load.test_chaos import listed
from tests.load.test_hot_swap import another
from tests.rest.test_deployment import deploy, one
from tests.stack import running

AWAY_SECS = 10.0
CALLERS = 3
"""On each process."""
LONGEST_SECS = 5.0
"""Of an answer to who is known. A quiet machine shows 0.2; who waits until PostgreSQL is back waits ten."""
CAUGHT_UP_SECS = 60.0


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[servers.Servers, Lab, str]]:
    """Servers of the test's own, a person with trained models on them, and the address of a second web process."""
    with servers.running() as own:
        servers.make_template(own.postgres.url("postgres"), "template")
        database = servers.make_database(own.postgres.url("postgres"), "mortal", "template")
        servers.execute(database, "ALTER DATABASE mortal SET synchronous_commit = on")  # as it is for users
        with running(database, own.valkey.url(), tmp_path_factory.mktemp("mortal")) as stack, trained(stack) as lab:
            with another(stack) as second:
                yield own, lab, second


@dataclass
class Callers:
    """Who asks a deployment at every process, each time with a row that nobody else sends."""

    addresses: list[str]
    path: str
    key: str
    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    told: Counter[tuple[str, float]] = field(default_factory=Counter)
    """Request id and the row's number, of each answer."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        await asyncio.gather(*(self._call(address) for address in self.addresses * CALLERS))

    async def _call(self, address: str) -> None:
        async with httpx.AsyncClient(base_url=address, headers=bearer(self.key), timeout=60) as client:
            while not self.ended.is_set():
                size, began = random.random(), time.monotonic()
                answer = await client.post(self.path, json={"inputs": {**ROW, "size": size}})
                self.longest = max(self.longest, time.monotonic() - began)
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    assert all(warning["kind"] != "not_logged" for warning in answer.json()["warnings"])
                    self.told[answer.json()["request_id"], size] += 1
                await asyncio.sleep(0.02)


async def strangers(addresses: list[str], path: str, keys: list[str]) -> list[httpx.Response]:
    """Answers to good keys that no process has seen before, at each process."""
    found = []
    for address in addresses:
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            found += [await client.post(path, json={"inputs": ROW}, headers=bearer(key)) for key in keys]
    return found


async def check_logged(lab: Lab, deployment: str, told: Counter[tuple[str, float]]) -> float:
    """Every answer is in the log once; returns how long that took."""
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=lab.stack.base_url, headers=bearer(lab.key), timeout=60) as client:
        async with asyncio.timeout(CAUGHT_UP_SECS):
            while (await client.get(f"{one(deployment)}/logs", params={"limit": 1})).json().get("total", 0) < len(told):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        took = time.monotonic() - began
        entries = await listed(client, f"mlops/deployments/{deployment}/inference-logs")
        assert Counter((entry["request_id"], entry["inputs"]["size"]) for entry in entries) == told
        counted = (await client.get(one(deployment))).json()["deployment"]
        assert (counted["request_count"], counted["error_count"]) == (len(told), 0)
    return took


@pytest.mark.slow
async def test_redis_away(mortal: tuple[servers.Servers, Lab, str]) -> None:
    """Each process counts by itself meanwhile: who is known is answered, and so is who is not."""
    own, lab, second = mortal
    deployment = await asyncio.to_thread(deploy, lab, "served")
    unseen = [await asyncio.to_thread(lab.stack.key)]
    callers = Callers([lab.stack.base_url, second], f"{one(deployment)}/predict", lab.key)
    asking = asyncio.create_task(callers.run())
    await asyncio.sleep(1.5)
    await asyncio.to_thread(own.valkey.stop)
    found = await strangers(callers.addresses, callers.path, unseen)
    assert {(answer.status_code, "X-RateLimit-Remaining" in answer.headers) for answer in found} == {(404, True)}
    await asyncio.sleep(AWAY_SECS)
    own.valkey.start()
    await asyncio.to_thread(own.valkey.wait)
    await asyncio.to_thread(lab.stack.wait)
    callers.ended.set()
    await asking
    took = await check_logged(lab, deployment, callers.told)
    print(f"{dict(callers.statuses)}, longest {callers.longest:.2f} s, logged {took:.1f} s later")
    assert set(callers.statuses) == {200}
    assert callers.longest < LONGEST_SECS
    assert "rate_limits_without_redis" in (lab.stack.folder / "web.log").read_text()


@pytest.mark.slow
async def test_postgresql_away(mortal: tuple[servers.Servers, Lab, str]) -> None:
    """The last here: the kernel ends PostgreSQL with the thread that starts it again."""
    own, lab, second = mortal
    deployment = await asyncio.to_thread(deploy, lab, "served")
    unseen = [await asyncio.to_thread(lab.stack.key) for _ in range(2)]
    callers = Callers([lab.stack.base_url, second], f"{one(deployment)}/predict", lab.key)
    asking = asyncio.create_task(callers.run())
    await asyncio.sleep(1.5)
    await asyncio.to_thread(kill_postgres, own)
    gone = time.monotonic()
    before = sum(callers.statuses.values())
    refused = await strangers(callers.addresses, callers.path, unseen)
    await asyncio.sleep(gone + AWAY_SECS - time.monotonic())
    meanwhile = sum(callers.statuses.values()) - before
    refused += await strangers(callers.addresses, callers.path, unseen)
    await asyncio.to_thread(revive_postgres, own)
    await asyncio.to_thread(lab.stack.wait)
    await asyncio.sleep(1.5)
    callers.ended.set()
    await asking
    took = await check_logged(lab, deployment, callers.told)
    print(f"{dict(callers.statuses)}, {meanwhile} meanwhile, longest {callers.longest:.2f} s, logged {took:.1f} s later")
    assert set(callers.statuses) == {200}
    assert meanwhile > 100
    assert callers.longest < LONGEST_SECS
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "unavailable")}
    assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
    assert {answer.status_code for answer in await strangers(callers.addresses, callers.path, unseen)} == {404}, "not theirs"
    assert "Traceback" not in (lab.stack.folder / "web.log").read_text()
