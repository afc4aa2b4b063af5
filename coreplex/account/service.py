"""Accounts: registration, confirmation of the e-mail, and the administrator of a fresh server."""

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Select, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.account import addresses, mail, one_time, passwords
from coreplex.account.cache import announce
from coreplex.account.inputs import NOT_AN_EMAIL, NewEmail, Register, UpdateMe
from coreplex.account.recovery import record, set_password
from coreplex.account.signin import user_by_email
from coreplex.account.table import TokenPurpose, User
from coreplex.errors.tree import BadInput, Conflict, Forbidden, Invalid, Message, QuotaExceeded
from coreplex.membership import quota
from coreplex.membership.access import visible_projects
from coreplex.membership.table import Membership
from coreplex.platform.clock import now
from coreplex.platform.database import Database, ReadSession, WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Grant, Plan, UserRole
from coreplex.platform.settings import Registration, Settings

log = structlog.get_logger()


async def register(session: WriteSession, settings: Settings, wanted: Register, password_hash: str) -> User:
    """Make an account, unusable until its e-mail is confirmed.

    With verification on, a taken e-mail gets the same answer (a user that is never stored) and its owner a mail; with it off
    there is no mailbox to tell, so it is a Conflict (docs/decisions/0010). Raises Forbidden where registration is not open,
    QuotaExceeded on a full server.
    """
    if settings.registration is Registration.invited:
        raise Forbidden(Message("invitation_only", "Registration on this server is by invitation only."))
    await _take_place(session, settings)
    user = User(email=wanted.email, name=wanted.name, password_hash=password_hash, plan=Plan(settings.default_plan))
    if await _insert(session, user):
        await record(session, user, "user.registered", f"{user.email} registered.")
        if settings.require_email_verification:
            await _mail_verification(session, settings, user)
        return user
    if not settings.require_email_verification:
        raise Conflict(Message("email_registered", "This e-mail is registered already; sign in, or ask for a new password."))
    owner = await user_by_email(session, wanted.email)
    if owner is not None and owner.is_active:
        await mail.send_taken(session, settings, owner)
    return user


async def register_proved(session: WriteSession, settings: Settings, wanted: Register, password_hash: str) -> User:
    """Make an account for who has proved the e-mail; an account of it that nobody ever confirmed is theirs now, as by a reset.

    Raises Conflict where the e-mail has an account that is used, QuotaExceeded on a full server.
    """
    await _take_place(session, settings)
    user = User(email=wanted.email, name=wanted.name, password_hash=password_hash, plan=Plan(settings.default_plan))
    user.email_verified_at = now()
    if await _insert(session, user):
        await record(session, user, "user.registered", f"{user.email} registered.")
        return user
    found = await user_by_email(session, wanted.email)
    owner = None if found is None else await session.get_one(User, found.id, with_for_update=True)
    if owner is None or not owner.is_active or owner.email_verified_at or not settings.require_email_verification:
        raise Conflict(
            Message("account_already", "This e-mail has an account already; sign in with it and accept the invitation then.")
        )
    owner.name, owner.email_verified_at = wanted.name, now()
    await set_password(session, settings, owner, password_hash, revoke_api_keys=True)
    return owner


async def _take_place(session: WriteSession, settings: Settings) -> None:
    """A place for one more account."""
    await addresses.lock(session)
    used = await quota.count(session, select(func.count()).select_from(User))
    if used >= settings.max_accounts:
        raise QuotaExceeded(
            Message(
                "too_many_accounts",
                "This server has {used:,} accounts, and MAX_ACCOUNTS allows no more; ask its administrator.",
                used=used,
            )
        )


async def verify_email(session: WriteSession, settings: Settings, token: str) -> User:
    """Confirm the e-mail the token was sent to, which the account has from then on. Raises BadInput for a bad token, Conflict for
    a new e-mail that somebody else took meanwhile."""
    user, email = await one_time.redeem(session, token, TokenPurpose.verify_email, TokenPurpose.change_email)
    if not user.is_active:
        raise BadInput(Message("account_to_confirm_deactivated", "This account is deactivated."))
    if email is not None:
        await addresses.change(session, settings, user, email, proved=True)
    elif user.email_verified_at is None:
        user.email_verified_at = user.updated_at = now()
        await record(session, user, "user.verified", f"{user.email} was confirmed.")
    return user


async def resend_verification(session: WriteSession, settings: Settings, email: str) -> None:
    """Mail the link again to an account that waits for it; says nothing about whether there is one."""
    user = await user_by_email(session, email)
    if user is not None and user.is_active and user.email_verified_at is None:
        await _mail_verification(session, settings, user)


def visible(grant: Grant) -> Select[User]:
    """The caller, and the members of the caller's projects."""
    members = select(col(Membership.user_id)).where(col(Membership.project_id).in_(visible_projects(grant)))
    return select(User).where(or_(col(User.id) == grant.user_id, col(User.id).in_(members)))


async def me(session: ReadSession, grant: Grant) -> User:
    return await session.get_one(User, grant.user_id)


async def update_me(session: WriteSession, grant: Grant, wanted: UpdateMe) -> User:
    """What a person may change of their own account."""
    user = await session.get_one(User, grant.user_id, with_for_update={"key_share": True})
    if wanted.name is not None and wanted.name != user.name:
        user.name, user.updated_at = wanted.name, now()
        await announce(session, user.id)
        await record(session, user, "user.renamed", f"{user.email} is called “{user.name}” now.")
    return user


async def create_admin(session: WriteSession, email: str, password: str, name: str = "Administrator") -> User:
    """An administrator with a confirmed e-mail. Raises Invalid for a bad e-mail or weak password, Conflict for a taken e-mail."""
    address = _checked_email(email)
    user = _administrator(address, await passwords.hashed(password, address), name)
    if not await _insert(session, user):
        raise Conflict(
            Message(
                "email_has_account", "{email} has an account already; choose another e-mail or reset its password.", email=address
            )
        )
    await record(session, user, "user.registered", f"{user.email} was made administrator.")
    return user


async def ensure_admin(database: Database, settings: Settings) -> None:
    """At start: make the administrator of ADMIN_EMAIL and ADMIN_PASSWORD unless the e-mail has an account already."""
    if settings.admin_email is None or settings.admin_password is None:
        return
    address = _checked_email(settings.admin_email)
    async with database.read() as session:
        if await user_by_email(session, address) is not None:
            return
    password_hash = await passwords.hashed_as_given(settings.admin_password.get_secret_value())
    user = _administrator(address, password_hash, "Administrator")
    async with database.transaction() as session:
        if await _insert(session, user):  # of several processes starting at once, one makes it
            await record(session, user, "user.registered", f"{user.email} was made administrator at the first start.")
            log.info("administrator_created", email=address)


def _administrator(email: str, password_hash: str, name: str) -> User:
    return User(
        email=email,
        name=name,
        password_hash=password_hash,
        role=UserRole.admin,
        plan=Plan.enterprise,
        email_verified_at=now(),
    )


async def _insert(session: WriteSession, user: User) -> bool:
    """Store a new user; False when the e-mail is taken, also by a registration that runs at this moment."""
    user.id = new_id()
    values = user.model_dump()
    made = await session.scalar(insert(User).values(values).on_conflict_do_nothing().returning(col(User.id)))
    return made is not None


async def _mail_verification(session: WriteSession, settings: Settings, user: User) -> None:
    token = await one_time.issue(session, user, TokenPurpose.verify_email)
    if token is not None:
        await mail.send_verification(session, settings, user, token)


def _checked_email(email: str) -> str:
    try:
        return TypeAdapter(NewEmail).validate_python(email)
    except ValidationError:
        raise Invalid.field(NOT_AN_EMAIL, "email") from None
