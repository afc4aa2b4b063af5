"""Asks people into a project who have no account yet: a mail whose token proves the mailbox, good once and for a week.

The token alone is what lets somebody in: an account may carry an address that nobody has proved, so nothing is accepted by the
address only. Nothing here commits; the door that opened the transaction does.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlmodel import col

from coreplex.account import mail, tokens
from coreplex.account import service as account
from coreplex.account.inputs import Register
from coreplex.account.signin import user_by_email
from coreplex.account.table import User
from coreplex.errors.tree import BadInput, Conflict, Forbidden, Invalid, Message, NotFound, RateLimited
from coreplex.event import service as event
from coreplex.event.table import Event
from coreplex.membership import quota
from coreplex.membership.access import ARCHIVED, open_project, open_row, visible_rows
from coreplex.membership.table import Invitation, MemberRole, Membership, Project, ProjectStatus
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import moments, one_of, text
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant, Role
from coreplex.platform.settings import Settings
from coreplex.project import members
from coreplex.project.inputs import AcceptInvitation, InviteMember, ResendInvitation, RevokeInvitation

LIFETIME = timedelta(days=7)
MOST_OF_PERSON = 50
"""Mails an hour whom one person invites: nobody writes to the world through us."""
MOST_TO_ADDRESS = 5
"""Mails an hour to one address, whoever invites: nobody's mailbox can be flooded through us."""
HOUR = timedelta(hours=1)
SENT = "invitation.sent"


def visible(grant: Grant) -> Select[Invitation]:
    """Invitations of the projects whose members the caller manages."""
    managed = select(col(Membership.project_id)).where(col(Membership.user_id) == grant.user_id)
    managed = managed.where(col(Membership.role).in_([role for role in Role if role.covers(Role.admin)]))
    return visible_rows(grant, Invitation).where(col(Invitation.project_id).in_(managed))


INVITATIONS = Listing(
    noun="Invitation",
    query=select(Invitation),
    identity=col(Invitation.id),
    order=Order(
        {
            "created_at": col(Invitation.created_at),
            "email": func.lower(col(Invitation.email)),
            "expires_at": col(Invitation.expires_at),
        }
    ),
    search=Search("the e-mail", (col(Invitation.email),)),
    filters={
        "email": text(col(Invitation.email), "By e-mail."),
        "role": one_of(col(Invitation.role), MemberRole, "Only those for one of these roles."),
        "created_at": moments(col(Invitation.created_at), "By when they were made."),
        "expires_at": moments(col(Invitation.expires_at), "By when they end."),
    },
    visible=lambda grant: col(Invitation.id).in_(visible(grant).with_only_columns(col(Invitation.id))),
    parent=col(Invitation.project_id),
)
"""Invitations of the projects whose members the caller manages."""


async def invite(
    session: WriteSession, grant: Grant, wanted: InviteMember, settings: Settings
) -> tuple[Membership | None, Invitation | None]:
    """The new member, where somebody has confirmed this e-mail as theirs; else an invitation, and a mail.

    Raises Conflict for who is a member or invited already, QuotaExceeded, RateLimited.
    """
    project = await open_project(session, grant, wanted.project_id)
    user = await user_by_email(session, wanted.email)
    if user is not None and (proved(user, settings) or await _belongs(session, project.id, user.id)):
        return await members.join(session, project, user, Role(wanted.role), settings, actor_id=grant.user_id), None
    await quota.take_item(session, settings, project.id, Invitation, "Revoke invitations that nobody accepts")
    same = (col(Invitation.project_id) == project.id, func.lower(Invitation.email) == wanted.email.lower())
    before = await session.scalar(select(Invitation).where(*same).with_for_update())
    if before is not None and before.expires_at > now():
        raise Conflict(Message("invited_already", "This e-mail is invited already; send the invitation again, or revoke it."))
    invitation = before or Invitation(project_id=project.id, email=wanted.email, role=wanted.role, token_hash=b"")
    invitation.role, invitation.invited_by = wanted.role, grant.user_id
    await _send(session, grant, settings, invitation)
    return None, invitation


async def resend(session: WriteSession, grant: Grant, wanted: ResendInvitation, settings: Settings) -> Invitation:
    """A new mail with a new token, good for a week again; the one before ends. Raises RateLimited."""
    invitation = await _open(session, grant, wanted.invitation_id)
    await _send(session, grant, settings, invitation)
    return invitation


async def revoke(session: WriteSession, grant: Grant, wanted: RevokeInvitation) -> tuple[UUID, UUID]:
    """Take an invitation back: its token lets nobody in any more. Its id, and that of its project."""
    invitation = await _open(session, grant, wanted.invitation_id)
    project = await session.get_one(Project, invitation.project_id)
    await session.delete(invitation)
    message = f"The invitation of {invitation.email} was revoked."
    await event.audit(session, grant.user_id, project, "invitation.revoked", message)
    return invitation.id, project.id


async def accept(session: WriteSession, grant: Grant, wanted: AcceptInvitation, settings: Settings) -> Membership:
    """Join as who is signed in, if the invitation went to their e-mail, which the token proves to be theirs."""
    invitation, project = await _redeem(session, wanted.token)
    user = await session.get_one(User, grant.user_id, with_for_update={"key_share": True})
    if user.email.lower() != invitation.email.lower():
        raise Forbidden(
            Message(
                "invitation_for_other_account", "This invitation went to another e-mail; sign in with the account that has it."
            )
        )
    user.email_verified_at = user.email_verified_at or now()
    return await _join(session, invitation, project, user, settings)


async def register(session: WriteSession, settings: Settings, wanted: Register, password_hash: str) -> User:
    """Make the account of who was invited, whose e-mail the token proves, and join. Also where registration is not open."""
    invitation, project = await _redeem(session, wanted.invitation_token or "")
    if wanted.email.lower() != invitation.email.lower():
        raise Invalid.field(Message("invitation_for_other_email", "is for another e-mail"), "invitation_token")
    user = await account.register_proved(session, settings, wanted, password_hash)
    await _join(session, invitation, project, user, settings)
    return user


async def offered(session: ReadSession, settings: Settings, token: str) -> dict[str, Any]:
    """What an invitation offers, to be told to the holder of its token. Raises BadInput."""
    invitation = await _find(session, token)
    user = await user_by_email(session, invitation.email)
    return {
        "email": invitation.email,
        "role": invitation.role,
        "project_name": (await session.get_one(Project, invitation.project_id)).name,
        "invited_by": await session.get(User, invitation.invited_by) if invitation.invited_by else None,
        "registered": user is not None and proved(user, settings),
        "expires_at": invitation.expires_at,
    }


def proved(user: User, settings: Settings) -> bool:
    """Whether the account is used: its e-mail is confirmed, where that is asked for."""
    return user.email_verified_at is not None or not settings.require_email_verification


async def _open(session: WriteSession, grant: Grant, invitation_id: str) -> Invitation:
    """The invitation, kept from everybody else until the transaction ends. Raises NotFound, also for one accepted meanwhile."""
    found = await open_row(session, grant, Invitation, invitation_id, "Invitation")
    query = select(Invitation).where(col(Invitation.id) == found.id).with_for_update()
    invitation = await session.scalar(query.execution_options(populate_existing=True))
    if invitation is None:
        raise NotFound.of("Invitation")
    return invitation


async def _send(session: WriteSession, grant: Grant, settings: Settings, invitation: Invitation) -> None:
    await _require_few(session, grant, invitation.email)
    token = tokens.new()
    invitation.token_hash = tokens.digest(token)
    invitation.mails = invitation.mails + 1 if now() - invitation.sent_at < HOUR else 1
    invitation.sent_at, invitation.expires_at = now(), now() + LIFETIME
    session.add(invitation)
    await session.flush()
    await mail.send_invitation(session, settings, invitation.email, grant.principal.email, token, LIFETIME.days)
    project = await session.get_one(Project, invitation.project_id)
    await event.audit(session, grant.user_id, project, SENT, f"{invitation.email} was invited as {invitation.role}.")


async def _require_few(session: WriteSession, grant: Grant, email: str) -> None:
    """Raise RateLimited when the caller wrote enough such mails, or the address got enough, in the last hour."""
    await quota.lock_account(session, grant.user_id)
    mine = (col(Event.actor_id) == grant.user_id, col(Event.type) == SENT, col(Event.created_at) > now() - HOUR)
    if await quota.count(session, select(func.count()).select_from(Event).where(*mine)) >= MOST_OF_PERSON:
        raise RateLimited(
            Message("too_many_invitations", "At most {most} invitations an hour; go on later.", most=MOST_OF_PERSON),
            retry_after=int(HOUR.total_seconds()),
        )
    theirs = (func.lower(Invitation.email) == email.lower(), col(Invitation.sent_at) > now() - HOUR)
    if await quota.count(session, select(func.sum(Invitation.mails)).where(*theirs)) >= MOST_TO_ADDRESS:
        raise RateLimited(
            Message("address_invited_enough", "This address got enough invitations for now; try again in an hour."),
            retry_after=int(HOUR.total_seconds()),
        )


async def _find(session: ReadSession, token: str) -> Invitation:
    invitation = await session.scalar(select(Invitation).where(*_good(token)))
    if invitation is None:
        raise _bad()
    return invitation


async def _redeem(session: WriteSession, token: str) -> tuple[Invitation, Project]:
    """The invitation, kept from everybody else until the transaction ends, and its project. Raises BadInput, Conflict."""
    found = await _find(session, token)
    # The project before the invitation, as whoever deletes it has them.
    lock = select(Project).where(col(Project.id) == found.project_id).with_for_update(read=True, key_share=True)
    project = await session.scalar(lock)
    query = select(Invitation).where(*_good(token)).with_for_update().execution_options(populate_existing=True)
    invitation = await session.scalar(query)
    if project is None or invitation is None:
        raise _bad()
    if project.status is ProjectStatus.archived:
        raise Conflict(ARCHIVED)
    return invitation, project


async def _join(session: WriteSession, invitation: Invitation, project: Project, user: User, settings: Settings) -> Membership:
    role = Role(invitation.role)
    story = ("invitation.accepted", f"{user.email} accepted the invitation and is {role}.")
    membership = await members.join(session, project, user, role, settings, actor_id=user.id, story=story)
    await session.delete(invitation)
    await session.flush()
    return membership


async def _belongs(session: ReadSession, project_id: UUID, user_id: UUID) -> bool:
    mine = (col(Membership.project_id) == project_id, col(Membership.user_id) == user_id)
    return await session.scalar(select(col(Membership.id)).where(*mine)) is not None


def _good(token: str) -> tuple[ColumnElement[bool], ...]:
    return (col(Invitation.token_hash) == tokens.digest(token), col(Invitation.expires_at) > now())


def _bad() -> BadInput:
    return BadInput(
        Message(
            "invitation_not_valid",
            "This invitation is not valid: mistyped, accepted already, revoked, or too old. Ask for another one.",
        )
    )
