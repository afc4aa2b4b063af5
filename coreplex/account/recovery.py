"""New passwords: forgotten ones by mail, known ones on request. Every change signs the other browsers out."""

from dataclasses import dataclass

from coreplex.account import api_key, mail, one_time
from coreplex.account.cache import announce
from coreplex.account.signin import end_all_sessions, user_by_email
from coreplex.account.table import TokenPurpose, User
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.settings import Settings


async def forgot(session: WriteSession, settings: Settings, email: str) -> None:
    """Mail a reset link, if there is such an account; says nothing about it."""
    user = await user_by_email(session, email)
    if user is None or not user.is_active:
        return
    token = await one_time.issue(session, user, TokenPurpose.reset_password)
    if token is not None:
        await mail.send_reset(session, settings, user, token)


async def reset(
    session: WriteSession, settings: Settings, token: str, password_hash: str, *, revoke_api_keys: bool = False
) -> tuple[User, "Keys"]:
    """Set the password of the token's account. The mail proved the address, so it counts as confirmed too."""
    user, _ = await one_time.redeem(session, token, TokenPurpose.reset_password)
    user.email_verified_at = user.email_verified_at or now()
    return user, await set_password(session, settings, user, password_hash, revoke_api_keys=revoke_api_keys)


@dataclass(frozen=True, slots=True)
class Keys:
    """Numbers of the account's API keys after a new password: those that still work and those that were revoked."""

    active: int
    revoked: int


async def set_password(
    session: WriteSession, settings: Settings, user: User, password_hash: str, *, revoke_api_keys: bool = False
) -> Keys:
    """Store a new hash, end all sessions and open reset links, and tell the owner, who may want the API keys to end too."""
    user.password_hash = password_hash
    user.updated_at = now()
    session.add(user)
    await end_all_sessions(session, user.id)
    await one_time.use_up(session, user, TokenPurpose.reset_password)
    revoked = await api_key.revoke_all(session, user.id) if revoke_api_keys else 0
    keys = Keys(await api_key.active(session, user.id), revoked)
    await mail.send_password_changed(session, settings, user, active_keys=keys.active, revoked_keys=keys.revoked)
    ended = f" {revoked} API keys were revoked." if revoked else ""
    await record(session, user, "password.changed", f"The password was changed.{ended}")
    return keys


async def set_active(session: WriteSession, user: User, active: bool) -> None:
    """Let a user in again, or shut them out at once: sessions end and keys stop working."""
    user.is_active = active
    user.updated_at = now()
    session.add(user)
    if not active:
        await end_all_sessions(session, user.id)
    await announce(session, user.id)
    await record(session, user, "user.activated" if active else "user.deactivated", f"{user.email} is_active={active}.")


async def record(session: WriteSession, user: User, kind: str, message: str) -> None:
    """An entry in the account's own history."""
    await event.append(
        session,
        entity_type="user",
        entity_id=user.id,
        project_id=None,
        kind=EventKind.audit,
        type=kind,
        message=message,
        actor_id=user.id,
    )
