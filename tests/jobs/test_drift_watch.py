"""What is counted is looked at once: new evidence, and no more without new rows."""

from datetime import timedelta
from pathlib import Path

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
    feature = counted.numbers("x", range(10))
    trained = feature.__class__(feature.name, feature.kind, feature.bins, (0, *[100] * 10, 0, 0), feature.column)
    await counted.keep(database, served, Layout((trained,)))
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
    assert moved.drifting_since is not None
    assert [one["feature"] for one in moved.features] == ["x"]
    before = await counted.kept(served)
    await spans.join(database, now() + timedelta(days=50))
    assert await watch.look(database) == 0
    assert ((await seen(database, served)).evidence, await counted.kept(served)) == (moved.evidence, before)
    await writer.stop()
