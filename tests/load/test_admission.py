"""Few requests are worked on at once, few wait, and the rest is refused at once; nobody is kept out by another's requests."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from coreplex.platform.memory import MemoryWatch
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from edge import admission
from edge.admission import BURST, IN_WORK, STANDING
from edge.middleware import OuterLayer


class Slow:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked.append(scope["client"][0])
        if not scope["path"].startswith("/health"):
            await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


class Door:
    """The outermost layer in front of it, and callers at several addresses."""

    def __init__(self, settings: Settings) -> None:
        services = composition.build(settings)
        services.parts[MemoryWatch] = MemoryWatch(1 << 40)
        self.slow = Slow()
        self.layer = OuterLayer(self.slow, services)
        self.places = self.layer.admission.places

    async def get(self, address: str = "10.0.0.1", port: int = 1, path: str = "/api/projects") -> httpx.Response:
        transport = httpx.ASGITransport(self.layer, client=(address, port))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    async def many(self, count: int, address: str = "10.0.0.1") -> list["asyncio.Task[httpx.Response]"]:
        tasks = [asyncio.create_task(self.get(address, port)) for port in range(count)]
        before, now = None, (0, 0, 0)
        while before != now:  # however long a busy machine takes to let all of them in
            await asyncio.sleep(0.1)
            before, now = now, (sum(task.done() for task in tasks), len(self.slow.asked), self.places.waiting_in_all)
        return tasks


@pytest.fixture
async def door(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    monkeypatch.setattr(admission, "SHORT_SECS", 60.0)
    monkeypatch.setattr(admission, "STANDING_AFTER_SECS", 60.0)
    made = Door(settings)
    yield made
    assert (made.places.used, made.places.waiting_in_all) == (0, 0), "every place came back"


def statuses(tasks: list["asyncio.Task[httpx.Response]"]) -> list[int]:
    return [task.result().status_code for task in tasks if task.done()]


async def test_a_burst_waits_and_more_is_refused_at_once(door: Door) -> None:
    tasks = await door.many(IN_WORK.each + BURST + 20)
    assert statuses(tasks) == [503] * 20
    assert len(door.slow.asked) == IN_WORK.each
    refused = next(task.result() for task in tasks if task.done())
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("busy", "1")
    assert refused.headers["X-RateLimit-Limit"]
    graphql = await door.get(path="/graphql", port=999)
    assert (graphql.status_code, graphql.headers["Retry-After"]) == (503, "1")
    (error,) = graphql.json()["errors"]
    assert (error["extensions"]["code"], error["extensions"]["retryAfter"]) == ("BUSY", 1)
    assert (await door.get(path="/health")).status_code == 200, "probes are never refused"
    door.slow.open.set()
    await asyncio.gather(*tasks)
    assert statuses(tasks).count(200) == IN_WORK.each + BURST


async def test_the_more_are_refused_the_later_they_come_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "REFUSALS_A_SEC", 10)
    tasks = await door.many(IN_WORK.each + BURST + 25)
    told = [int(task.result().headers["Retry-After"]) for task in tasks if task.done()]
    assert told == [1] * 10 + [2] * 10 + [3] * 5
    began = time.monotonic()
    early = asyncio.create_task(door.get(port=IN_WORK.each + BURST + 24))  # told last
    door.slow.open.set()
    assert (await early).status_code == 200
    assert time.monotonic() - began > 2, "who comes sooner waits for the rest of it"
    await asyncio.gather(*tasks)


async def test_who_was_told_longer_does_not_keep_those_told_later(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "AGAIN_SECS", 60)
    tasks = await door.many(IN_WORK.each + BURST + 1)
    monkeypatch.setattr(admission, "AGAIN_SECS", 0)
    monkeypatch.setattr(admission, "REFUSALS_A_SEC", 2)
    assert [(await door.get(port=port)).headers["Retry-After"] for port in range(1000, 1010)] == ["0"] * 10
    door.slow.open.set()
    await asyncio.gather(*tasks)


async def test_a_line_that_stands_is_short(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = await door.many(IN_WORK.each + 100)
    assert statuses(tasks) == []
    monkeypatch.setattr(admission, "STANDING_AFTER_SECS", 0.0)
    more = await door.many(1)
    assert statuses(more) == [503]
    assert statuses(tasks) == [503] * (100 - STANDING)
    door.slow.open.set()
    await asyncio.gather(*tasks)


async def test_another_caller_is_let_in(door: Door) -> None:
    tasks = await door.many(IN_WORK.each + BURST)
    first = await door.many(IN_WORK.total - IN_WORK.each, "10.0.0.2")
    assert door.slow.asked.count("10.0.0.2") == IN_WORK.total - IN_WORK.each, "one caller leaves places free"
    third = await door.many(1, "10.0.0.3")
    assert (statuses(third), len(statuses(tasks))) == ([], 1), "of the longest line one goes for who comes new"
    door.slow.open.set()
    await asyncio.gather(*tasks, *first, *third)
    served = door.slow.asked[IN_WORK.total :]
    assert served.index("10.0.0.3") <= 2, "and is served in turn"
    assert set(statuses(first) + statuses(third)) == {200}


async def test_long_requests_give_their_places_to_others(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SHORT_SECS", 0.02)
    tasks = await door.many(4 * IN_WORK.total)
    async with asyncio.timeout(60):
        while len(door.slow.asked) < 4 * IN_WORK.total:  # noqa: ASYNC110 nobody tells us
            await asyncio.sleep(0.02)
    door.slow.open.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}


async def test_who_does_not_wait_is_held_back(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "BURST", 0)
    tasks = await door.many(IN_WORK.each)
    assert (await door.get(port=77)).status_code == 503
    began = time.monotonic()
    assert (await door.get(port=77)).status_code == 503
    assert time.monotonic() - began > admission.AGAIN_SECS * 0.9
    door.slow.open.set()
    await asyncio.gather(*tasks)
    refused: dict[Any, float] = door.layer.admission._refused
    assert len(refused) == 1
    await asyncio.sleep(admission.AGAIN_SECS)
    assert (await door.get(port=78)).status_code == 200
    assert refused == {}, "nothing is remembered for longer than it counts"
