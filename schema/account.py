"""Accounts, sessions and API keys in the public contract. No hash, cookie or token digest has a field here."""

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry

from coreplex.account import api_key, inputs, service, sessions
from coreplex.account.lockout import site_network
from coreplex.account.recovery import Keys
from coreplex.account.table import ApiKey as ApiKeyRow
from coreplex.account.table import Session
from coreplex.errors.tree import Message
from coreplex.platform.permissions import READ, Category, Permission, Scope
from resolvers import account as resolve
from resolvers.context import Context
from resolvers.session import api_keys
from schema.common import published
from schema.field import command, computed, loaded, mutation, read
from schema.links import link
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection
from schema.secret import secret
from schema.user import User

ENTRANCE = Permission(category=Category.authentication, once=True)
SIGNED_IN = Permission(Scope.read, session_only=True)
PROVE_PASSWORD = Permission(Scope.write, session_only=True, category=Category.authentication, once=True)
SEE_SESSIONS = Permission(Scope.read, session_only=True)
CHANGE_ACCOUNT = Permission(Scope.write, session_only=True)
SEE_KEYS = Permission(Scope.read, session_only=True)
MANAGE_KEYS = Permission(Scope.write, session_only=True, archived=True)

published(inputs.Register, "RegisterInput", "A new account.")
published(inputs.VerifyEmail, "VerifyEmailInput", "Proof that a mail arrived.")
published(inputs.ResendVerification, "ResendVerificationInput", "Whom to send the confirmation mail again.")
published(inputs.ForgotPassword, "ForgotPasswordInput", "Whom to send a reset link.")
published(inputs.Login, "LoginInput", "Who signs in.")
published(inputs.ResetPassword, "ResetPasswordInput", "A new password for a forgotten one.")
published(inputs.ChangePassword, "ChangePasswordInput", "A new password for a known one.")
published(inputs.ChangeEmail, "ChangeEmailInput", "Another e-mail for the account.")
published(inputs.UpdateMe, "UpdateMeInput", "What changes of one's own account.")
published(inputs.EndSession, "EndSessionInput", "A session to end.")
published(inputs.RevokeApiKey, "RevokeApiKeyInput", "An API key to revoke.")
published(inputs.CreateApiKey, "CreateApiKeyInput", "A new API key.")


def _is_current(session: Session, context: Context) -> bool:
    return context.principal is not None and session.id == context.principal.credential_id


def _network(session: Session, _context: Context) -> str | None:
    return site_network(session.address) if session.address else None


@node(ApiKeyRow, api_key.own, permission=SEE_KEYS)
@strawberry.type(description="A program's key; its secret was shown once and is stored nowhere.")
class ApiKey:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    name: str = strawberry.field(description="What the key is for.")
    prefix: str = strawberry.field(description="Beginning of the key, to recognise it by.")
    scopes: list[Scope] = strawberry.field(description="What the key may do.")
    project_id: strawberry.ID | None = strawberry.field(description="Identifier of the one project it is limited to.")
    project: Any = link(
        "Project",
        "project_id",
        "The one project it is limited to; null for a key without a limit, and when its owner belongs to the project no more.",
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(description="When it was last used, to the minute.")
    expires_at: datetime | None = strawberry.field(description="When it ends.")
    revoked_at: datetime | None = strawberry.field(description="When it was revoked.")


@strawberry.type(description="The account, and whether its e-mail must be confirmed before the first login.")
class RegisterPayload:
    user: User = strawberry.field(description="The account.")
    verification_required: bool = strawberry.field(description="Whether a mail with a link was sent that must be opened first.")


@strawberry.type(description="Who is signed in now; the session is in the cookies of the answer.")
class LoginPayload:
    user: User = strawberry.field(description="The person.")
    csrf_token: str = secret(description="To be sent as `X-CSRF-Token` with every write by cookie.")


@node(Session, sessions.own, permission=SEE_SESSIONS)
@strawberry.type(description="A browser somebody is signed in with. The cookie itself is stored nowhere.")
class BrowserSession:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    created_at: datetime = strawberry.field(description="When the person signed in.")
    last_seen_at: datetime = strawberry.field(description="When it was last used, to the minute.")
    expires_at: datetime = strawberry.field(description="When it ends, used or not.")
    remember: bool = strawberry.field(name="isRemembered", description="Whether the person asked to stay signed in for 30 days.")
    is_current: bool = computed(bool, _is_current, "Whether it is the one that asks.")
    user_agent: str = strawberry.field(description="What the browser called itself when it signed in; may be empty.")
    network: str | None = computed(
        str | None, _network, "Network it signed in from: the first 24 bits of an IPv4 address, 48 of an IPv6 one."
    )


@strawberry.type(description="The account, and whether its new e-mail must be confirmed first.")
class ChangeEmailPayload:
    user: User = strawberry.field(description="The account as it is now.")
    verification_required: bool = strawberry.field(
        description="Whether a mail with a link went to the new e-mail; until it is opened, the account keeps the old one."
    )


@strawberry.type(description="The caller's account as it is now.")
class UpdateMePayload:
    user: User = strawberry.field(description="The person.")


@strawberry.type(description="The session that was ended.")
class EndSessionPayload:
    deleted_id: strawberry.ID = strawberry.field(description="Identifier of what is gone.")


@strawberry.type(description="The sessions that were ended; the one that asked goes on.")
class EndOtherSessionsPayload:
    deleted_ids: list[strawberry.ID] = strawberry.field(description="Identifiers of what is gone.")


ACTIVE_KEYS = "How many API keys of the account still work."
REVOKED_KEYS = "How many API keys were revoked with it."
KEYS_WARNING = "That API keys still work, in a sentence; empty when none does."


@strawberry.type(description="The session that replaces the old one, and what became of the API keys.")
class ChangePasswordPayload:
    csrf_token: str = secret(description="The new session's token for `X-CSRF-Token`.")
    active_api_keys: int = strawberry.field(description=ACTIVE_KEYS)
    revoked_api_keys: int = strawberry.field(description=REVOKED_KEYS)
    warnings: list[Notice] = strawberry.field(description=KEYS_WARNING)


@strawberry.type(description="The password is set: what became of the API keys.")
class ResetPasswordPayload:
    ok: bool = strawberry.field(description="True, unless `userErrors` says otherwise.")
    active_api_keys: int = strawberry.field(description=ACTIVE_KEYS)
    revoked_api_keys: int = strawberry.field(description=REVOKED_KEYS)
    warnings: list[Notice] = strawberry.field(description=KEYS_WARNING)


@strawberry.type(description="Done; there is nothing to show.")
class DonePayload:
    ok: bool = strawberry.field(default=True, description="True, unless `userErrors` says otherwise.")


@strawberry.type(description="The new key with its text.")
class CreateApiKeyPayload:
    key: str = secret(description="The whole key. It is shown this once only.")
    api_key: ApiKey = strawberry.field(description="The key as it is listed.")


@strawberry.type(description="The key that was revoked.")
class RevokeApiKeyPayload:
    key_id: strawberry.Private[UUID]
    api_key: ApiKey | None = loaded(
        ApiKey | None, api_keys, lambda made: getattr(made, "key_id", None), "The key as it is listed now."
    )


def _keys_left(keys: Keys) -> dict[str, Any]:
    """What a payload says of the API keys after a new password."""
    return {"active_api_keys": keys.active, "revoked_api_keys": keys.revoked, "warnings": _still_working(keys.active)}


def _still_working(keys: int) -> list[Message]:
    if not keys:
        return []
    if keys == 1:
        return [Message("key_still_works", "1 API key of this account still works: revoke it if somebody else may know it.")]
    return [
        Message(
            "keys_still_work",
            "{keys} API keys of this account still work: revoke them if somebody else may know them.",
            keys=keys,
        )
    ]


def _changed(made: tuple[str, Keys]) -> ChangePasswordPayload:
    csrf_token, keys = made
    return ChangePasswordPayload(csrf_token=csrf_token, **_keys_left(keys))


def _reset(keys: Keys) -> ResetPasswordPayload:
    return ResetPasswordPayload(ok=True, **_keys_left(keys))


@strawberry.type
class AccountQuery:
    me: User | None = read(service.me, READ, "The caller: who is signed in, or owns the key.")
    api_keys: Connection[ApiKey] | None = connection(
        api_key.KEYS,
        "The caller's API keys, without their secrets; one that ended is listed for 90 days more. Needs a session.",
        permission=SEE_KEYS,
    )
    sessions: Connection[BrowserSession] | None = connection(
        sessions.SESSIONS,
        "The browsers the caller is signed in with. Needs a session.",
        permission=SEE_SESSIONS,
    )


@strawberry.type
class AccountMutation:
    register: RegisterPayload | None = mutation(
        resolve.register,
        RegisterPayload,
        ENTRANCE,
        "Make an account. A taken e-mail gets the same answer, and its owner a mail.",
    )
    verify_email: DonePayload | None = mutation(
        resolve.verify_email,
        DonePayload,
        ENTRANCE,
        "Confirm an e-mail, also a new one of an account, with the token from the mail.",
    )
    resend_verification: DonePayload | None = mutation(
        resolve.resend_verification,
        DonePayload,
        ENTRANCE,
        "Send the confirmation mail again; says the same whether there is such an account or not.",
    )
    login: LoginPayload | None = mutation(
        resolve.login, LoginPayload, ENTRANCE, "Sign in: sets the session and `csrf_token` cookies; an old session ends."
    )
    logout: DonePayload | None = mutation(resolve.logout, DonePayload, SIGNED_IN, "End this session and clear its cookies.")
    forgot_password: DonePayload | None = mutation(
        resolve.forgot_password,
        DonePayload,
        ENTRANCE,
        "Mail a reset link; says the same whether there is such an account or not.",
    )
    reset_password: ResetPasswordPayload | None = mutation(
        resolve.reset_password,
        _reset,
        ENTRANCE,
        "Choose a new password with the token from the mail; every session ends, API keys where that is asked for.",
    )
    change_password: ChangePasswordPayload | None = mutation(
        resolve.change_password,
        _changed,
        PROVE_PASSWORD,
        "Choose a new password; every other session ends and this one is replaced.",
    )
    change_email: ChangeEmailPayload | None = mutation(
        resolve.change_email,
        ChangeEmailPayload,
        PROVE_PASSWORD,
        "Give the account another e-mail. Where this server confirms e-mails, a mail goes to it with a link for `verifyEmail`; "
        "elsewhere it counts at once. The old one gets a mail. A taken e-mail gets the same answer, and its owner a mail.",
    )
    update_me: UpdateMePayload | None = command(
        service.update_me, UpdateMePayload, CHANGE_ACCOUNT, "Change one's own account. Needs a session."
    )
    end_session: EndSessionPayload | None = mutation(
        resolve.end_session,
        EndSessionPayload,
        CHANGE_ACCOUNT,
        "Sign one of one's own browsers out, at once: what it follows ends too. Needs a session; ending that one is signing out.",
    )
    end_other_sessions: EndOtherSessionsPayload | None = mutation(
        resolve.end_other_sessions,
        EndOtherSessionsPayload,
        CHANGE_ACCOUNT,
        "Sign out everywhere but here, at once. API keys work on. Needs a session.",
    )
    create_api_key: CreateApiKeyPayload | None = command(
        api_key.create, CreateApiKeyPayload, MANAGE_KEYS, "Make an API key. Needs a session."
    )
    revoke_api_key: RevokeApiKeyPayload | None = mutation(
        resolve.revoke_api_key,
        RevokeApiKeyPayload,
        MANAGE_KEYS,
        "Revoke an API key for good, everywhere at once. Needs a session.",
    )
