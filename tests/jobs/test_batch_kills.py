"""A worker, or its child, killed in the middle of a batch of predictions: the next attempt goes on behind what is finished, ends
once, and makes the bytes of an unbroken run."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from httpx import AsyncClient
from sqlalchemy import text

from coreplex.job.lifecycle import JobStatus
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.engines.scoring_samples import frame
from tests.factories.account import browser, serving
from tests.factories.dataset import stored_files
from tests.factories.world import World, world
from tests.jobs.harness import Workers, is_, read, until

TIMING = Timing(lease=4.0, beat=0.5, sweep=0.5, redispatch=2.0, flush=0.1, backoff=0.1, backoff_most=0.5, drain=1.0)
ROWS, LEAST = 400_000, 3
"""Rows of the file, and finished parts after which something is killed."""


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[World, AsyncClient, Workers]]:
    workers = Workers(settings, TIMING)
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        client.timeout = 60  # type: ignore[assignment]
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM jobs"))
        yield made, client, workers
    workers.stop()


async def ask(made: World, client: AsyncClient, data: bytes) -> dict[str, Any]:
    answer = await client.post(f"/api/models/{made.ids['model']}/batch-predict", files={"file": ("rows.parquet", data)})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def ended(made: World, client: AsyncClient, asked: dict[str, Any]) -> dict[str, Any]:
    await until(is_(made.database, UUID(asked["job_id"]), JobStatus.succeeded, JobStatus.failed), 200)
    return dict((await client.get(f"/api/predictions/batches/{asked['id']}")).json()["batch"])


def parts(folder: Path) -> int:
    """Finished parts of a batch."""
    return len(list(folder.glob("*/*.json"))) if folder.is_dir() else 0


async def half_done(folder: Path) -> None:
    """Until some parts are finished, and far from all."""

    async def condition() -> bool:
        return parts(folder) >= LEAST

    await until(condition, 200)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "child"])
async def test_what_was_killed_at_half_is_finished_once(lab: tuple[World, AsyncClient, Workers], victim: str) -> None:
    made, client, workers = lab
    few, out = frame(2_000), io.BytesIO()
    pl.concat([few] * (ROWS // few.height)).write_parquet(out)
    process = workers.start()
    broken = await ask(made, client, out.getvalue())
    await half_done(made.services.settings.data_dir / "batches" / broken["id"])
    if victim == "worker":
        workers.kill(process)
        await asyncio.to_thread(workers.start)
    else:
        for child in workers.children():
            child.kill()
    batch = await ended(made, client, broken)
    assert batch["status"] == "succeeded", workers.log.read_text()[-3000:]
    job = await read(made.database, UUID(broken["job_id"]))
    assert job.attempts == 2
    events = await client.post("/graphql", json={"query": PROJECT_LOG, "variables": {"id": made.ids["project"]}})
    assert [one["type"] for one in events.json()["data"]["project"]["timeline"]["nodes"]].count("prediction_batch.succeeded") == 1
    unbroken = await ended(made, client, await ask(made, client, out.getvalue()))
    assert batch["receipt"] == unbroken["receipt"]
    assert batch["row_count"] == ROWS
    assert [name.rsplit("/", 1)[1] for name in stored_files(made.services) if broken["id"] in name] == ["predictions.parquet"]
    assert list((made.services.settings.data_dir / "batches").iterdir()) == []
    async with made.database.read() as session:
        query = text("SELECT message FROM events WHERE entity_id = :batch AND message LIKE '%earlier attempt%'")
        (told,) = (await session.scalars(query, {"batch": UUID(broken["id"])})).all()
    assert int(told.split()[0].replace(",", "")) >= LEAST * 20_000


async def test_what_is_cancelled_at_half_ends_and_leaves_no_result(lab: tuple[World, AsyncClient, Workers]) -> None:
    made, client, workers = lab
    few, out = frame(2_000), io.BytesIO()
    pl.concat([few] * (ROWS // few.height)).write_parquet(out)
    workers.start()
    asked = await ask(made, client, out.getvalue())
    await half_done(made.services.settings.data_dir / "batches" / asked["id"])
    assert (await client.post(f"/api/jobs/{asked['job_id']}/cancel")).status_code == 200
    await until(is_(made.database, UUID(asked["job_id"]), JobStatus.cancelled), 60)
    batch = (await client.get(f"/api/predictions/batches/{asked['id']}")).json()["batch"]
    assert (batch["status"], batch["error"], batch["receipt"]) == ("failed", "cancelled", None)
    assert list((made.services.settings.data_dir / "batches").iterdir()) == [], "neither rows nor answers stay on the disk"
    refused = await client.get(f"/api/predictions/batches/{asked['id']}/download")
    assert (refused.status_code, "ended as cancelled" in refused.json()["detail"]) == (409, True)

    async def swept() -> bool:
        return not any(asked["id"] in name for name in stored_files(made.services))

    await until(swept, 60)


PROJECT_LOG = "query($id: ID!) { project(id: $id) { timeline(first: 50) { nodes { type } } } }"
