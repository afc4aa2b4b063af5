"""Webhooks while workers are killed, and receivers that hang beside callers who want an answer."""

import asyncio
import statistics
import time
from typing import Any

import httpx
import pytest

from tests.factories.account import bearer
from tests.factories.receiver import Receiver, hang, receiving
from tests.stack import Stack

pytestmark = pytest.mark.slow
EVENTS = 40


async def webhook(client: httpx.AsyncClient, project: str, receiver: Receiver) -> str:
    said = {"url": f"http://127.0.0.1:{receiver.port}/"}
    answer = await client.post(f"/api/mlops/projects/{project}/webhooks", json=said)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def deliveries(client: httpx.AsyncClient, webhook_id: str) -> list[dict[str, Any]]:
    found = await client.get(f"/api/mlops/webhooks/{webhook_id}/deliveries", params={"limit": 500})
    items: list[dict[str, Any]] = found.json()["items"]
    return items


@pytest.fixture
def headers(stack: Stack) -> dict[str, str]:
    return bearer(stack.key())


def person(stack: Stack, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30)


async def test_no_event_is_lost_while_workers_are_killed(stack: Stack, headers: dict[str, str]) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async with receiving(slowly) as receiver, person(stack, headers) as client:
        project = (await client.post("/api/projects", json={"name": "Killed"})).json()["project_id"]
        one = await webhook(client, project, receiver)
        for number in range(EVENTS):
            assert (await client.post(f"/api/mlops/webhooks/{one}/test")).status_code == 202
            if number % 10 == 5:
                stack.kill("worker")
                stack.start("worker")  # in this thread: it dies with the one that started it
        end = time.monotonic() + 90
        while (found := {item["status"] for item in await deliveries(client, one)}) != {"delivered"}:
            assert time.monotonic() < end, found
            await asyncio.sleep(0.2)
        sent = {item["event_id"] for item in await deliveries(client, one)}
        assert {request.headers["webhook-id"] for request in receiver.requests} == sent
        assert len(sent) == EVENTS
        assert len(receiver.requests) <= EVENTS + 4, "of what was in hand when a worker died, once more"


async def test_fifty_receivers_that_hang_cost_callers_nothing(stack: Stack, headers: dict[str, str]) -> None:
    async with receiving(hang) as tarpit, receiving() as good, person(stack, headers) as client:
        project = (await client.post("/api/projects", json={"name": "Tarpits"})).json()["project_id"]
        hanging = [await webhook(client, project, tarpit) for _ in range(49)]
        alive = await webhook(client, project, good)
        for one in hanging:
            await client.post(f"/api/mlops/webhooks/{one}/test")
        took = []
        for _ in range(200):
            began = time.perf_counter()
            assert (await client.get(f"/api/projects/{project}")).status_code == 200
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
        assert statistics.quantiles(took, n=100)[98] < 0.2
        assert (await client.post(f"/api/mlops/webhooks/{alive}/test")).status_code == 202
        end = time.monotonic() + 30
        while not good.requests:
            assert time.monotonic() < end, await deliveries(client, alive)
            await asyncio.sleep(0.2)
