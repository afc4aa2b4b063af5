"""Lets failed sign-ins wait, longer each time, so that guessing is slow and nobody can keep a person out (docs/decisions/0019).

Failures on an account are counted by address and, with more that are free, by network; beyond these come waits of 1, 2, 4, 8 and
at most 15 minutes, for whoever is counted there. Other networks are not touched. A browser that has signed in to the account
before is counted by itself alone. Attempts counted together by address or browser are evaluated one after another in a process,
so guesses sent all at once count one by one.
"""

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from weakref import WeakValueDictionary

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.account.table import FailedLogin
from coreplex.errors.tree import Message, RateLimited, Unauthenticated
from coreplex.platform import rate
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession

FREE_FAILURES, FREE_IN_NETWORK = 5, 25
FIRST_WAIT, LONGEST_WAIT, MEMORY = timedelta(minutes=1), timedelta(minutes=15), timedelta(minutes=15)

_turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()


@dataclass(slots=True)
class Attempt:
    """A sign-in under evaluation; set `right` when the password was."""

    right: bool = False


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters that one attempt's failures add to: digests, each with how many are free there. The nearest comes first."""

    free: Mapping[bytes, int]

    @property
    def nearest(self) -> bytes:
        return next(iter(self.free))


def site_network(address: str) -> str:
    """The neighbourhood of an address: /24 of IPv4, /48 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None) or found
    return str(ipaddress.ip_network((mapped, 24 if mapped.version == 4 else 48), strict=False))


def counters(email: str, address: str, browser: str | None) -> Counters:
    """Those of a stranger at an address, or the one of a known browser (`coreplex.account.device_cookie`), wherever it is."""
    if browser is not None:
        return Counters({_digest(email, "browser", browser): FREE_FAILURES})
    return Counters(
        {
            _digest(email, "address", rate.customer_network(address)): FREE_FAILURES,
            _digest(email, "network", site_network(address)): FREE_IN_NETWORK,
        }
    )


def _digest(email: str, kind: str, where: str) -> bytes:
    return hashlib.sha256(f"{email.strip().lower()}\n{kind}\n{where}".encode("utf-8", "surrogatepass")).digest()


def wait_after(failures: int, free: int = FREE_FAILURES) -> timedelta:
    """How long the next attempt must wait after so many failures in a row."""
    if failures < free:
        return timedelta(0)
    return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(failures - free, 10))


@asynccontextmanager
async def attempt(database: Database, email: str, address: str, browser: str | None = None) -> AsyncIterator[Attempt]:
    """Around the evaluation of a password. Raises RateLimited while a wait lasts, without evaluating anything.

    Leaving with Unauthenticated counts a failure, with `right` set forgets the earlier ones from here; in transactions of their
    own, because a failed sign-in rolls its own back.
    """
    here = counters(email, address, browser)
    turn = _turns.setdefault(here.nearest, asyncio.Lock())
    async with turn:
        failures = await _failures(database, here)
        trial = Attempt()
        try:
            yield trial
        except Unauthenticated:
            async with database.transaction() as session:
                await _record(session, here)
            raise
        finally:
            if trial.right and failures:
                async with database.transaction() as session:
                    await session.execute(delete(FailedLogin).where(col(FailedLogin.who) == here.nearest))


async def _failures(database: Database, here: Counters) -> int:
    """Those at the nearest counter. Raises RateLimited while any of them waits."""
    moment = now()
    async with database.read() as session:
        query = select(FailedLogin).where(col(FailedLogin.who).in_(here.free), col(FailedLogin.forget_at) > moment)
        rows = {row.who: row for row in await session.scalars(query)}
    waits = (row.wait_until for row in rows.values())
    until = max((one for one in waits if one <= moment + LONGEST_WAIT), default=moment)  # a longer one: the clock was put back
    if until > moment:
        wait = max(1, math.ceil((until - moment).total_seconds()))
        raise RateLimited(
            Message("too_many_failed_sign_ins", "Too many failed sign-ins; try again in {seconds} seconds.", seconds=wait),
            retry_after=wait,
        )
    return rows[here.nearest].failures if here.nearest in rows else 0


async def _record(session: WriteSession, here: Counters) -> None:
    moment = now()
    old = select(col(FailedLogin.who)).where(col(FailedLogin.forget_at) <= moment).limit(100).with_for_update(skip_locked=True)
    await session.execute(delete(FailedLogin).where(col(FailedLogin.who).in_(old)))
    for who in sorted(here.free):  # in one order, so that no two wait for each other
        fresh = insert(FailedLogin).values(who=who, failures=0, wait_until=moment, forget_at=moment)
        await session.execute(fresh.on_conflict_do_nothing())
        row = await session.get_one(FailedLogin, who, with_for_update=True)
        row.failures += 1
        row.wait_until = moment + wait_after(row.failures, here.free[who])
        row.forget_at = row.wait_until + MEMORY
