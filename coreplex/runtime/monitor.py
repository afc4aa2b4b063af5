"""What is looked at every few seconds in whatever one process: rollouts and A/B tests that go on by themselves, data that move,
retrainings that it is time for.

Each worker runs it; the one that has the lock of PostgreSQL looks, and another one takes over when it is gone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from sqlalchemy import exists, func, select, text
from sqlmodel import col

from coreplex.alert.table import Alert
from coreplex.deployment.table import Rollout, RolloutKind, RolloutStatus
from coreplex.monitoring import spans
from coreplex.monitoring.table import BinCount
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.deferred_import import later
from coreplex.platform.one_by_one import one_by_one
from coreplex.retraining import queries as retraining

AWAKE_SECS = 5.0
tend = later("coreplex.deployment.judging:tend")
tend_tests = later("coreplex.ab_test.judging:tend")
watch = later("coreplex.monitoring.watch:look")
tend_alerts = later("coreplex.alert.judging:tend")
tend_retraining = later("coreplex.retraining.tending:tend")
"""They work with SciPy: while no canary and no test runs, and nothing is asked, a worker is small."""


def _runs(kind: RolloutKind) -> Any:
    return select(exists().where(col(Rollout.status) == RolloutStatus.running, col(Rollout.kind) == kind))


_COUNTED = select(exists().where(col(BinCount.is_new)))
_DUE = select(exists().where(col(Alert.is_enabled), col(Alert.next_look_at) <= func.now()))
_TENDED = (
    (_runs(RolloutKind.canary), tend),
    (_runs(RolloutKind.ab_test), tend_tests),
    (_COUNTED, watch),
    (_DUE, tend_alerts),
    (retraining.WAITING, tend_retraining),
)
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('monitor', 0))")

log = structlog.get_logger(__name__)


async def run(database: Database, every_secs: float) -> None:
    """Look for ever; survives a database that is away."""
    while True:
        try:
            await look(database)
        except Exception as error:
            log.warning("monitor.missed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(every_secs)


async def look(database: Database) -> bool:
    """One round; False when another process is at it."""
    async with database.transaction() as session:
        if not await session.scalar(_TRY_LOCK):
            return False
        due = [look_at for there_is, look_at in _TENDED if await session.scalar(there_is)]
        async with _awake(session):
            await one_by_one([*due, _join], lambda look_at: look_at(database), "monitor.look_failed")
    return True


@asynccontextmanager
async def _awake(session: WriteSession) -> AsyncIterator[None]:
    """Keep the transaction that has the lock from being ended as one that idles, however long a look takes; that of a process
    which is frozen still is, and another one takes over."""
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), AWAKE_SECS)
            if not over.is_set():
                await session.execute(text("SELECT 1"))

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        over.set()
        await asking


async def _join(database: Database) -> None:
    await spans.join(database, now())
