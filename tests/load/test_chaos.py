"""Chaos at the door: web, worker, Redis and PostgreSQL killed while clients make things and send again what got no answer.

Each thing has an `Idempotency-Key`. Afterwards what is there is compared with what the clients were told: every acknowledged
thing is there (lost 0), and none twice (doubled 0). The web process also kills itself where it hurts most: between the commit of
an act and its answer.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import redis

from tests import servers
from tests.factories.account import bearer
from tests.factories.dataset import table
from tests.jobs.conftest import kill_postgres, revive_postgres
from tests.stack import Stack, running

ROWS = table([["x", "y", "label"], *[[n, n % 7, "yes" if n % 3 else "no"] for n in range(120)]])
PROJECT = "mutation($name: String!) { createProject(input: {name: $name}) { project { id } } }"
TRAINING = {"target_column": "label", "problem_type": "classification", "config": {"max_runtime_secs": 10, "max_models": 1}}
CALLERS, EXPERIMENTS = 4, 6
PATIENCE_SECS = 180.0


@dataclass(frozen=True)
class Plan:
    """How much of what happens, and the longest pause after something went well."""

    web: int
    worker: int
    flushes: int
    redis: int
    postgres: int
    pause: float = 0.5


PLAN = Plan(web=35, worker=25, flushes=15, redis=15, postgres=10)


@dataclass
class Storm:
    """Everything that goes wrong, in an order drawn from a seed, and whoever died of it is started again."""

    own: servers.Servers
    stack: Stack
    plan: Plan
    random: random.Random
    over: bool = False
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    happened: Counter[str] = field(default_factory=Counter)

    async def blow(self) -> None:
        faults = [name for name in ("web", "worker", "flushes", "redis", "postgres") for _ in range(getattr(self.plan, name))]
        self.random.shuffle(faults)
        for fault in faults:
            await self._progress()
            await asyncio.sleep(self.random.uniform(0, self.plan.pause))
            await asyncio.to_thread(self._strike, fault)
            self.happened[fault] += 1
        self.over = True

    async def _progress(self) -> None:
        """Until something was acknowledged since the last fault: nothing is gained by killing what is not up again."""
        self.acknowledged.clear()
        while not self.acknowledged.is_set():
            self.raise_the_dead()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.acknowledged.wait(), 0.2)

    def _strike(self, fault: str) -> None:
        if fault == "flushes":
            with redis.Redis.from_url(self.own.valkey.url()) as client:
                client.flushall()
        elif fault == "redis":
            self.own.restart_valkey()
        elif fault == "postgres":
            kill_postgres(self.own)
            revive_postgres(self.own)
        elif fault in self.stack.children:
            self.stack.kill(fault)
        self.raise_the_dead()

    def raise_the_dead(self) -> None:
        for name in ("web", "worker"):
            child = self.stack.children.get(name)
            if child is None or child.poll() is not None:
                self.happened[f"{name}, by itself"] += child is not None
                self.stack.launch(name)


@dataclass
class Client:
    """Makes one thing after another, each under a key of its own, sent again until it is acknowledged."""

    http: httpx.AsyncClient
    name: str
    storm: Storm
    acknowledged: dict[str, dict[str, str]] = field(default_factory=lambda: {"projects": {}, "datasets": {}, "experiments": {}})
    attempts: int = 0

    async def work(self) -> None:
        number, versions = 0, []
        while not self.storm.over:
            number += 1
            name = f"{self.name} {number}"
            made = await self._send("/api/projects", f"{name} rest", json={"name": f"{name} rest"})
            project = made["project_id"]
            self.acknowledged["projects"][f"{name} rest"] = project
            body = {"query": PROJECT, "variables": {"name": f"{name} graphql"}}
            made = await self._send("/graphql", f"{name} graphql", json=body)
            self.acknowledged["projects"][f"{name} graphql"] = made["data"]["createProject"]["project"]["id"]
            if number % 3 == 1:
                form = {"project_id": project, "name": name}
                made = await self._send("/api/datasets/upload", f"{name} upload", data=form, files={"file": ("t.csv", ROWS)})
                self.acknowledged["datasets"][name] = made["id"]
                versions.append((project, made["version_id"]))
            if versions and len(self.acknowledged["experiments"]) * CALLERS < EXPERIMENTS:
                wanted = {"project_id": versions[-1][0], "dataset_version_id": versions[-1][1], "name": name, **TRAINING}
                made = await self._send("/api/experiments", f"{name} training", json=wanted)
                self.acknowledged["experiments"][name] = made["id"]
            await asyncio.sleep(0.05)

    async def _send(self, path: str, key: str, **request: Any) -> dict[str, Any]:
        """What was answered in the end."""
        for _ in range(1000):
            self.attempts += 1
            try:
                answer = await self.http.post(path, headers={"Idempotency-Key": key}, **request)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            body: dict[str, Any] = answer.json()
            status = body["errors"][0]["extensions"]["status"] if "errors" in body else answer.status_code
            if status < 300:
                self.storm.acknowledged.set()
                return body
            assert status == 503, answer.text
            await asyncio.sleep(0.2)
        raise AssertionError(f"{key} was never acknowledged")


@asynccontextmanager
async def connected(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    key = await asyncio.to_thread(stack.key)
    async with httpx.AsyncClient(base_url=stack.base_url, headers=bearer(key), timeout=30) as client:
        yield client


async def listed(http: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = (await http.get(f"/api/{kind}", params={"limit": 500, "offset": len(found)})).json()
        found += page["items"]
        if len(found) >= page["total"]:
            return found


@pytest.fixture
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[servers.Servers, Stack]]:
    """A stack on servers of its own, whose web process kills itself too."""
    with servers.running() as own:
        servers.make_template(own.postgres.url("postgres"), "template")
        database = servers.make_database(own.postgres.url("postgres"), "mortal", "template")
        servers.execute(database, "ALTER DATABASE mortal SET synchronous_commit = on")  # as it is for users
        folder = tmp_path_factory.mktemp("mortal")
        with running(database, own.valkey.url(), folder, ("-m", "tests.load.mortal_web")) as stack:
            yield own, stack


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_a_hundred_kills_lose_and_double_nothing(mortal: tuple[servers.Servers, Stack]) -> None:
    own, stack = mortal
    storm = Storm(own, stack, PLAN, random.Random(20261128))
    async with connected(stack) as http:
        clients = [Client(http, f"caller {n}", storm) for n in range(CALLERS)]
        async with asyncio.TaskGroup() as group:
            group.create_task(storm.blow())
            for client in clients:
                group.create_task(client.work())
        storm.raise_the_dead()
        await asyncio.to_thread(stack.wait)
        async with asyncio.timeout(PATIENCE_SECS):
            while any(item["status"] in {"queued", "running"} for item in await listed(http, "experiments")):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
        lost, doubled, told = 0, 0, Counter[str]()
        for kind in ("projects", "datasets", "experiments"):
            acknowledged = {name: identity for client in clients for name, identity in client.acknowledged[kind].items()}
            there = await listed(http, kind)
            names = Counter(item["name"] for item in there)
            identities = {item["id"] for item in there}
            lost += sum(identity not in identities for identity in acknowledged.values())
            doubled += sum(count - 1 for count in names.values())
            doubled += len(there) - len(acknowledged)
            told[kind] = len(acknowledged)
            if kind == "experiments":  # one whose worker was killed at every attempt has failed, and says so
                assert all(item["status"] in {"succeeded", "failed"} for item in there)
    attempts = sum(client.attempts for client in clients)
    print(f"happened: {dict(storm.happened)}; made: {dict(told)} by {attempts} requests; lost {lost}, doubled {doubled}")
    assert (lost, doubled) == (0, 0)
    assert sum(storm.happened.values()) >= 100
