"""A deployment whose model is from before requests were counted by what they hold is counted so after a job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from coreplex.engines.drift.counting import RowCounter
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.monitoring import baseline
from coreplex.monitoring.missing import make
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.isolation import Control
from coreplex.platform.storage import Storage
from tests.factories.asking import Asker
from tests.factories.world import ROW, TARGET


@dataclass
class Running:
    """What the job needs of its context."""

    database: Database
    storage: Storage
    control: Control = field(default_factory=Control)

    async def save(self, work: Callable[[WriteSession], Awaitable[Any]]) -> Any:
        async with self.database.transaction() as session:
            return await work(session)


async def test_tables_of_older_models_are_put_in_bins(asker: Asker) -> None:
    world, model = asker.world, UUID(asker.world.ids["model"])
    context = cast(JobContext, Running(world.database, world.services.storage))
    assert await make(Job(type="missing_baselines"), context) == {"baselines": 2}
    assert await make(Job(type="missing_baselines"), context) == {"baselines": 0}
    async with world.database.read() as session:
        layout = (await baseline.layouts(session, [model]))[model]
    assert TARGET not in layout.names
    assert layout.names >= ROW.keys() - {TARGET}
    found = RowCounter(layout).count([ROW], [None])
    assert all(part.of(found).sum() == 1 for part in layout.parts)
