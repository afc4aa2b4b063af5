"""Opens projects and what belongs to them: the only way, with who asks and what for."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import SQLModel, col

from coreplex.errors.tree import Conflict, Forbidden, Message, NotFound
from coreplex.membership.table import Membership, Project, ProjectStatus
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.identifier import parse_id
from coreplex.platform.permissions import Grant, Role, Scope

Row = TypeVar("Row", bound=SQLModel)
ARCHIVED = Message(
    "project_archived",
    "This project is archived: it is read, and what serves answers, but nothing in it changes. Unarchive it first.",
)
OF_OTHER_PROJECT = Message("of_other_project", "belongs to another project")
"""Of what an input names beside what it is about."""
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


async def open_project(session: ReadSession, grant: Grant, project_id: str | UUID, *, lock: bool = True) -> Project:
    """The project, if the caller is a member with the role the field declares. Raises as `open_row`.

    `lock`: in a transaction that changes something in it, whoever decides over it as a whole (`open_alone`) waits for the end.
    """
    return await _open(session, grant, _project(project_id), "Project", lock and isinstance(session, WriteSession))


async def open_alone(session: WriteSession, grant: Grant, project_id: str | UUID) -> Project:
    """The same for what decides over the project as a whole: who changes anything in it ends before, or begins after."""
    project: Project = await _open(session, grant, _project(project_id), "Project", lock=False)
    await session.execute(select(col(Project.id)).where(col(Project.id) == project.id).with_for_update())
    # Again, because another transaction may have decided before the lock was had.
    again = _project(project_id).execution_options(populate_existing=True)
    return await _open(session, grant, again, "Project", lock=False)


async def open_row(session: ReadSession, grant: Grant, table: type[Row], row_id: str | UUID, noun: str) -> Row:
    """A row of any table with a `project_id`, if the caller may see and use it.

    Raises NotFound(`noun`) when it is missing or another person's, Forbidden when the caller's role is too low, Conflict when
    it is to be changed and its project is archived.
    """
    identity = parse_id(row_id, noun)
    columns: Any = table
    query = select(table, col(Membership.role)).join(Membership, col(Membership.project_id) == columns.project_id)
    if _changes(grant):
        query = query.join(Project, col(Project.id) == columns.project_id)
    return await _open(session, grant, query.where(columns.id == identity), noun, isinstance(session, WriteSession))


def _project(project_id: str | UUID) -> Any:
    identity = parse_id(project_id, "Project")
    query = select(Project, col(Membership.role)).join(Membership, col(Membership.project_id) == col(Project.id))
    return query.where(col(Project.id) == identity)


def _changes(grant: Grant) -> bool:
    return grant.permission.scope is Scope.write


async def _open(session: ReadSession, grant: Grant, query: Any, noun: str, lock: bool) -> Any:
    query = query.where(col(Membership.user_id) == grant.user_id)
    if _changes(grant):
        query = query.add_columns(col(Project.status))
        query = query.with_for_update(read=True, key_share=True, of=Project) if lock else query
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise NotFound.of(noun)
    row, role, *status = found
    bound_to = grant.principal.project_id
    if bound_to is not None and bound_to != (row.id if isinstance(row, Project) else row.project_id):
        raise NotFound.of(noun)
    require_role(role, grant.permission.role)
    if status == [ProjectStatus.archived] and not grant.permission.archived:
        raise Conflict(ARCHIVED)
    return row


def require_role(role: Role, needed: Role) -> None:
    if not role.covers(needed):
        raise Forbidden(
            Message(
                "role_too_low", "Your role in this project is {role}; this needs {needed} or higher.", role=role, needed=needed
            )
        )
