"""Rate limits: fixed windows on Redis, one budget for REST, GraphQL and sockets.

Windows are aligned to the clock, so one increment answers everything the headers need. With Redis away the process counts by
itself, authentication at half its budget, and says so in the log.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.errors import StorageError

from coreplex.errors import RateLimited
from coreplex.permissions import Category, Principal
from coreplex.settings import Settings

log = structlog.get_logger()
RETRY_REDIS_SECS = 5.0


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
    """Whose budget: the user's, whatever the credential; the network's when nobody is signed in (IPv6: the /64)."""
    if principal is not None:
        return f"user:{principal.user_id}"
    return f"address:{':'.join(address.split(':')[:4]) if address.count(':') > 1 else address}"


class RateLimiter:
    """Counts requests per identity and category."""

    def __init__(self, settings: Settings) -> None:
        self._items: Mapping[Category, RateLimitItem] = {
            category: parse(getattr(settings, f"rate_limit_{category}")) for category in Category
        }
        self._memory: Storage = MemoryStorage()
        self._redis: RedisStorage | None = None
        if settings.redis_url:
            self._redis = RedisStorage(storage_url(settings.redis_url), implementation="redispy", wrap_exceptions=True)
        self._redis_away_until = 0.0

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

    def unused(self, category: Category = Category.general) -> Window:
        """The window of a caller who was not charged (health checks)."""
        item = self._items[category]
        period = item.get_expiry()
        return Window(item.amount, item.amount, (int(time.time()) // period + 1) * period)

    async def close(self) -> None:
        """Let go of Redis."""
        if self._redis is not None:
            bridge = self._redis.bridge
            assert isinstance(bridge, RedispyBridge)
            await bridge.storage.aclose()

    async def _increment(self, key: str, period: int, amount: int, limit: int, category: Category) -> tuple[int, int]:
        if self._redis is not None and time.monotonic() >= self._redis_away_until:
            try:
                return await self._redis.incr(key, period, amount=amount), limit
            except (StorageError, OSError) as error:
                self._redis_away_until = time.monotonic() + RETRY_REDIS_SECS
                log.warning("rate_limits_without_redis", error=str(error))
        stricter = max(1, limit // 2) if category is Category.authentication and self._redis is not None else limit
        return await self._memory.incr(key, period, amount=amount), stricter
