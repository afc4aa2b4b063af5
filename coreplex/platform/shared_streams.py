"""Streams that one process holds open and any process may write to, over Redis: with several web processes on one port nobody
knows where the next request arrives.

A reservation becomes a stream when somebody holds it; what runs for it is known by name, and is told when nobody wants it any
more. Nothing is kept: an event that nobody hears is gone, and its writer knows.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from coreplex.errors.tree import Conflict, Message, NotFound, RateLimited, Unavailable
from coreplex.platform.services import Part, Services

log = structlog.get_logger()
RESERVED_SECS, HELD_SECS = 30, 40
"""How long a reservation waits to be held, and how long a stream outlives a process that says nothing of it any more."""
REDIS_SECS = 2.0
MOST = 50
"""What may run for one stream at once."""
ENDED = "graphql/streams/ended"
ALL = "*"
GONE = Message("no_event_stream", "There is no event stream of this token; reserve one by PUT and open it by GET.")


class SharedStreams(Part):
    """The streams of all processes, as one of them sees them."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        url = services.settings.redis_url
        self._redis = url and Redis.from_url(
            url, client_name="coreplexml-streams", socket_timeout=REDIS_SECS, socket_connect_timeout=REDIS_SECS
        )
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._listening: asyncio.Task[None] | None = None

    async def reserve(self, owner: str) -> str:
        """A token for a stream of this owner."""
        token = secrets.token_urlsafe(24)
        with _reachable():
            await self._client.set(f"{key_of(token)}/owner", owner, ex=RESERVED_SECS)
        return token

    async def find(self, token: str, owner: str) -> str:
        """The key of the owner's stream. Raises NotFound for a token that is unknown, over, or somebody else's."""
        key = key_of(token)
        with _reachable():
            found = await self._client.get(f"{key}/owner")
        if not isinstance(found, bytes) or not secrets.compare_digest(found, owner.encode()):
            raise NotFound(GONE)
        return key

    async def hold(self, key: str) -> "Held":
        """Hold the stream. Raises Conflict when somebody does."""
        with _reachable():
            if not await self._client.set(f"{key}/held", "", ex=HELD_SECS, nx=True):
                raise Conflict(Message("stream_open_already", "This event stream is open already; a token opens one at a time."))
            held = Held(self._client, key)
            await held.begin()
        return held

    async def begin(self, key: str, name: str) -> None:
        """Note what begins to run for a stream. Raises NotFound when nobody holds it, Conflict for a name that runs."""
        with _reachable():
            if not await self._client.exists(f"{key}/held"):
                raise NotFound(GONE)
            if not await self._client.sadd(f"{key}/running", name):
                raise Conflict(
                    Message("operation_runs_already", "An operation '{name}' runs on this event stream already.", name=name)
                )
            await self._client.expire(f"{key}/running", HELD_SECS)
            if await self._client.scard(f"{key}/running") > MOST:
                await self._client.srem(f"{key}/running", name)
                raise RateLimited(
                    Message("too_many_operations_on_stream", "At most {most} operations at once on an event stream.", most=MOST),
                    retry_after=1,
                )

    def run(self, key: str, name: str, task: "asyncio.Task[None]") -> None:
        """Have the task cancelled when its stream ends, or somebody ends it by its name."""
        self._listening = self._listening or asyncio.create_task(self._listen())
        self._running[key, name] = task
        task.add_done_callback(lambda _: self._running.pop((key, name), None))

    async def write(self, key: str, event: bytes) -> bool:
        """Whether somebody hears it."""
        with _reachable():
            return bool(await self._client.publish(f"{key}/events", event))

    async def wanted(self, key: str, name: str) -> bool:
        """Whether what runs still may: the stream is held, and nobody ended it."""
        with _reachable():
            return bool(await self._client.sismember(f"{key}/running", name)) and await self.write(key, b"")

    async def end(self, key: str, name: str) -> None:
        """End what runs, in whichever process."""
        with _reachable():
            await self._client.srem(f"{key}/running", name)
            await self._client.publish(ENDED, f"{key} {name}")

    async def _listen(self) -> None:
        """Cancel here what was ended elsewhere; what is missed while Redis is away finds out by `wanted`."""
        while True:
            try:
                async with self._client.pubsub() as line:
                    await line.subscribe(ENDED)
                    async for message in line.listen():
                        if message["type"] == "message":
                            self._ended(*message["data"].decode().split(" ", 1))
            except (RedisError, OSError) as error:
                log.warning("streams_without_redis", error=str(error))
                await asyncio.sleep(REDIS_SECS)

    def _ended(self, key: str, name: str) -> None:
        for (one, called), task in list(self._running.items()):
            if one == key and name in {called, ALL}:
                task.cancel()

    @property
    def _client(self) -> Redis:
        if not self._redis:
            raise Unavailable(Message("streams_need_redis", "An event stream for several operations needs Redis (REDIS_URL)."))
        return self._redis

    async def stop(self) -> None:
        tasks = [*self._running.values(), *([self._listening] if self._listening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._redis:
            await self._redis.aclose()


class Held:
    """A stream in the hands of one process."""

    def __init__(self, client: Redis, key: str) -> None:
        self._client = client
        self._key = key
        self._line = client.pubsub(ignore_subscribe_messages=True)
        self._told_at = time.monotonic()
        self._over = False

    async def begin(self) -> None:
        await self._line.subscribe(f"{self._key}/events")
        await self._stay()

    async def events(self, pulse: float) -> AsyncGenerator[bytes | None, None]:
        """Events as they are written, and None once in `pulse` seconds. Ends the stream in any case."""
        try:
            while True:
                message = await self._line.get_message(timeout=pulse)
                if time.monotonic() - self._told_at >= pulse:
                    await self._stay()
                    yield None
                if message is not None and message["data"]:
                    yield message["data"]
        except (RedisError, OSError) as error:  # what was written meanwhile is lost: whoever listens asks again
            log.warning("stream_without_redis", error=str(error))
        finally:
            await self.release()

    async def _stay(self) -> None:
        self._told_at = time.monotonic()
        async with self._client.pipeline(transaction=False) as told:
            for part in ("owner", "held", "running"):
                told.expire(f"{self._key}/{part}", HELD_SECS)
            await told.execute()

    async def release(self) -> None:
        """The stream is over, and all that runs for it. Once."""
        if self._over:
            return
        self._over = True
        with suppress(RedisError, OSError):
            await self._line.aclose()  # type: ignore[no-untyped-call]
            await self._client.delete(*(f"{self._key}/{part}" for part in ("owner", "held", "running")))
            await self._client.publish(ENDED, f"{self._key} {ALL}")


def key_of(token: str) -> str:
    """What Redis calls a stream; who reads there learns no token."""
    return f"graphql/streams/{hashlib.sha256(token.encode()).hexdigest()}"


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError):
        raise Unavailable(
            Message("redis_away", "Redis, which carries event streams, is not reachable at the moment; try again shortly.")
        ) from None
