"""Looks at running A/B tests, and ends those that have a winner, cannot have one any more, or lose rows on one side."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.ab_test.table import AbTest, AbTestStatus
from coreplex.ab_test.verdict import verdict
from coreplex.deployment.production import end, hold
from coreplex.deployment.table import Rollout, RolloutStatus
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.one_by_one import one_by_one


async def tend(database: Database) -> None:
    """Look at every running test."""
    running = select(AbTest, Rollout).join(Rollout, col(Rollout.id) == col(AbTest.rollout_id))
    async with database.read() as session:
        found = (await session.execute(running.where(col(AbTest.status) == AbTestStatus.running))).all()

    async def look_at(both: tuple[AbTest, Rollout]) -> None:
        test, rollout = both
        if verdict(test, rollout, now()).status is not AbTestStatus.running:
            async with database.transaction() as session:
                await _decide(session, test.project_id, test.id)

    await one_by_one([(test, rollout) for test, rollout in found], look_at, "ab_test.not_looked_at")


async def _decide(session: WriteSession, project_id: UUID, test_id: UUID) -> None:
    await hold(session, project_id)
    test = await session.get(AbTest, test_id)
    if test is None or test.status is not AbTestStatus.running:
        return
    rollout = await session.get_one(Rollout, test.rollout_id)
    found = verdict(test, rollout, now())
    if found.status is AbTestStatus.running:
        return
    test.status, test.winner, test.reason = found
    session.add(test)
    await end(session, None, rollout, RolloutStatus.stopped, found.reason)
