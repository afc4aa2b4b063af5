"""What is counted is looked at once: new evidence, and no more without new rows."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from coreplex.engines.drift.layout import Layout
from coreplex.monitoring import spans, watch
from coreplex.monitoring.table import DriftWatch
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.serving.log.writer import InferenceWriter
from tests.factories import counted
from tests.factories.served import Served, serve


async def seen(database: Database, served: Served) -> DriftWatch:
    async with database.read() as session:
        return await session.get_one(DriftWatch, served.deployment_id)


async def test_each_count_is_evidence_once(database: Database, tmp_path: Path) -> None:
    served = await serve(database)
    await counted.keep(database, served, Layout((counted.trained("x", range(10)),)))
    writer = InferenceWriter(database, tmp_path)

    async def ask(*rows: int, **arm: str) -> None:
        await served.record(writer, *({"x": value} for value in rows), **arm)
        await writer.flush()

    await ask(*range(10))
    assert await watch.look(database) == 1
    calm = await seen(database, served)
    assert (calm.rows, calm.drifting_since) == (10, None)
    await ask(*[9] * 100, arm="shadow")
    assert await watch.look(database) == 1
    assert (await seen(database, served)).rows == 10, "what a shadow was asked is nobody's traffic"
    await ask(*[9] * 100)
    assert await watch.look(database) == 1
    moved = await seen(database, served)
    assert moved.rows == 110
    await served.record(writer, {"x": 3}, {"y": 1}, {}, request_id="refused", outputs=[None] * 3)
    await writer.flush()
    assert await watch.look(database) == 1
    moved = await seen(database, served)
    assert moved.rows == 111, "rows without a column of the model are no evidence"
    assert moved.drifting_since is not None
    assert [one["feature"] for one in moved.features] == ["x"]
    before = await counted.kept(served)
    await spans.join(database, now() + timedelta(days=50))
    assert await watch.look(database) == 0
    assert ((await seen(database, served)).evidence, await counted.kept(served)) == (moved.evidence, before)
    await writer.stop()


async def test_what_cannot_be_looked_at_keeps_nobody_waiting(database: Database, tmp_path: Path) -> None:
    """Bins beyond those of the layout, as of a file that was changed; and bets that an older version made begin anew."""
    broken, sound = await serve(database), await serve(database)
    writer = InferenceWriter(database, tmp_path)
    for served in (broken, sound):
        await counted.keep(database, served, Layout((counted.trained("x", range(10)),)))
        await served.record(writer, {"x": 3})
    await writer.flush()
    await sound.run(f"UPDATE bin_counts SET bins = '{{99999}}' WHERE deployment_id = '{broken.deployment_id}'")
    await watch.look(database)
    assert (await seen(database, sound)).rows == 1
    assert not await sound.run(f"SELECT FROM drift_watches WHERE deployment_id = '{broken.deployment_id}'")
    await sound.run("UPDATE drift_watches SET capital = '\\x0000'::bytea || substring(capital FROM 3 FOR 14)")
    await sound.record(writer, {"x": 4})
    await writer.flush()
    await watch.look(database)
    anew = await seen(database, sound)
    assert (anew.rows, anew.began_at) == (1, anew.looked_at)
    await writer.stop()


async def test_a_deployment_may_go_while_it_is_looked_at(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept of it, and nobody is told of a fault."""
    served = await serve(database)
    await counted.keep(database, served, Layout((counted.trained("x", range(10)),)))
    writer = InferenceWriter(database, tmp_path)
    await served.record(writer, {"x": 3})
    await writer.flush()
    begin = watch._begun

    async def begin_late(*given: Any) -> DriftWatch:
        await served.run(f"DELETE FROM deployments WHERE id = '{served.deployment_id}'")
        return await begin(*given)

    monkeypatch.setattr(watch, "_begun", begin_late)
    with capture_logs() as lines:
        await watch.look(database)
    assert [line["log_level"] for line in lines] == ["info"]
    assert not await served.run("SELECT FROM drift_watches")
    assert [await watch.look(database) for _ in range(2)] == [1, 0], "its counts are passed over"
    await writer.stop()
