"""Passwords: what is accepted, and Argon2id in a small pool, so that sign-ins never stall the event loop or eat the memory.

Parameters m=46 MiB, t=1, p=1 (OWASP's first choice). Two hashes run at once and twenty wait; more are refused with RateLimited.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from coreplex.errors.tree import Invalid, Message, RateLimited

MIN_LENGTH, MAX_LENGTH = 8, 1024
THREADS, QUEUE = 2, 20

Result = TypeVar("Result")

# What online guessing begins with, eight characters and longer; the lockout takes care of the rest.
_WEAK = """
00000000 11111111 12341234 123123123 12345678 123456789 1234567890 1234qwer 12qwaszx 147258369 1q2w3e4r 1q2w3e4r5t 1qaz2wsx
22222222 66666666 87654321 88888888 987654321 99999999 a1234567 a12345678 aa123456 aa12345678 abc12345 abcd1234 abcdefgh
admin123 admin1234 administrator asdfasdf asdfghjk asdfghjkl baseball changeme computer football iloveyou internet jennifer
letmein1 michelle p@ssw0rd passw0rd password password1 princess q1w2e3r4 qazwsxedc qwer1234 qwerty12 qwerty123 qwertyui
qwertyuiop starwars sunshine superman trustno1 welcome1 whatever zaq12wsx zxcvbnm1
"""
WEAK = frozenset(_WEAK.split())

_hasher = PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1)
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")


class _Load:
    """Counts the hashes that run or wait in this process."""

    now = 0


def require_strong(password: str, email: str = "") -> None:
    """Raise Invalid for a password that is too short, too long, on every guesser's list, or the e-mail itself."""
    if len(password) < MIN_LENGTH:
        raise Invalid.field(
            Message("password_too_short", "the password needs {least} characters or more", least=MIN_LENGTH), "password"
        )
    if len(password) > MAX_LENGTH:
        raise Invalid.field(
            Message("password_too_long", "the password has more than {most} characters", most=MAX_LENGTH), "password"
        )
    if password.lower() in WEAK or (email and password.lower() == email.lower()):
        raise Invalid.field(
            Message("password_too_easy", "the password is among the first that anybody would guess; choose another"), "password"
        )


async def hashed(password: str, email: str = "") -> str:
    """The Argon2id hash of a new password. Raises Invalid for a weak one, RateLimited when too many are waiting."""
    require_strong(password, email)
    return await _run(_hasher.hash, password)


async def hashed_as_given(password: str) -> str:
    """The same for a password that is in use already, or that the administrator of the machine chose."""
    return await _run(_hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one. None (no such user) costs the same and is never right."""
    return await _run(_verify, stored, password)


def outdated(stored: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def _verify(stored: str | None, password: str) -> bool:
    try:
        right = _hasher.verify(stored or _nobodys_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return right and stored is not None


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    return _hasher.hash("nobody's password")


async def _run(work: Callable[..., Result], *arguments: object) -> Result:
    if _Load.now >= THREADS + QUEUE:
        raise RateLimited(
            Message("too_many_sign_ins", "Too many people are signing in at this moment; try again in a second."), retry_after=1
        )
    _Load.now += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_pool, work, *arguments)
    finally:
        _Load.now -= 1
