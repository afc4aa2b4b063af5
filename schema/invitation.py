"""Invitations in the public contract: people without an account, asked into a project by a mail."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from coreplex.membership.table import Invitation as Row
from coreplex.membership.table import MemberRole
from coreplex.platform.permissions import MANAGE, Category, Permission, Role, Scope
from coreplex.project import inputs, invitation
from resolvers.account import users
from resolvers.context import Info
from schema.common import published
from schema.deleted import DeletedFromProjectPayload
from schema.field import command, guarded, loaded
from schema.links import owner
from schema.node import node
from schema.pagination import Connection, nested
from schema.user import User

if TYPE_CHECKING:
    from schema.project import Member

REVOKE = Permission(Scope.write, Role.admin, archived=True)
ACCEPT = Permission(Scope.write, session_only=True)
LOOK = Permission(category=Category.authentication, once=True)

published(inputs.InviteMember, "InviteMemberInput", "A person to ask into a project.")
published(inputs.ResendInvitation, "ResendInvitationInput", "An invitation to send again.")
published(inputs.RevokeInvitation, "RevokeInvitationInput", "An invitation to take back.")
published(inputs.AcceptInvitation, "AcceptInvitationInput", "Proof that the mail of an invitation arrived.")

MEMBER = strawberry.lazy("schema.project")  # which knows invitations
Token = Annotated[str, strawberry.argument(description="The token from the mail.")]


@node(Row, invitation.visible)
@strawberry.type(description="A person without an account who was asked into a project. It goes when it is accepted or revoked.")
class Invitation:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    email: str = strawberry.field(description="Where the mail went.")
    role: MemberRole = strawberry.field(description="What the person may do once they have joined.")
    invited_by: User | None = loaded(User | None, users, lambda one: one.invited_by, "Who sent it last; null when they are gone.")
    created_at: datetime = strawberry.field(description="When it was made.")
    sent_at: datetime = strawberry.field(description="When its mail was sent last.")
    expires_at: datetime = strawberry.field(description="When it ends; sent again, it is good for a week more.")


@strawberry.type(description="What the holder of an invitation's token is told before they accept it.")
class InvitationOffer:
    email: str = strawberry.field(description="The e-mail it is for.")
    role: MemberRole = strawberry.field(description="What the person may do once they have joined.")
    project_name: str = strawberry.field(description="Name of the project.")
    invited_by: User | None = strawberry.field(description="Who invites; null when they are gone.")
    registered: bool = strawberry.field(
        name="isRegistered",
        description="Whether the e-mail has an account: then sign in and `acceptInvitation`; if not, `register` with the token.",
    )
    expires_at: datetime = strawberry.field(description="When it ends.")


@strawberry.type(description="What became of it: a member at once, or an invitation and a mail.")
class InviteMemberPayload:
    member: Annotated["Member", MEMBER] | None = strawberry.field(
        description="The new member, when somebody has an account with this e-mail."
    )
    invitation: Invitation | None = strawberry.field(description="The invitation, when nobody has.")


@strawberry.type(description="The invitation that was sent again.")
class ResendInvitationPayload:
    invitation: Invitation = strawberry.field(description="The invitation as it is now.")


@strawberry.type(description="What the person has joined.")
class AcceptInvitationPayload:
    member: Annotated["Member", MEMBER] = strawberry.field(description="The membership.")


@strawberry.type
class ProjectInvitations:
    invitations: Connection[Invitation] = nested(
        invitation.INVITATIONS,
        "People asked into the project who have not joined yet; none are shown to members below admin.",
    )


async def _offer(info: Info, token: Token) -> InvitationOffer:
    async with info.context.read() as session:
        found: Any = await invitation.offered(session, info.context.services.settings, token)
    return InvitationOffer(**found)


@strawberry.type
class InvitationQuery:
    invitation: InvitationOffer | None = guarded(
        _offer, LOOK, "What an invitation offers, for the holder of its token. Needs no other credential."
    )


@strawberry.type
class InvitationMutation:
    invite_member: InviteMemberPayload | None = command(
        invitation.invite,
        InviteMemberPayload,
        MANAGE,
        "Bring a person into a project, registered or not. Who has an account is a member at once; to anybody else goes a mail, "
        f"whose link is good for {invitation.LIFETIME.days} days and lets them register even where registration is not open.",
    )
    resend_invitation: ResendInvitationPayload | None = command(
        invitation.resend, ResendInvitationPayload, MANAGE, "Send an invitation again, with a new link; the one before ends."
    )
    revoke_invitation: DeletedFromProjectPayload | None = command(
        invitation.revoke, DeletedFromProjectPayload, REVOKE, "Take an invitation back: its link lets nobody in any more."
    )
    accept_invitation: AcceptInvitationPayload | None = command(
        invitation.accept,
        AcceptInvitationPayload,
        ACCEPT,
        "Join the project one was invited to, signed in with the e-mail the invitation went to. Needs a session.",
    )
