"""Large bodies: taken in turn between callers, from the first byte to the answer, and parsed in a thread, one at a time.

As objects they take up to twenty times the memory, and to parse megabytes takes tenths of a second.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

from starlette.requests import Request

from coreplex.platform.fair_places import FairPlaces, Limits
from coreplex.platform.services import Part, Services
from edge.body import larger_than

LARGE_BODY = 128 << 10
"""Bytes from which on a body is large."""
TAKEN = Limits(total=6, each=1, patience=30.0, waiting_each=60, retry_after=5)
PARSED = Limits(total=1, each=1, patience=30.0, retry_after=5)
WHAT = "large bodies to be read"
Parsed = TypeVar("Parsed")


class LargeBodies(Part):
    """Limits how many large bodies one process takes, and parses, at a time."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._taken, self._parsed = FairPlaces(TAKEN, WHAT), FairPlaces(PARSED, WHAT)

    @asynccontextmanager
    async def place(self, request: Request) -> AsyncIterator[None]:
        """A place for the time of the block where the body is large. Raises Busy."""
        async with self._taken.place() if await larger_than(request, LARGE_BODY) else nullcontext():
            yield

    async def parsed(self, raw: bytes, parse: Callable[[bytes], Parsed]) -> Parsed:
        """What `parse` makes of the body. Raises Busy, and what `parse` raises."""
        if len(raw) <= LARGE_BODY:
            return parse(raw)
        async with self._parsed.place():
            return await asyncio.to_thread(parse, raw)
