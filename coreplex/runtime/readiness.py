"""Checks whether the server can do its work (database, schema version, Redis, a living worker) and what will soon prevent it.

Storage that is full, or nearly, is said and leaves the server ready: it still answers, and people free space through it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from sqlalchemy import text

from coreplex.errors.disk import is_full, shortage
from coreplex.errors.tree import DomainError
from coreplex.platform.revision import head
from coreplex.platform.services import Services
from coreplex.serving.log import dropped
from coreplex.serving.log.dropped import Dropped
from coreplex.serving.log.spool import spool_in
from coreplex.serving.log.writer import InferenceWriter

WORKER_SILENT_SECS = 30


async def readiness(services: Services) -> dict[str, Any]:
    """`{"ready": bool, "checks": {name: "ok" | what is wrong}, "log_dropped": {"requests": …, "rows": …}}`. Never raises."""
    checks: dict[str, Callable[[Services], Awaitable[str]]] = {
        "database": _database,
        "migrations": _migrations,
        "redis": _redis,
        "worker": _worker,
    }
    said: dict[str, Callable[[Services], Awaitable[str]]] = {"storage": _storage, "inference_log": _inference_log}
    found = {name: await _try(check, services) for name, check in (checks | said).items()}
    return {
        "ready": all(found[name] == "ok" for name in checks),
        "checks": found,
        "log_dropped": (await asyncio.to_thread(_dropped, services))._asdict(),
    }


async def _try(check: Callable[[Services], Awaitable[str]], services: Services) -> str:
    try:
        return await check(services)
    except DomainError as error:
        return error.message
    except Exception as error:
        if is_full(error):
            return "its disk is full"
        return f"not reachable ({type(error).__name__})"


async def _database(services: Services) -> str:
    await services.database.ping()
    return "ok"


async def _migrations(services: Services) -> str:
    async with services.database.read() as session:
        found = await session.scalar(text("SELECT version_num FROM alembic_version"))
    return "ok" if found == head() else f"the database is at revision {found}, this code needs {head()}; run migrate"


async def _redis(services: Services) -> str:
    url = services.settings.redis_url
    if url is None:
        return "REDIS_URL is not set"
    async with Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
        await client.execute_command("PING")  # type: ignore[no-untyped-call]
    return "ok"


async def _worker(services: Services) -> str:
    query = text("SELECT count(*) FROM workers WHERE seen_at BETWEEN now() - make_interval(secs => :silent) AND now()")
    async with services.database.read() as session:
        alive = await session.scalar(query, {"silent": WORKER_SILENT_SECS})
    return "ok" if alive else "no worker has reported lately"


async def _storage(services: Services) -> str:
    return await asyncio.to_thread(shortage, services.settings.data_dir) or "ok"


async def _inference_log(services: Services) -> str:
    """What this host answered and could not log, and what this process cannot store since a while."""
    writer = _writer(services)
    waits = writer.waits if writer else ""
    return "; ".join(filter(None, (str(await asyncio.to_thread(_dropped, services)), waits))) or "ok"


def _dropped(services: Services) -> Dropped:
    """Of all processes of this host; also of a worker's, which logs nothing itself."""
    writer = _writer(services)
    return writer.unlogged.count.total if writer else dropped.read(spool_in(services.settings.data_dir))


def _writer(services: Services) -> InferenceWriter | None:
    writer = services.parts.get(InferenceWriter)
    return writer if isinstance(writer, InferenceWriter) else None
