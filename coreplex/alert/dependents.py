"""What alerts have to do with deployments that are about to be deleted: they go with them, and those that fire say so."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import or_, select
from sqlmodel import col

from coreplex.alert.table import FIRED, Alert
from coreplex.alert.telling import conclude
from coreplex.deployment.production import DELETED
from coreplex.deployment.table import Deployment
from coreplex.platform.database import WriteSession
from coreplex.platform.dependents import depend


async def _conclude(session: WriteSession, ids: Sequence[UUID], user_id: UUID | None) -> None:
    fired = or_(col(Alert.state).in_(FIRED), col(Alert.told_state).in_(FIRED))
    query = select(Alert).where(col(Alert.deployment_id).in_(ids), fired).order_by(col(Alert.id)).with_for_update(key_share=True)
    for alert in (await session.scalars(query.execution_options(populate_existing=True))).all():
        await conclude(session, alert, DELETED, user_id, is_kept=False)
    await session.flush()


depend(Deployment, remove=_conclude)
