"""Chaos at the door: web, worker, Redis and PostgreSQL killed while clients make things and send again what got no answer.

Each thing and each prediction has an `Idempotency-Key`. Afterwards what is there is compared with what the clients were told:
every acknowledged thing is there (lost 0), and none twice (doubled 0); every acknowledged prediction is in the log, once, under
the request id of its answer. The web process also kills itself where it hurts most: between the commit of an act and its answer.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import redis
from sqlalchemy import text

from coreplex.monitoring.baseline import layouts
from coreplex.platform.database import Database
from tests import servers
from tests.factories import counted
from tests.factories.account import bearer
from tests.factories.dataset import table
from tests.jobs.conftest import kill_postgres, revive_postgres
from tests.stack import Stack, running

ROWS = table([["x", "y", "label"], *[[n, n % 7, "yes" if n % 3 else "no"] for n in range(120)]])
PROJECT = "mutation($name: String!) { createProject(input: {name: $name}) { project { id } } }"
TRAINING = {"target_column": "label", "problem_type": "classification", "config": {"max_runtime_secs": 60, "max_models": 1}}
CALLERS, EXPERIMENTS = 4, 6
MANY_ROWS = 200
"""Of a call whose answer is too long to be kept under its key."""
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


STORM_SECS = 1500.0
"""A call may be interrupted again and again as long as the storm lasts: others are acknowledged, and the next fault comes."""
PLAN = Plan(web=35, worker=25, flushes=15, redis=15, postgres=10)


@dataclass
class Storm:
    """Everything that goes wrong, in an order drawn from a seed, and whoever died of it is started again."""

    own: servers.Servers
    stack: Stack
    plan: Plan
    random: random.Random
    over: bool = False
    working: int = 0
    """Clients that are not through yet."""
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
        while self.working:  # on the last things they make, of which the web process may kill itself, too
            self.raise_the_dead()
            await asyncio.sleep(0.2)

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
    deployment_id: str
    predicted: dict[tuple[str, int], float] = field(default_factory=dict)
    """By request id and row what was asked, a number of its own for each row."""
    acknowledged: dict[str, dict[str, str]] = field(default_factory=lambda: {"projects": {}, "datasets": {}, "experiments": {}})
    attempts: int = 0

    async def work(self) -> None:
        self.storm.working += 1
        try:
            await self._work()
        finally:
            self.storm.working -= 1

    async def _work(self) -> None:
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
            for count in (1, MANY_ROWS) if number % 3 == 1 else (1,):
                await self._predict(f"{name} predict {count}", count)
            await asyncio.sleep(0.05)

    async def _predict(self, key: str, count: int) -> None:
        asked = [self.storm.random.random() * 120 for _ in range(count)]
        rows = {"inputs": [{"x": x, "y": 3} for x in asked]}
        made = await self._send(f"/api/mlops/deployments/{self.deployment_id}/predict", key, json=rows)
        assert made["warnings"] == [], "logged or not, the answer says it"
        assert len(made["predictions"]) == count
        self.predicted |= {(made["request_id"], row): x for row, x in enumerate(asked)}

    async def _send(self, path: str, key: str, **request: Any) -> dict[str, Any]:
        """What was answered in the end."""
        until = time.monotonic() + STORM_SECS
        while time.monotonic() < until:
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
        page = (await http.get(httpx.URL(f"/api/{kind}").copy_merge_params({"limit": 500, "offset": len(found)}))).json()
        found += page["items"]
        if len(found) >= page["total"]:
            return found


async def deployed(http: httpx.AsyncClient) -> str:
    """A deployment of a model that was trained before the storm."""

    async def post(path: str, **request: Any) -> dict[str, Any]:
        answer = await http.post(path, **request)
        assert answer.is_success, answer.text
        made: dict[str, Any] = answer.json()
        return made

    project = (await post("/api/projects", json={"name": "served"}))["project_id"]
    form = {"project_id": project, "name": "served"}
    version = (await post("/api/datasets/upload", data=form, files={"file": ("t.csv", ROWS)}))["version_id"]
    wanted = {"project_id": project, "dataset_version_id": version, "name": "served", **TRAINING}
    experiment = (await post("/api/experiments", json=wanted))["id"]
    async with asyncio.timeout(PATIENCE_SECS):
        while (status := (await http.get(f"/api/experiments/{experiment}/status")).json()["status"]) != "succeeded":
            assert status in {"queued", "running"}
            await asyncio.sleep(0.2)
    model = (await listed(http, f"models?experiment_id={experiment}"))[0]["id"]
    wanted = {"model_id": model, "name": "served", "stage": "production"}
    identity: str = (await post(f"/api/mlops/projects/{project}/deployments", json=wanted))["deployment_id"]
    return identity


async def check_log(http: httpx.AsyncClient, deployment_id: str, clients: list[Client]) -> str:
    """Every acknowledged prediction is in the log once, as it was asked and under the request id of its answer."""
    told = {place: x for client in clients for place, x in client.predicted.items()}
    path = f"mlops/deployments/{deployment_id}/inference-logs"
    before: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_SECS):  # what killed processes left is stored by those that live; pages shift meanwhile
        while (entries := await listed(http, path)) != before or len(entries) < len(told):
            before = entries
            await asyncio.sleep(0.5)
    logged = Counter((entry["request_id"], entry["row_index"], entry["inputs"]["x"]) for entry in entries)
    assert logged == Counter((*place, x) for place, x in told.items())
    requests = len({request for request, _ in told})
    deployment = (await http.get(f"/api/mlops/deployments/{deployment_id}")).json()["deployment"]
    assert (deployment["request_count"], deployment["error_count"]) == (requests, 0)
    return f"{len(told)} rows of {requests} predictions"


async def check_counts(stack: Stack, deployment_id: str) -> None:
    """What was counted by the bins of the model, and of traffic, is what the log holds when it is counted anew."""
    database = Database(stack.database_url, pool_size=1)
    try:
        async with database.read() as session:
            given = {"id": deployment_id}
            model = await session.scalar(text("SELECT model_id FROM deployments WHERE id = :id"), given)
            layout = (await layouts(session, [model]))[model]
            logged = (await session.execute(text("SELECT inputs FROM inference_logs WHERE deployment_id = :id"), given)).scalars()
            expected = counted.recounted(layout, logged)
            kept = (await session.execute(text(COUNTS), given)).all()
            traffic = (await session.execute(text(TRAFFIC), given)).one()
            requests = (await session.execute(text(LOGGED), given)).one()
    finally:
        await database.close()
    inputs = sum(one.bins.size for one in layout.inputs)
    assert Counter({bin_: count for bin_, count in kept if bin_ < inputs}) == expected
    answers = Counter({bin_: count for bin_, count in kept if bin_ >= inputs})
    assert answers.total() == len(layout.answers) * requests.rows
    assert (traffic.requests, traffic.rows) == (requests.requests, requests.rows)


COUNTS = (
    "SELECT bin, sum(count)::bigint FROM bin_counts, unnest(bins, counts) AS u(bin, count) WHERE deployment_id = :id GROUP BY bin"
)
TRAFFIC = "SELECT sum(requests)::bigint AS requests, sum(rows)::bigint AS rows FROM traffic_counts WHERE deployment_id = :id"
LOGGED = "SELECT count(DISTINCT request_id) AS requests, count(*) AS rows FROM inference_logs WHERE deployment_id = :id"


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
        deployment_id = await deployed(http)
        before = {kind: len(await listed(http, kind)) for kind in ("projects", "datasets", "experiments")}
        clients = [Client(http, f"caller {n}", storm, deployment_id) for n in range(CALLERS)]
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
            doubled += len(there) - before[kind] - len(acknowledged)
            told[kind] = len(acknowledged)
            if kind == "experiments":  # one whose worker was killed at every attempt has failed, and says so
                assert all(item["status"] in {"succeeded", "failed"} for item in there)
        predictions = await check_log(http, deployment_id, clients)
        await check_counts(stack, deployment_id)
    attempts = sum(client.attempts for client in clients)
    made = f"{dict(told)}, {predictions} by {attempts} requests"
    print(f"happened: {dict(storm.happened)}; made: {made}; lost {lost}, doubled {doubled}")
    assert (lost, doubled) == (0, 0)
    assert sum(storm.happened.values()) >= 100
