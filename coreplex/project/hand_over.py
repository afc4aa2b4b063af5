"""What decides over a project as a whole: who owns it, and whether it is in use."""

from sqlalchemy import select
from sqlmodel import col

from coreplex.account.cache import announce
from coreplex.account.table import User
from coreplex.artifact.table import STORAGE
from coreplex.dataset.table import VERSIONS_OF_OWNER
from coreplex.errors.tree import Conflict, Message
from coreplex.event import service as event
from coreplex.job import queries as jobs
from coreplex.membership import quota
from coreplex.membership.access import SERVING, open_alone
from coreplex.membership.table import Membership, Project, ProjectStatus
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.listener import announce_change
from coreplex.platform.permissions import Grant, Role
from coreplex.platform.settings import Settings
from coreplex.project.inputs import ArchiveProject, TransferProject, UnarchiveProject
from coreplex.project.members import member_of


async def transfer(session: WriteSession, grant: Grant, wanted: TransferProject, settings: Settings) -> Project:
    """Make another member the owner; the former one becomes admin. Raises QuotaExceeded where the new one has no room for it."""
    project = await open_alone(session, grant, wanted.project_id)
    heir = await member_of(session, project.id, wanted.member_id)
    if heir.user_id == project.owner_id:
        raise Conflict(Message("owner_already", "This member owns the project already."))
    user = await session.get_one(User, heir.user_id)
    if not user.is_active or (settings.require_email_verification and user.email_verified_at is None):
        raise Conflict(
            Message("account_unused", "This member's account is deactivated or not confirmed; it cannot own a project.")
        )
    await quota.take_over(session, settings, project.id, user.id, (VERSIONS_OF_OWNER, STORAGE))
    of_owner = (col(Membership.project_id) == project.id, col(Membership.user_id) == project.owner_id)
    former = (await session.scalars(select(Membership).where(*of_owner))).one()
    heir.role, former.role = Role.owner, Role.admin
    project.owner_id, project.updated_at = user.id, now()
    await announce(session, heir.user_id, former.user_id)
    await announce_change(session, SERVING)
    await event.audit(session, grant.user_id, project, "project.transferred", f"{user.email} owns “{project.name}” now.")
    return project


async def archive(session: WriteSession, grant: Grant, wanted: ArchiveProject) -> Project:
    """Put the project away: from now on it is only read, and what serves goes on answering.

    Raises Conflict while a job of it waits or runs, which would change something later.
    """
    project = await open_alone(session, grant, wanted.project_id)
    if project.status is ProjectStatus.archived:
        raise Conflict(Message("archived_already", "The project is archived already."))
    if unfinished := await jobs.unfinished(session, project.id):
        raise Conflict(_wait_for(unfinished))
    return await _enter(session, grant, project, ProjectStatus.archived, "project.archived", "was archived")


async def unarchive(session: WriteSession, grant: Grant, wanted: UnarchiveProject) -> Project:
    """Take the project into use again."""
    project = await open_alone(session, grant, wanted.project_id)
    if project.status is ProjectStatus.active:
        raise Conflict(Message("not_archived", "The project is not archived."))
    return await _enter(session, grant, project, ProjectStatus.active, "project.unarchived", "is in use again")


async def _enter(session: WriteSession, grant: Grant, project: Project, status: ProjectStatus, kind: str, became: str) -> Project:
    project.status, project.updated_at = status, now()
    await event.audit(session, grant.user_id, project, kind, f"Project “{project.name}” {became}.")
    return project


def _wait_for(unfinished: int) -> Message:
    if unfinished == 1:
        return Message(
            "job_unfinished",
            "A job of this project waits or runs. Wait for the end, or cancel what is not needed, and archive it then.",
        )
    return Message(
        "jobs_unfinished",
        "{count} jobs of this project wait or run. Wait for the end, or cancel what is not needed, and archive it then.",
        count=unfinished,
    )
