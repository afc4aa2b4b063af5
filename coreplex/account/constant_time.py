"""Lets answers take equally long, so that their time does not tell whether an account exists."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

BEAT_SECS = 0.2


@asynccontextmanager
async def even() -> AsyncIterator[None]:
    """End on a whole multiple of the beat, whatever was done inside and however it ended. Hold no connection around it."""
    start = time.monotonic()
    try:
        yield
    finally:
        await asyncio.sleep(BEAT_SECS - (time.monotonic() - start) % BEAT_SECS)
