"""Trying again while the database is away, because what a job has worked for hours on must not be lost to a restart."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError

from coreplex.errors.tree import Unavailable

LEAST_SECS, MOST_SECS = 0.1, 2.0
# Serialization failure and deadlock: the other one won, the same again will do.
AGAIN = {"40001", "40P01"}

T = TypeVar("T")
log = structlog.get_logger(__name__)


async def persist(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, tried until the database answers. Endless: the caller's task is cancelled when that is too long."""
    pause = LEAST_SECS
    while True:
        try:
            return await work()
        except Exception as error:
            if not passing(error):
                raise
            if pause == LEAST_SECS:
                log.warning("database.away", error=str(error))
        await asyncio.sleep(pause)
        pause = min(pause * 2, MOST_SECS)


def passing(error: Exception) -> bool:
    """Is this the weather, and not a fault?"""
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) in AGAIN
    return isinstance(error, Unavailable)
