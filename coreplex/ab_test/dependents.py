"""What A/B tests have to do with their rollouts: one that ends, of whatever, ends its test."""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.ab_test.table import AbTest, AbTestStatus
from coreplex.deployment.production import TEST_ENDED
from coreplex.deployment.table import Rollout
from coreplex.event import service as event
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession


async def _end(session: WriteSession, actor_id: UUID | None, rollout: Rollout) -> None:
    """Stop its test, unless that has come to an end of its own."""
    test = await session.scalar(select(AbTest).where(col(AbTest.rollout_id) == rollout.id))
    if test is None:
        return
    if test.status is AbTestStatus.running:
        test.status, test.reason = AbTestStatus.stopped, rollout.reason
    test.finished_at = now()
    session.add(test)
    said = f"A/B test “{test.name}” is {test.status}: {test.reason}"
    data = {"status": test.status, "winner": test.winner, "rollout_id": str(rollout.id)}
    await event.audit(session, actor_id, test, f"ab_test.{test.status}", said, data)


TEST_ENDED.append(_end)
