"""Documents that clients sent once and name by their SHA-256 from then on: in Redis for all processes, and in this one.

It saves bytes and nothing else: what is not found is sent again in full. So Redis may be away, and what it holds is bounded: so
many documents of people who are signed in, so many of strangers, who push out nobody's but each other's.
"""

import hashlib
import time
from collections import OrderedDict

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from coreplex.platform.services import Part, Services

log = structlog.get_logger()
MAX_BYTES = 20_000
"""Of one document; a longer one is run and not kept."""
MOST, MOST_HERE = 1_000, 500
"""Documents of each kind in Redis, and of both in a process."""
KEPT_SECS = 7 * 86_400
REDIS_SECS = 0.5
RETRY_REDIS_SECS = 5.0
POOLS = ("signed-in", "strangers")
KEEP = """
redis.call('SET', ARGV[1] .. ARGV[2], ARGV[3], 'EX', ARGV[5])
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2])
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[6])
if over > 0 then
    local oldest = redis.call('ZPOPMIN', KEYS[1], over)
    for i = 1, #oldest, 2 do redis.call('DEL', ARGV[1] .. oldest[i]) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4] - ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[5])
"""


class SharedDocuments(Part):
    """Documents by their hash."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        url = services.settings.redis_url
        self._redis = (
            Redis.from_url(
                url,
                client_name="coreplexml-documents",
                socket_timeout=REDIS_SECS,
                socket_connect_timeout=REDIS_SECS,
            )
            if url
            else None
        )
        self._here: OrderedDict[str, str] = OrderedDict()
        self._ask_redis_at = 0.0

    async def get(self, sha256: str) -> str | None:
        """The document with this hash."""
        if sha256 in self._here:
            self._here.move_to_end(sha256)
            return self._here[sha256]
        if self._redis is None or time.monotonic() < self._ask_redis_at:
            return None
        try:
            found = await self._redis.mget([_prefix(pool) + sha256 for pool in POOLS])
        except (RedisError, OSError) as error:
            self._away(error)
            return None
        for kept in found:
            if isinstance(kept, bytes) and hashlib.sha256(kept).hexdigest() == sha256:
                self._remember(sha256, kept.decode())
                return kept.decode()
        return None

    async def keep(self, sha256: str, text: str, *, stranger: bool) -> None:
        """Keep a document that was found to be valid."""
        if sha256 in self._here or len(text.encode()) > MAX_BYTES:
            return
        self._remember(sha256, text)
        if self._redis is None or time.monotonic() < self._ask_redis_at:
            return
        prefix = _prefix(POOLS[stranger])
        try:
            await self._redis.eval(KEEP, 1, f"{prefix}index", prefix, sha256, text, f"{time.time():.3f}", KEPT_SECS, MOST)
        except (RedisError, OSError) as error:
            self._away(error)

    def _remember(self, sha256: str, text: str) -> None:
        self._here[sha256] = text
        if len(self._here) > MOST_HERE:
            self._here.popitem(last=False)

    def _away(self, error: Exception) -> None:
        log.warning("documents_without_redis", error=str(error))
        self._ask_redis_at = time.monotonic() + RETRY_REDIS_SECS

    async def stop(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()


def _prefix(pool: str) -> str:
    return f"graphql/documents/{pool}/"
