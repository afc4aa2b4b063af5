"""What is loaded of projects and memberships."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.membership.table import Membership, Project
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import Role
from coreplex.project import service
from resolvers.loading import Asking, Batch, Rows, batch

projects = Rows(Project)
project_counts = batch(service.counts)


async def _own(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, Role | None]:
    caller = asking.principal.user_id if asking.principal else None
    query = select(col(Membership.project_id), col(Membership.role))
    query = query.where(col(Membership.user_id) == caller, col(Membership.project_id).in_(ids))
    return dict((await session.execute(query)).all())


own_roles = Batch(_own)
"""The caller's role by project id."""
