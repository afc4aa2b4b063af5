"""A whole answer in one write: what uvicorn does for each header and each message, done once for most answers.

uvicorn searches every name and every value for characters that may not be there, and writes head and body apart: an eighth of a
short request. Here the head of an answer whose length is known waits for its body, and one search covers all names, one all
values. Whatever is not such an answer is uvicorn's, message by message.
"""

from typing import Any
from weakref import proxy

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

OWN = frozenset((b"connection", b"transfer-encoding"))
"""Headers that uvicorn acts upon."""
BODILESS = frozenset((204, 304))


class WholeAnswers:
    """What stands in the place of a cycle's `send`."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.cycle = proxy(cycle)  # which holds us: both would wait for the garbage collector with all they hold
        self.head: Message | None = None

    async def __call__(self, message: Any) -> None:
        head, self.head = self.head, None
        if message["type"] == "http.response.start":
            if self._has_whole_body(message):
                self.head = message
                return
        elif head is not None:
            if self._write(head, message):
                return
            await RequestResponseCycle.send(self.cycle, head)  # type: ignore[arg-type]
        await RequestResponseCycle.send(self.cycle, message)

    def _has_whole_body(self, start: Message) -> bool:
        names = [name for name, _ in start["headers"]]
        return names.count(b"content-length") == 1 and OWN.isdisjoint(names) and start["status"] not in BODILESS

    def _write(self, start: Message, message: Message) -> bool:
        """Write both, if the second is all of the body; whether they were."""
        cycle, body = self.cycle, message.get("body", b"")
        usual = cycle.keep_alive and not (cycle.disconnected or cycle.flow.write_paused or message.get("more_body", False))
        if not usual or cycle.response_started or cycle.scope["method"] == "HEAD":
            return False
        headers = [*cycle.default_headers, *start["headers"]]
        names, values = zip(*headers, strict=True)
        if HEADER_RE.search(b"".join(names)) or HEADER_VALUE_RE.search(b"".join(values)):
            return False
        if values[names.index(b"content-length")] != b"%d" % len(body):
            return False
        lines = [b"%b: %b\r\n" % header for header in headers]
        cycle.transport.write(b"".join((STATUS_LINE[start["status"]], *lines, b"\r\n", body)))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = cycle.chunked_encoding = False
        cycle.message_event.set()
        cycle.on_response()
        return True
