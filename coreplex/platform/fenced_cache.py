"""A cache that never keeps what was read before a change and stored after it."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from coreplex.platform.listener import Listener

Key = TypeVar("Key")
Value = TypeVar("Value")


class FencedCache(Generic[Key, Value]):
    """Values of one process, kept for `secs` seconds, `most` of them, and forgotten when a channel of PostgreSQL says so.

    `generation` is the fence: it grows with every change heard of. Who fills the cache takes it before reading and gives it with
    the value; a value of an older generation is not kept. While the listener is not connected nothing is kept or returned. Make
    it before the listener starts: a change announced before its channel is listened to would be missed.
    """

    def __init__(self, listener: Listener, channel: str, *, secs: float, most: int) -> None:
        self.generation = 0
        self.most = most
        self._secs = secs
        self._listener = listener
        self._entries: dict[Key, tuple[float, Value]] = {}
        listener.on(channel, self.heard)

    def get(self, key: Key) -> Value | None:
        """The value, unless it is too old or word of a change may have been missed."""
        found = self._entries.get(key)
        if found is None:
            return None
        if not self._listener.connected:
            self.clear()
            return None
        if time.monotonic() >= found[0]:
            del self._entries[key]
            return None
        return found[1]

    def put(self, key: Key, value: Value, generation: int, secs: float | None = None) -> None:
        """Keep what was read when the cache was at `generation`, for `secs` seconds when that is less than usual."""
        if generation != self.generation or not self._listener.connected:
            return
        if len(self._entries) >= self.most:
            self._entries.clear()
        kept = self._secs if secs is None else min(secs, self._secs)
        self._entries[key] = (time.monotonic() + kept, value)

    def heard(self, _payload: str) -> None:
        """A change was announced on the channel: forget everything. Subclasses that know what changed forget less."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.generation += 1
        self._entries.clear()

    def discard(self, condition: Callable[[Value], bool]) -> None:
        """Forget the values for which a condition holds."""
        self.generation += 1
        self._entries = {key: entry for key, entry in self._entries.items() if not condition(entry[1])}
