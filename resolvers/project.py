"""What is loaded of projects and memberships."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.errors.tree import Forbidden, Unauthenticated
from coreplex.membership import access
from coreplex.membership.table import Membership, Project
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import READ, Grant, Role, authorize
from coreplex.project import service
from resolvers.loading import Asking, Batch, batch, rows

projects = rows(Project)
project_counts = batch(service.counts)


async def _own(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, Role | None]:
    caller = asking.principal.user_id if asking.principal else None
    query = select(col(Membership.project_id), col(Membership.role))
    query = query.where(col(Membership.user_id) == caller, col(Membership.project_id).in_(ids))
    return dict((await session.execute(query)).all())


async def _visible(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, Project]:
    try:
        authorize(asking.principal, READ)
    except (Unauthenticated, Forbidden):
        return {}
    assert asking.principal is not None, "strangers are not authorised"
    seen = access.visible_projects(Grant(asking.principal))
    found = await session.scalars(select(Project).where(col(Project.id).in_(ids), col(Project.id).in_(seen)))
    return {project.id: project for project in found}


visible_projects = Batch(_visible)
"""Projects the caller might ask for by id; whatever leads to another one leads nowhere."""
own_roles = Batch(_own)
"""The caller's role by project id."""
