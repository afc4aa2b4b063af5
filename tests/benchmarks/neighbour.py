"""What other people feel while one caller does the worst that the limits allow; writes neighbour.md.

    python -m tests.benchmarks.neighbour [--only NAME ...] [--secs 40] [--said "the commit before"]

One account sends a whole minute's budget at once (100 general requests, 50 predictions), each of the most expensive kind it may
ask for. Meanwhile eight others, each within a budget of their own, list projects by REST, read models by GraphQL and ask for
one-row predictions. The server runs with the limits it comes with, is started anew for each attack, and shares two cores with the
two load generators.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks import stack
from tests.benchmarks.neighbour_world import GENERAL, NEIGHBOURS, PREDICTIONS, Request, World, attacks, build, graphql
from tests.factories.account import bearer

PAUSE_SECS = 1.5
"""Between a neighbour's rounds: three requests, of which one is a prediction, stay below their own budget."""
NEIGHBOUR_SECS = 30.0
"""After which a neighbour gives up."""
DEFAULT_LIMITS = dict.fromkeys(stack.LIMITS, "")
METHOD = """# Neighbours

Measured by `tests/benchmarks/neighbour.py`. {machine}. One account sends a minute's budget at once ({general} general requests,
{predictions} predictions), each of the most expensive kind; eight others ask small things meanwhile (a list by REST, models by
GraphQL, a one-row prediction), for {secs:.0f} s or until the attack is answered, whichever is later, {most:.0f} s at most.
Goal: their p99 stays within 500 ms.
"""
HEAD = """
| attack | neighbours' answers | p50 ms | p99 ms | most ms | not 2xx | the attack's answers | after s |
|---|---:|---:|---:|---:|---:|---|---:|
"""


def attack(url: str, key: str, requests: list[Request], most: float, answered: Any) -> None:
    """Send all at once and throw the answers away; what came back within `most` seconds, and when, goes into the queue."""
    seen: Counter[str] = Counter()

    async def one(client: httpx.AsyncClient, method: str, path: str, more: dict[str, Any]) -> None:
        try:
            async with client.stream(method, path, **more) as answer:
                async for _ in answer.aiter_raw():
                    pass
            seen[str(answer.status_code)] += 1
        except httpx.HTTPError as error:
            seen[type(error).__name__] += 1

    async def run() -> None:
        limits = httpx.Limits(max_connections=None)
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(most),
                httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=None, limits=limits) as client,
            ):
                await asyncio.gather(*(one(client, *request) for request in requests))

    began = time.monotonic()
    asyncio.run(run())
    seen["unanswered"] = len(requests) - seen.total()
    answered.put((+seen, time.monotonic() - began))


@dataclass
class Felt:
    """What the neighbours saw."""

    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    """0: no answer."""

    async def visit(self, url: str, key: str, world: World, number: int, over: asyncio.Event) -> None:
        models = "query($id: ID!) { project(id: $id) { models(first: 20) { nodes { id name } } } }"
        requests: list[Request] = [
            ("GET", "/api/projects", {}),
            graphql(models, id=world.project),
            ("POST", f"/api/mlops/deployments/{world.deployment}/predict", {"json": {"inputs": world.row}}),
        ]
        async with httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=NEIGHBOUR_SECS) as client:
            await asyncio.sleep(PAUSE_SECS * number / NEIGHBOURS)
            while True:
                for method, path, more in requests:
                    began = time.perf_counter()
                    try:
                        status = (await client.request(method, path, **more)).status_code
                    except httpx.TransportError:
                        status = 0
                    self.latencies.append(time.perf_counter() - began)
                    self.statuses[status] += 1
                if over.is_set():
                    return
                await asyncio.sleep(PAUSE_SECS)


async def besiege(ours: stack.Stack, world: World, requests: list[Request], secs: float, most: float) -> tuple[Felt, str, float]:
    """The neighbours' answers, the attack's, and when the last of these came."""
    context = multiprocessing.get_context("spawn")
    answered: Any = context.Queue()
    attacker = context.Process(target=attack, args=(ours.url, world.attackers.pop(), requests, most, answered), daemon=True)
    felt, over, once = Felt(), asyncio.Event(), asyncio.Event()
    once.set()
    await asyncio.gather(*(Felt().visit(ours.url, key, world, 0, once) for key in world.neighbours))
    visits = [asyncio.create_task(felt.visit(ours.url, key, world, n, over)) for n, key in enumerate(world.neighbours)]
    attacker.start()
    seen, took = (await asyncio.gather(asyncio.to_thread(answered.get), asyncio.sleep(secs)))[0]
    over.set()
    await asyncio.gather(*visits)
    attacker.join()
    return felt, ", ".join(f"{count} × {what}" for what, count in sorted(seen.items())) or "-", took


def line(name: str, felt: Felt, answers: str, took: float) -> str:
    milliseconds = sorted(1000 * one for one in felt.latencies)
    p99 = milliseconds[min(len(milliseconds) - 1, int(len(milliseconds) * 0.99))]
    bad = sum(count for status, count in felt.statuses.items() if not 200 <= status < 300)
    return (
        f"| {name} | {len(milliseconds)} | {statistics.median(milliseconds):.0f} | {p99:.0f} | {milliseconds[-1]:.0f} | {bad} | "
        f"{answers} | {took:.0f} |"
    )


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", nargs="*")
    arguments.add_argument("--secs", type=float, default=30.0)
    arguments.add_argument("--most", type=float, default=90.0)
    arguments.add_argument("--said", default="Now")
    arguments.add_argument("--folder", type=Path)
    said = arguments.parse_args()
    folder = said.folder or Path(tempfile.mkdtemp(prefix="coreplexml-neighbour-"))
    folder.mkdir(exist_ok=True)
    with stack.running(folder, RATE_LIMIT_AUTHENTICATION="") as ours:  # what it used is counted in the minute of the next server
        world = build(ours)
    text = METHOD.format(machine=stack.cores(), general=GENERAL, predictions=PREDICTIONS, secs=said.secs, most=said.most)
    text += f"\n## {said.said}\n{HEAD}"
    for name, requests in attacks(world).items():
        if said.only and name not in said.only:
            continue
        with stack.running(folder, **DEFAULT_LIMITS) as ours:
            found = line(name, *asyncio.run(besiege(ours, world, requests, said.secs, said.most)))
        sys.stderr.write(found + "\n")
        text += found + "\n"
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
