"""What the neighbours' benchmark attacks, and the attacks: a minute's budget of the most expensive requests of each kind."""

import asyncio
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import polars as pl
from sklearn.datasets import load_digits

from coreplex.membership.table import Membership, Project
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.permissions import Role
from tests.benchmarks import stack
from tests.factories.account import make_key, make_user

GENERAL, PREDICTIONS = 100, 50
"""Requests a minute, by default."""
NEIGHBOURS = 8
ATTACKS = 9
PROJECTS = 500
Request = tuple[str, str, dict[str, Any]]
"""Method, path, and httpx's arguments."""

CONNECTIONS = "datasets experiments models deployments members"
COUNTED = " ".join(f"{name} {{ totalCount }}" for name in CONNECTIONS.split())
FETCHED = " ".join(f"{name}(first: 1) {{ nodes {{ __typename }} }}" for name in CONNECTIONS.split())
NESTED = (
    f"{{ projects(first: 500) {{ nodes {{ id {COUNTED} }} }} }}",
    f"{{ projects(first: 450) {{ nodes {{ id {FETCHED} }} }} }}",
)
"""As much as an operation may cost."""


@dataclass
class World:
    """What is attacked, and with what."""

    attackers: list[str]
    """One for each attack: a budget is spent once a minute."""
    neighbours: list[str]
    project: str
    model: str
    deployment: str
    wide: str
    """A version whose cells are large."""
    long: str
    """A dataset of many rows."""
    row: dict[str, Any]


def large_cells() -> bytes:
    """Some kilobytes of Parquet that hold a thousand cells of 300,000 characters."""
    file = io.BytesIO()
    pl.DataFrame({"text": ["x" * 300_000] * 1000, "n": range(1000)}).write_parquet(file, compression="zstd")
    return file.getvalue()


def many_rows(rows: int = 60_000) -> bytes:
    rng = np.random.default_rng(0)
    return pl.DataFrame({f"c{n}": rng.normal(size=rows).round(4) for n in range(20)}).write_csv().encode()


def digits() -> tuple[bytes, dict[str, Any]]:
    bunch: Any = load_digits()
    frame = pl.DataFrame({f"p{n}": bunch.data[:, n] for n in range(64)})
    return frame.with_columns(pl.Series("digit", bunch.target.astype(str))).write_csv().encode(), frame.row(0, named=True)


def build(ours: stack.Stack) -> World:
    """The people, the tables and the model, made through the API where its limits allow."""
    project = ours.call("POST", "/api/projects", json={"name": "Shared"})["project_id"]
    table, row = digits()
    version = upload(ours, project, "digits.csv", table)["dataset_version_id"]
    model, deployment = trained(ours, project, version)
    wide = upload(ours, project, "cells.parquet", large_cells())["dataset_version_id"]
    long = upload(ours, project, "rows.csv", many_rows())["dataset_id"]
    keys = people(ours, project)
    return World(keys[NEIGHBOURS:], keys[:NEIGHBOURS], project, model, deployment, wide, long, row)


def upload(ours: stack.Stack, project: str, name: str, content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = ours.call(
        "POST", "/api/datasets/upload", data={"project_id": project, "name": name}, files={"file": (name, content)}
    )
    return found


def trained(ours: stack.Stack, project: str, version: str) -> tuple[str, str]:
    """The best model of half a minute, in production."""
    config = {"max_runtime_secs": 30, "seed": 1}
    asked = {
        "project_id": project,
        "dataset_version_id": version,
        "target_column": "digit",
        "problem_type": "classification",
        "name": "d",
        "config": config,
    }
    experiment = ours.call("POST", "/api/experiments", json=asked)["experiment_id"]
    while (status := ours.call("GET", f"/api/experiments/{experiment}")["status"]) not in {"succeeded", "failed"}:
        time.sleep(2)
    assert status == "succeeded"
    model = ours.call("GET", "/api/models", params={"experiment_id": experiment, "limit": 1})["items"][0]["id"]
    body = {"model_id": model, "name": "digits", "stage": "production"}
    return model, ours.call("POST", f"/api/mlops/projects/{project}/deployments", json=body)["deployment_id"]


def people(ours: stack.Stack, project: str) -> list[str]:
    """Keys of editors of the project: the neighbours, and the attackers, who own many projects beside."""
    keys: list[str] = []

    async def make(database: Database) -> None:
        for number in range(NEIGHBOURS + ATTACKS):
            user = await make_user(database)
            keys.append((await make_key(database, user))[1])
            async with database.transaction() as session:
                await join(session, project, user.id, 3 if number < NEIGHBOURS else PROJECTS)

    asyncio.run(with_database(ours, make))
    return keys


async def with_database(ours: stack.Stack, work: Callable[[Any], Any]) -> None:
    database = Database(ours.database_url)
    try:
        await work(database)
    finally:
        await database.close()


async def join(session: WriteSession, project: str, user: Any, own: int) -> None:
    session.add(Membership(project_id=UUID(project), user_id=user, role=Role.editor))
    for number in range(own):
        made = Project(name=f"Project {number}", owner_id=user)
        session.add(made)
        await session.flush()
        session.add(Membership(project_id=made.id, user_id=user, role=Role.owner))


def graphql(query: str, **variables: Any) -> Request:
    return "POST", "/graphql", {"json": {"query": query, "variables": variables}}


def attacks(world: World) -> Mapping[str, list[Request]]:
    """A minute's budget of each kind."""
    cells = " ".join(f"a{n}: datasetVersion(id: $id) {{ preview(rows: 490) }}" for n in range(2))
    aliases = " ".join(f"a{n}: file(format: XLSX) {{ id }}" for n in range(19))
    files = f"query($id: ID!) {{ dataset(id: $id) {{ latestVersion {{ {aliases} }} }} }}"
    predict, contributions = f"/api/mlops/deployments/{world.deployment}/predict", {"contributions": True}

    def rows(count: int, **more: Any) -> list[Request]:
        content = orjson.dumps({"inputs": [world.row] * count, **more})
        return [("POST", predict, {"content": content, "headers": {"Content-Type": "application/json"}})] * PREDICTIONS

    form = {"data": {"project_id": world.project, "name": "t"}, "files": {"file": ("t.csv", many_rows(20_000))}}
    found = {
        "nothing": [],
        "previews": [graphql(f"query($id: ID!) {{ {cells} }}", id=world.wide)] * GENERAL,
        "exports": [graphql(files, id=world.long)] * GENERAL,
        "contributions, 500 rows": rows(500, options=contributions),
        "contributions, 5,000 rows": rows(5_000, options=contributions),
        "predictions of 5,000 rows": rows(5_000),
        "nested connections": [graphql(query) for query in NESTED] * (GENERAL // 2),
        "uploads": [("POST", "/api/datasets/upload", form)] * GENERAL,
    }
    mixed = [one for kind in ("previews", "exports", "nested connections", "uploads") for one in found[kind][: GENERAL // 4]]
    return found | {"everything": mixed + found["contributions, 500 rows"]}
