"""Who works in a project and what they may do there. Nothing here commits; the door that opened the transaction does."""

from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.account.cache import announce
from coreplex.account.table import User
from coreplex.errors.tree import Conflict, Message, NotFound
from coreplex.event import service as event
from coreplex.membership import quota
from coreplex.membership.access import SERVING, open_alone, open_project
from coreplex.membership.table import Membership, Project
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import moments, one_of, text
from coreplex.platform.identifier import parse_id
from coreplex.platform.listener import announce_change
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant, Permission, Role, Scope
from coreplex.platform.settings import Settings
from coreplex.project.inputs import AddMember, ChangeMemberRole, RemoveMember

TOO_MANY = "Remove members who left"
REMOVE = Permission(Scope.write, Role.admin, archived=True)
MEMBERS = Listing(
    noun="Member",
    query=select(Membership).join(User, col(User.id) == col(Membership.user_id)),
    identity=col(Membership.id),
    order=Order(
        {
            "created_at": col(Membership.created_at),
            "email": col(User.email),
            "name": col(User.name),
            "role": col(Membership.role),
        }
    ),
    search=Search("the person's name and e-mail", (col(User.email), col(User.name))),
    filters={
        "email": text(col(User.email), "By the person's e-mail."),
        "name": text(col(User.name), "By the person's name."),
        "role": one_of(col(Membership.role), Role, "Only members of one of these roles."),
        "created_at": moments(col(Membership.created_at), "By when they joined."),
    },
    parent=col(Membership.project_id),
)
"""Members of projects the caller may see."""


async def add(session: WriteSession, grant: Grant, wanted: AddMember, settings: Settings) -> Membership:
    project = await open_project(session, grant, wanted.project_id)
    user = await session.scalar(select(User).where(func.lower(User.email) == wanted.email.lower()))
    if user is None:
        raise NotFound(Message("no_user_of_email", "No user has this e-mail; ask the person to register first."))
    return await join(session, project, user, Role(wanted.role), settings, actor_id=grant.user_id)


async def join(
    session: WriteSession,
    project: Project,
    user: User,
    role: Role,
    settings: Settings,
    *,
    actor_id: UUID,
    story: tuple[str, str] | None = None,
) -> Membership:
    """Make somebody a member. Raises Conflict for one who is already, QuotaExceeded. `story`: kind and message of the event."""
    already = select(col(Membership.role)).where(col(Membership.project_id) == project.id, col(Membership.user_id) == user.id)
    if (present := await session.scalar(already)) is not None:
        raise Conflict(
            Message(
                "member_already",
                "This user is a member already, as {role}; changeMemberRole gives another role.",
                role=str(present),
            )
        )
    await quota.take_item(session, settings, project.id, Membership, TOO_MANY)
    membership = Membership(project_id=project.id, user_id=user.id, role=role)
    session.add(membership)
    await event.audit(session, actor_id, project, *(story or ("member.added", f"{user.email} was added as {role}.")))
    return membership


async def change_role(session: WriteSession, grant: Grant, wanted: ChangeMemberRole) -> Membership:
    """Let a member do more or less. Nobody gets more than those may who change it, and the owner stays."""
    project = await open_alone(session, grant, wanted.project_id)
    membership = await member_of(session, project.id, wanted.member_id)
    if membership.role is Role.owner:
        raise Conflict(Message("owner_stays", "The owner's role stays; transfer the project to make somebody else its owner."))
    role, before = Role(wanted.role), membership.role
    if role is before:
        return membership
    membership.role = role
    user = await session.get_one(User, membership.user_id)
    await announce(session, user.id)
    await announce_change(session, SERVING)
    await event.audit(session, grant.user_id, project, "member.role_changed", f"{user.email} is {role}, and was {before}.")
    return membership


async def remove(session: WriteSession, grant: Grant, wanted: RemoveMember) -> tuple[UUID, UUID]:
    """Remove somebody, which managers may, or oneself, which everybody may but the owner; ids of membership and project."""
    project = await open_project(session, grant, wanted.project_id)
    membership = await member_of(session, project.id, wanted.member_id)
    leaves = membership.user_id == grant.user_id
    if not leaves:
        await open_project(session, Grant(grant.principal, REMOVE), project.id)
    if membership.role is Role.owner:
        raise Conflict(Message("owner_not_removed", "The owner cannot be removed; transfer the project, or delete it."))
    user = await session.get_one(User, membership.user_id)
    await session.delete(membership)
    await announce(session, user.id)
    await announce_change(session, SERVING)
    kind, message = ("member.left", "left") if leaves else ("member.removed", "was removed")
    await event.audit(session, grant.user_id, project, kind, f"{user.email} {message}.")
    return membership.id, project.id


async def member_of(session: ReadSession, project_id: UUID, member_id: str) -> Membership:
    """A membership of the project by its id."""
    identity = parse_id(member_id, "Member")
    query = select(Membership).where(col(Membership.id) == identity, col(Membership.project_id) == project_id)
    membership = await session.scalar(query.execution_options(populate_existing=True))
    if membership is None:
        raise NotFound.of("Member")
    return membership
