"""Opens projects and what belongs to them: the only way, with who asks and what for."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import SQLModel, col

from coreplex.errors.tree import Forbidden, NotFound
from coreplex.membership.table import Membership, Project
from coreplex.platform.database import ReadSession
from coreplex.platform.identifier import parse_id
from coreplex.platform.permissions import Grant, Role

Row = TypeVar("Row", bound=SQLModel)
SERVING = "coreplex_serving"
"""A deployment, a model, a membership or a project changed: forget who may reach which model."""


def visible_projects(grant: Grant) -> Select[UUID]:
    """Ids of the projects the caller belongs to (a project-bound key sees only its project)."""
    query = select(col(Membership.project_id)).where(col(Membership.user_id) == grant.user_id)
    if grant.principal.project_id is not None:
        query = query.where(col(Membership.project_id) == grant.principal.project_id)
    return query


def visible_rows(grant: Grant, table: type[SQLModel], *options: ExecutableOption) -> Select[Any]:
    """Rows of a table with a `project_id` that `open_row` would open for a viewer. `options` say which columns stay behind."""
    columns: Any = table
    return select(table).where(columns.project_id.in_(visible_projects(grant))).options(*options)


def visible(grant: Grant) -> Select[Project]:
    """The projects themselves."""
    return select(Project).where(col(Project.id).in_(visible_projects(grant)))


async def open_project(session: ReadSession, grant: Grant, project_id: str | UUID) -> Project:
    """The project, if the caller is a member with the role the field declares."""
    identity = parse_id(project_id, "Project")
    query = select(Project, col(Membership.role)).join(Membership, col(Membership.project_id) == col(Project.id))
    return await _open(session, grant, query.where(col(Project.id) == identity), "Project")


async def open_row(session: ReadSession, grant: Grant, table: type[Row], row_id: str | UUID, noun: str) -> Row:
    """A row of any table with a `project_id`, if the caller may see and use it.

    Raises NotFound(`noun`) when it is missing or another person's, Forbidden when the caller's role is too low.
    """
    identity = parse_id(row_id, noun)
    columns: Any = table
    query = select(table, col(Membership.role)).join(Membership, col(Membership.project_id) == columns.project_id)
    return await _open(session, grant, query.where(columns.id == identity), noun)


async def _open(session: ReadSession, grant: Grant, query: Any, noun: str) -> Any:
    query = query.where(col(Membership.user_id) == grant.user_id)
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound.of(noun)
    row, role = found
    bound_to = grant.principal.project_id
    if bound_to is not None and bound_to != (row.id if isinstance(row, Project) else row.project_id):
        raise NotFound.of(noun)
    require_role(role, grant.permission.role)
    return row


def require_role(role: Role, needed: Role) -> None:
    if not role.covers(needed):
        raise Forbidden(f"Your role in this project is {role}; this needs {needed} or higher.")
