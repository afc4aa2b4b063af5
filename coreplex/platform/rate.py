"""Rate limits: fixed windows on Redis, one budget for REST, GraphQL and sockets.

Windows are aligned to the clock, so one increment answers everything the headers need. Large budgets are taken from Redis a
thousandth at a time and handed out by the process: what is counted and not used yet is at most that much for each process. With
Redis away the process counts by itself, authentication at half its budget, and says so in the log.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha1
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from redis.asyncio import ConnectionPool
from redis.exceptions import NoScriptError, RedisError

from coreplex.errors.tree import Message, RateLimited
from coreplex.platform.permissions import Category, Principal
from coreplex.platform.settings import Settings

log = structlog.get_logger()
RETRY_REDIS_SECS = 5.0
BLOCKS, MOST_AT_ONCE = 1000, 64
"""A budget is taken from Redis in a thousand blocks at least, each of so many requests at most; one below 2,000 one by one."""
MOST_KEYS = 4096
CLIENT_NAME = "coreplexml-rates"
"""What an operator reads in CLIENT LIST."""
REDIS_SECS = 0.5
"""A counter that does not answer in this time is no reason to let anybody wait."""


class Window(NamedTuple):
    """State of a caller's budget after a charge; `reset` in Unix seconds."""

    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return (
            (b"x-ratelimit-limit", b"%d" % self.limit),
            (b"x-ratelimit-remaining", b"%d" % self.remaining),
            (b"x-ratelimit-reset", b"%d" % self.reset),
        )


def identity(principal: Principal | None, address: str) -> str:
    """Whose budget: the user's, whatever the credential; the network's when nobody is signed in."""
    return _user(principal.user_id) if principal is not None else f"address:{customer_network(address)}"


@lru_cache(maxsize=4096)
def _user(user_id: UUID) -> str:
    return f"user:{user_id}"


@lru_cache(maxsize=4096)
def customer_network(address: str) -> str:
    """What one customer of a provider holds: an IPv4 address, a /64 of IPv6. What is no address is one and the same nobody."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    found = getattr(found, "ipv4_mapped", None) or found
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))


ADD = """
local totals = {}
for i, key in ipairs(KEYS) do
    totals[i] = redis.call('INCRBY', key, ARGV[2 * i - 1])
    redis.call('EXPIRE', key, ARGV[2 * i])
end
return #totals == 1 and totals[1] or totals
"""
ADD_SHA = sha1(ADD.encode(), usedforsecurity=False).hexdigest()
"""What Redis calls the script."""


class Waiting(NamedTuple):
    """An increment that waits for the next round trip."""

    key: str
    period: int
    amount: int
    ahead: int
    place: asyncio.Future[int]


class SharedCounter:
    """Counters in Redis, over one connection. Who comes while increments are under way goes with the next.

    All that wait, whatever their keys, are one call: however many callers come at once, they cost one round trip at a time
    and no further connection. Each has a place of its own, the same as if it had gone by itself. Places that were taken ahead
    are handed out without asking.
    """

    def __init__(self, redis_url: str) -> None:
        self._connections = ConnectionPool.from_url(
            redis_url, client_name=CLIENT_NAME, socket_timeout=REDIS_SECS, socket_connect_timeout=REDIS_SECS
        )
        self._waiting: list[Waiting] = []
        self._ahead: dict[str, tuple[int, int]] = {}
        """By key: the last place that was handed out, and the last that was taken."""
        self._task: asyncio.Task[None] | None = None

    async def add(self, key: str, period: int, amount: int, ahead: int = 0) -> int:
        """The counter after adding `amount`; it lives `period` seconds. Raises RedisError or OSError when Redis is away.

        `ahead`: how many places more may be taken for those who come next; they see what others added before only then.
        """
        used, taken = self._ahead.get(key, (0, 0))
        if 0 < amount <= taken - used:
            self._ahead[key] = used + amount, taken
            return used + amount
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(key, period, amount, ahead, place))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await place

    async def _work(self) -> None:
        """Increment until nobody waits."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                try:
                    await self._increment(batch)
                except Exception as error:  # who came meanwhile would wait for the same silence
                    for one in (*batch, *self._waiting):
                        if not one.place.done():
                            one.place.set_exception(error)
                    self._waiting.clear()
        finally:
            self._task = None

    async def _increment(self, batch: Sequence[Waiting]) -> None:
        """Hand out the places that lead up to the totals, in the order in which they were asked for."""
        sums: dict[str, int] = {}
        periods: dict[str, int] = {}
        for key, period, amount, ahead, _ in batch:
            sums[key] = sums.get(key, ahead) + amount
            periods[key] = period
        numbers = [part for key in sums for part in (sums[key], periods[key])]
        try:
            answer = await self._ask("EVALSHA", ADD_SHA, len(sums), *sums, *numbers)
        except NoScriptError:  # Redis was started anew
            answer = await self._ask("EVAL", ADD, len(sums), *sums, *numbers)
        totals = answer if isinstance(answer, list) else [answer]
        used = {key: total - sums[key] for key, total in zip(sums, totals, strict=True)}
        for key, _, amount, _, place in batch:
            used[key] += amount
            if not place.done():
                place.set_result(used[key])
        for key, total in zip(sums, totals, strict=True):
            if used[key] < total:
                self._keep(key, used[key], total)

    async def _ask(self, *command: str | int) -> Any:
        """One command and its answer, without the layers of redis-py's client, which take a third of what every request waits."""
        connection = await self._connections.get_connection()  # type: ignore[no-untyped-call]  # anew when it was closed meanwhile
        try:
            await connection.send_command(*command)
            return await connection.read_response()
        finally:
            await self._connections.release(connection)

    def _keep(self, key: str, used: int, taken: int) -> None:
        if len(self._ahead) >= MOST_KEYS:
            self._ahead.clear()
        self._ahead[key] = used, taken

    async def close(self) -> None:
        """Let go of Redis."""
        await self._connections.disconnect()


class RateLimiter:
    """Counts requests per identity and category."""

    def __init__(self, settings: Settings) -> None:
        self._items: Mapping[Category, RateLimitItem] = {
            category: parse(getattr(settings, f"rate_limit_{category}")) for category in Category
        }
        self._memory: Storage = MemoryStorage()
        self._shared: SharedCounter | None = SharedCounter(settings.redis_url) if settings.redis_url else None
        self._redis_away = False
        self._ask_redis_at = 0.0

    async def charge(self, who: str, category: Category, amount: int = 1) -> Window:
        """Take `amount` from the budget. Raises RateLimited (with seconds to wait) when it is used up."""
        item = self._items[category]
        period = item.get_expiry()
        start = int(time.time()) // period * period
        used, limit = await self._increment(f"rate/{category}/{who}/{start}", period, amount, item.amount, category)
        window = Window(limit, max(0, limit - used), start + period)
        if used > limit:
            wait = max(1, math.ceil(window.reset - time.time()))
            raise RateLimited(
                Message(
                    "rate_limit_exceeded",
                    "Rate limit exceeded: {most} {category} requests per {period}. Try again in {seconds} seconds.",
                    most=item.amount,
                    category=category,
                    period=item.GRANULARITY.name,
                    seconds=wait,
                ),
                retry_after=wait,
                window=window,
            )
        return window

    async def give_back(self, who: str, category: Category, window: Window) -> Window:
        """Undo a charge of one, in the window it was made in."""
        item = self._items[category]
        period = item.get_expiry()
        key = f"rate/{category}/{who}/{window.reset - period}"
        used, limit = await self._increment(key, period, -1, item.amount, category)
        return Window(limit, max(0, limit - used), window.reset)

    def unused(self, category: Category = Category.general) -> Window:
        """The window of a caller who was never charged."""
        item = self._items[category]
        period = item.get_expiry()
        return Window(item.amount, item.amount, (int(time.time()) // period + 1) * period)

    async def close(self) -> None:
        """Let go of Redis."""
        if self._shared is not None:
            await self._shared.close()

    async def _increment(self, key: str, period: int, amount: int, limit: int, category: Category) -> tuple[int, int]:
        if self._shared is not None and time.monotonic() >= self._ask_redis_at:
            if self._redis_away:  # one request finds out, the others need not wait for it
                self._ask_redis_at = time.monotonic() + RETRY_REDIS_SECS
            try:
                ahead = max(0, min(limit // BLOCKS, MOST_AT_ONCE) - 1) if amount > 0 else 0
                used = await self._shared.add(key, period, amount, ahead)
            except (RedisError, OSError) as error:
                if not self._redis_away:
                    log.warning("rate_limits_without_redis", error=str(error))
                self._redis_away, self._ask_redis_at = True, time.monotonic() + RETRY_REDIS_SECS
            else:
                self._redis_away, self._ask_redis_at = False, 0.0
                return used, limit
        stricter = max(1, limit // 2) if category is Category.authentication and self._shared is not None else limit
        return await self._memory.incr(key, period, amount=amount), stricter
