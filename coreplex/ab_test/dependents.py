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
from coreplex.webhook import outbox
from coreplex.webhook.event_types import declare

TOLD = {
    AbTestStatus.completed: declare("ab_test.completed", "An A/B test has ended by itself, with a winner or without one."),
    AbTestStatus.stopped: declare("ab_test.stopped", "An A/B test was ended by a person, or by what became of its deployments."),
    AbTestStatus.invalid: declare(
        "ab_test.invalid", "An A/B test has ended because keys did not fall to its sides as they were to."
    ),
}


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
    kind = TOLD[test.status]
    about = {"message": said, "ab_test_id": str(test.id), "name": test.name, **data}
    await outbox.send(session, test.project_id, kind, about, subject=f"ab_test/{test.id}")
    await event.audit(session, actor_id, test, kind, said, data)


TEST_ENDED.append(_end)
