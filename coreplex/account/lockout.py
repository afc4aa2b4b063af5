"""A growing wait after failed sign-ins, per account and network, so that guessing is slow and a victim is never locked out.

Five failures are free; then 1, 2, 4, 8 and at most 15 minutes. Other networks are not touched. Attempts on one account from one
network are evaluated one after another in a process, so guesses sent all at once count one by one.
"""

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.account.table import FailedLogin
from coreplex.clock import now
from coreplex.database import Database, WriteSession
from coreplex.errors import RateLimited, Unauthenticated

FREE_FAILURES = 5
FIRST_WAIT, LONGEST_WAIT, MEMORY = timedelta(minutes=1), timedelta(minutes=15), timedelta(minutes=15)

_turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()


@dataclass(slots=True)
class Attempt:
    """A sign-in under evaluation; set `right` when the password was."""

    right: bool = False


def network_of(address: str) -> str:
    """The neighbourhood of an address: /24 of IPv4, /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None) or found
    return str(ipaddress.ip_network((mapped, 24 if mapped.version == 4 else 64), strict=False))


def wait_after(failures: int) -> timedelta:
    """How long the next attempt must wait after so many failures in a row."""
    if failures < FREE_FAILURES:
        return timedelta(0)
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - FREE_FAILURES, 10))


@asynccontextmanager
async def attempt(database: Database, email: str, address: str) -> AsyncIterator[Attempt]:
    """Around the evaluation of a password. Raises RateLimited while a wait lasts, without evaluating anything.

    Leaving with Unauthenticated counts a failure, with `right` set forgets the earlier ones; in transactions of their own,
    because a failed sign-in rolls its own back.
    """
    who = hashlib.sha256(f"{email.strip().lower()}\n{network_of(address)}".encode("utf-8", "surrogatepass")).digest()
    turn = _turns.setdefault(who, asyncio.Lock())
    async with turn:
        failures = await _failures(database, who)
        trial = Attempt()
        try:
            yield trial
        except Unauthenticated:
            async with database.transaction() as session:
                await _record(session, who)
            raise
        finally:
            if trial.right and failures:
                async with database.transaction() as session:
                    await session.execute(delete(FailedLogin).where(col(FailedLogin.who) == who))


async def _failures(database: Database, who: bytes) -> int:
    async with database.read() as session:
        row = await session.get(FailedLogin, who)
    moment = now()
    if row is None or row.forget_at <= moment:
        return 0
    if row.wait_until > moment:
        wait = max(1, math.ceil((row.wait_until - moment).total_seconds()))
        raise RateLimited(f"Too many failed sign-ins; try again in {wait} seconds.", retry_after=wait)
    return row.failures


async def _record(session: WriteSession, who: bytes) -> None:
    moment = now()
    old = select(col(FailedLogin.who)).where(col(FailedLogin.forget_at) <= moment).limit(100).with_for_update(skip_locked=True)
    await session.execute(delete(FailedLogin).where(col(FailedLogin.who).in_(old)))
    fresh = insert(FailedLogin).values(who=who, failures=0, wait_until=moment, forget_at=moment)
    await session.execute(fresh.on_conflict_do_nothing())
    row = await session.get_one(FailedLogin, who, with_for_update=True)
    row.failures += 1
    row.wait_until = moment + wait_after(row.failures)
    row.forget_at = row.wait_until + MEMORY
