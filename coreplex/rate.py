"""Rate limits: fixed windows on Redis, one budget for REST, GraphQL and sockets.

Windows are aligned to the clock, so one increment answers everything the headers need. With Redis away the process counts by
itself, authentication at half its budget, and says so in the log.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import StorageError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from coreplex.errors import RateLimited
from coreplex.permissions import Category, Principal
from coreplex.settings import Settings

log = structlog.get_logger()
RETRY_REDIS_SECS = 5.0
REDIS_SECS = 0.5
"""A counter that does not answer in this time is no reason to let anybody wait."""


@dataclass(frozen=True, slots=True)
class Window:
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


def storage_url(redis_url: str) -> str:
    """A redis address as `limits` spells it: `async+redis://…`, and `async+redis+unix://…` for sockets."""
    scheme, _, rest = redis_url.partition("://")
    return f"async+redis+unix://{rest}" if scheme == "unix" else f"async+{scheme}://{rest}"


def identity(principal: Principal | None, address: str) -> str:
    """Whose budget: the user's, whatever the credential; the network's when nobody is signed in."""
    return f"user:{principal.user_id}" if principal is not None else f"address:{network_of(address)}"


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What one customer of a provider holds: an IPv4 address, a /64 of IPv6. What is no address is one and the same nobody."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    found = getattr(found, "ipv4_mapped", None) or found
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))


class SharedCounter:
    """Counters in Redis. Who comes while a key's increment is under way shares the next one, each with a place of its own in it.

    So a busy caller costs one round trip at a time, and the places are the same as if each had gone by itself.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = RedisStorage(
            storage_url(redis_url),
            implementation="redispy",
            wrap_exceptions=True,
            socket_timeout=REDIS_SECS,
            socket_connect_timeout=REDIS_SECS,
            retry=Retry(NoBackoff(), 1),  # type: ignore[arg-type]  # an idle connection may have been closed
        )
        self._waiting: dict[str, list[tuple[int, asyncio.Future[int]]]] = {}
        self._busy: set[asyncio.Task[None]] = set()

    async def add(self, key: str, period: int, amount: int) -> int:
        """The counter after adding `amount`. Raises StorageError or OSError when Redis is away."""
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((amount, place))
        else:
            self._waiting[key] = [(amount, place)]
            task = asyncio.create_task(self._work(key, period))
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)
        return await place

    async def _work(self, key: str, period: int) -> None:
        """Increment until nobody waits for this key."""
        while batch := self._waiting[key]:
            self._waiting[key] = []
            total = sum(amount for amount, _ in batch)
            try:
                used = await self._redis.incr(key, period, amount=total) - total
            except Exception as error:
                for _, place in batch:
                    if not place.done():
                        place.set_exception(error)
                continue
            for amount, place in batch:
                used += amount
                if not place.done():
                    place.set_result(used)
        del self._waiting[key]

    async def close(self) -> None:
        """Let go of Redis."""
        bridge = self._redis.bridge
        assert isinstance(bridge, RedispyBridge)
        await bridge.storage.aclose()


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
                f"Rate limit exceeded: {item.amount} {category} requests per {item.GRANULARITY.name}. "
                f"Try again in {wait} seconds.",
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
                used = await self._shared.add(key, period, amount)
            except (StorageError, OSError) as error:
                if not self._redis_away:
                    log.warning("rate_limits_without_redis", error=str(error))
                self._redis_away, self._ask_redis_at = True, time.monotonic() + RETRY_REDIS_SECS
            else:
                self._redis_away, self._ask_redis_at = False, 0.0
                return used, limit
        stricter = max(1, limit // 2) if category is Category.authentication and self._shared is not None else limit
        return await self._memory.incr(key, period, amount=amount), stricter
