"""Accounts. Password work happens before the transaction opens, so that hashing holds no connection."""

from contextlib import suppress
from uuid import UUID

from coreplex.account import (
    addresses,
    api_key,
    constant_time,
    device_cookie,
    inputs,
    passwords,
    recovery,
    service,
    sessions,
    signin,
    tokens,
)
from coreplex.account.cache import forget
from coreplex.account.cookies import known_browser, signed_in, signed_out
from coreplex.account.one_time import require_good
from coreplex.account.table import Session, TokenPurpose, User
from coreplex.errors.tree import Invalid, Message, RateLimited, Unauthenticated
from coreplex.platform.database import WriteSession
from coreplex.platform.permissions import Category
from coreplex.project import invitation
from edge.caller import known_payer
from resolvers.context import Context, Info, act, once
from resolvers.loading import Rows

users = Rows(User)


async def register(info: Info, input: inputs.Register) -> tuple[User, bool]:
    """The account, and whether its e-mail must be confirmed before the first login."""
    settings = info.context.services.settings
    async with constant_time.even():
        password_hash = await passwords.hashed(input.password, input.email)
        async with info.context.transaction() as session:
            if input.invitation_token is None:
                user = await service.register(session, settings, input, password_hash)
            else:
                user = await invitation.register(session, settings, input, password_hash)
    if input.invitation_token is not None:
        forget(info.context.services, user.id)
        info.context.proved = user.id
    return user, settings.require_email_verification and input.invitation_token is None


async def verify_email(info: Info, input: inputs.VerifyEmail) -> None:
    async with info.context.transaction() as session:
        user = await service.verify_email(session, info.context.services.settings, input.token)
    forget(info.context.services, user.id)


async def resend_verification(info: Info, input: inputs.ResendVerification) -> None:
    async with constant_time.even():
        async with info.context.transaction() as session:
            await service.resend_verification(session, info.context.services.settings, input.email)


async def forgot_password(info: Info, input: inputs.ForgotPassword) -> None:
    async with constant_time.even():
        async with info.context.transaction() as session:
            await recovery.forgot(session, info.context.services.settings, input.email)


async def reset_password(info: Info, input: inputs.ResetPassword) -> recovery.Keys:
    services = info.context.services
    async with info.context.read() as reading:
        await require_good(reading, input.token, TokenPurpose.reset_password)
    password_hash = await passwords.hashed(input.password)
    async with info.context.transaction() as session:
        user, keys = await recovery.reset(
            session, services.settings, input.token, password_hash, revoke_api_keys=input.revoke_api_keys
        )
        info.context.set_cookies(known_browser(services.settings, device_cookie.remembered(user), device_cookie.LIFETIME))
    forget(services, user.id)
    return keys


async def login(info: Info, input: inputs.Login) -> tuple[User, str]:
    """The user and the CSRF token of a new session; the browser's old one ends and its cookies are replaced."""
    context, services = info.context, info.context.services
    await _pay_as_stranger(context, input.email)
    request = context.request
    user = await signin.prove(
        services.database, input.email, input.password, address=request.address, known_cookie=request.known_cookie
    )
    signin.require_usable(services.settings, user)
    if context.known_account is None:  # the sign-in that makes it known counts there too, or it would buy another budget
        with suppress(RateLimited):
            await services.limiter.charge(known_payer(user.id), Category.authentication)
    async with context.transaction() as session:
        ended = await signin.end_session(session, context.request.session_cookie)
        await signin.keep_hash_current(session, user, input.password)
        csrf_token = await _open_session(info, session, user, input.remember)
    if ended is not None:
        forget(services, ended)
    context.proved = user.id
    return user, csrf_token


async def logout(info: Info) -> None:
    async with info.context.transaction() as session:
        info.context.set_cookies(*signed_out(info.context.services.settings))
        await signin.end_session(session, info.context.request.session_cookie)
    forget(info.context.services, info.grant.principal.credential_id)


async def change_password(info: Info, input: inputs.ChangePassword) -> tuple[str, recovery.Keys]:
    """Every session ends, the caller's too, which is replaced; returns the new session's CSRF token."""
    caller, services = info.grant.principal, info.context.services
    user = await _prove(info, input.current_password, "current_password")
    password_hash = await passwords.hashed(input.new_password, user.email)
    async with info.context.transaction() as session:
        mine = await session.get(Session, caller.credential_id)
        keys = await recovery.set_password(session, services.settings, user, password_hash, revoke_api_keys=input.revoke_api_keys)
        csrf_token = await _open_session(info, session, user, mine is not None and mine.remember)
    forget(services, user.id)
    return csrf_token, keys


@once
async def change_email(info: Info, input: inputs.ChangeEmail) -> tuple[User, bool]:
    """The account, and whether its new e-mail must be confirmed first."""
    services = info.context.services
    await _prove(info, input.password, "password")

    async def change(session: WriteSession) -> tuple[User, bool]:
        user = await session.get_one(User, info.grant.user_id, with_for_update=True)
        return user, await addresses.ask(session, services.settings, user, input.email)

    async with constant_time.even():
        made = await act(info, change)
    forget(services, info.grant.user_id)
    return made


async def _prove(info: Info, password: str, field: str) -> User:
    """The caller, whose password this is. Raises Invalid for a wrong one, RateLimited while the lockout lasts."""
    caller = info.grant.principal
    try:
        return await signin.prove(info.context.services.database, caller.email, password, session_id=caller.credential_id)
    except Unauthenticated:
        raise Invalid.field(Message("current_password_wrong", "the current password is wrong"), field) from None


async def _pay_as_stranger(context: Context, email: str) -> None:
    """A browser known to one account paid from that account's budget; for a guess at another it pays as any at its address."""
    if context.known_account is None:
        return
    async with context.read() as session:
        user = await signin.user_by_email(session, email)
    if user is None or user.id != context.known_account:
        await context.services.limiter.charge(context.stranger, Category.authentication)


async def _open_session(info: Info, session: WriteSession, user: User, remember: bool) -> str:
    request, settings = info.context.request, info.context.services.settings
    token = await signin.open_session(session, user.id, remember=remember, address=request.address, user_agent=request.user_agent)
    known = known_browser(settings, device_cookie.remembered(user), device_cookie.LIFETIME)
    info.context.set_cookies(*signed_in(settings, token, signin.lifetime(remember)), known)
    return tokens.csrf_of(token)


@once
async def end_session(info: Info, input: inputs.EndSession) -> UUID:
    ended = await act(info, lambda session: sessions.end(session, info.grant, input))
    forget(info.context.services, ended)
    if ended == info.principal.credential_id:
        info.context.cookies.extend(signed_out(info.context.services.settings))
    return ended


@once
async def end_other_sessions(info: Info) -> tuple[UUID, ...]:
    ended = await act(info, lambda session: sessions.end_others(session, info.grant))
    forget(info.context.services, *ended)
    return ended


@once
async def revoke_api_key(info: Info, input: inputs.RevokeApiKey) -> UUID:
    key_id = await act(info, lambda session: api_key.revoke(session, info.grant, input))
    forget(info.context.services, key_id)
    return key_id
