"""Sends large answers a piece at a time, and bounds by caller what is built and not taken yet.

Whole in the buffer of a connection an answer would be given one deadline for all of its bytes, and a client that takes none of
sixty would take the memory of the process: nobody would be answered until it was replaced.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette import types

from coreplex.errors.tree import Busy, Message
from coreplex.platform.fair_places import CALLER
from coreplex.platform.services import Part, Services

PIECE = 64 << 10
"""Bytes that are sent together, as many as a connection buffers before it waits for its client."""
AGAIN_SECS = 5


class Unread(Part):
    """Counts the bytes that the callers of one process have not taken yet. Who has `most` of them is answered nothing more."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.most = 2 * services.settings.max_answer_bytes
        self._bytes: Counter[str] = Counter()

    def require_read(self, who: str) -> None:
        """Raise Busy for a caller that leaves too much untaken."""
        if self._bytes[who] >= self.most:
            raise Busy(
                Message(
                    "answers_unread",
                    "{waiting} MiB of answers to you wait to be read; read them before you ask for more.",
                    waiting=self._bytes[who] >> 20,
                ),
                retry_after=AGAIN_SECS,
            )

    async def send(self, message: types.Message, send: types.Send) -> None:
        """Send a large part of a body as its client takes it."""
        body, more = message["body"], message.get("more_body", False)
        with self.held(len(body)):
            for end in range(PIECE, len(body) + PIECE, PIECE):
                await send({**message, "body": body[end - PIECE : end], "more_body": more or end < len(body)})

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Count so many bytes as not taken for the time of the block, in which they are sent."""
        who = CALLER.get()
        self._bytes[who] += size
        try:
            yield
        finally:
            self._bytes[who] -= size
            if not self._bytes[who]:
                del self._bytes[who]
