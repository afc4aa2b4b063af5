"""While some callers cost as much as they may, the others are served: nothing holds up the event loop for long."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import httpx
import orjson
import pytest

from tests.stack import Stack

MOST_LAG_SECS = 1.0
"""A quarter of a second on a machine of one's own."""


@pytest.mark.slow
async def test_heavy_requests_hold_up_nobody(stack: Stack) -> None:
    key = await asyncio.to_thread(stack.key)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    rows = orjson.dumps({"inputs": [{f"c{c}": n * 1.5 for c in range(20)} for n in range(10_000)]})
    lists = b'{"inputs": [' + b",".join([b"[]"] * 90_000) + b"]}"
    table = b"a,b,c\n" + b"1,2.5,three\n" * 2_000_000
    predict = "/api/models/01890000-0000-7000-8000-000000000000/predict"
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=120) as client:
        heavy: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
            "rows": lambda: client.post(predict, content=rows),
            "lists": lambda: client.post(predict, content=lists),
            "numbers": lambda: client.post(predict, content=b"[" + b"1," * 4_000_000 + b"1]"),
            "logins": lambda: client.post("/api/auth/login", json={"email": "a@example.com", "password": "wrong password"}),
            "upload": lambda: client.post("/api/uploads", params={"filename": "t.csv"}, content=table),
            "reference": lambda: client.get("/openapi.json"),
        }
        lags: dict[str, float] = {}
        for name, ask in heavy.items():
            done = asyncio.gather(*(ask() for _ in range(12)))
            lags[name] = await _longest_ping(stack, done)
            assert all(answer.status_code < 500 for answer in await done)
    print({name: f"{lag * 1000:.0f} ms" for name, lag in lags.items()})
    assert max(lags.values()) < MOST_LAG_SECS, lags


async def _longest_ping(stack: Stack, until: "asyncio.Future[list[httpx.Response]]") -> float:
    longest = 0.0
    async with httpx.AsyncClient(base_url=stack.base_url) as client:
        while not until.done():
            began = time.perf_counter()
            await client.get("/health")
            longest = max(longest, time.perf_counter() - began)
            await asyncio.sleep(0.005)
    return longest
