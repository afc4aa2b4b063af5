"""A cache that never keeps what was read before a change and stored after it."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from coreplex.platform.listener import Listener

AWAY_SECS = 60.0
Key = TypeVar("Key")
Value = TypeVar("Value")


class FencedCache(Generic[Key, Value]):
    """Values of one process, kept for `secs` seconds, `most` of them, and forgotten when a channel of PostgreSQL says so.

    `generation` is the fence: it grows with every change heard of. Who fills the cache takes it before reading and gives it with
    the value; a value of an older generation is not kept. While the listener is not certain that it has heard everything, nothing
    is kept or returned; only `last_known` is there then, for whoever has asked the database and found it away. Make it before the
    listener starts: a change announced before its channel is listened to would be missed.
    """

    def __init__(self, listener: Listener, channel: str, *, secs: float, most: int) -> None:
        self.generation = 0
        self.most = most
        self._secs = secs
        self._listener = listener
        self._entries: dict[Key, tuple[float, float, Value]] = {}
        """Until when each is as good as read, and until when it is better than nothing."""
        listener.on(channel, self.heard)

    def get(self, key: Key) -> Value | None:
        """The value, unless it is too old or word of a change may have been missed."""
        found = self._entries.get(key)
        if found is None or time.monotonic() >= found[0] or not self._listener.certain:
            return None
        return found[2]

    def last_known(self, key: Key) -> Value | None:
        """The value as it was last known, for `AWAY_SECS` at most: for when the database is away, and nobody can change it."""
        found = self._entries.get(key)
        return None if found is None or time.monotonic() >= found[1] else found[2]

    def put(self, key: Key, value: Value, generation: int, secs: float | None = None) -> None:
        """Keep what was read when the cache was at `generation`, for `secs` seconds when that is less than usual."""
        if generation != self.generation or not self._listener.certain:
            return
        if len(self._entries) >= self.most:
            self._entries.clear()
        moment, most = time.monotonic(), float("inf") if secs is None else secs
        self._entries[key] = (moment + min(most, self._secs), moment + min(most, self._secs + AWAY_SECS), value)

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
        self._entries = {key: entry for key, entry in self._entries.items() if not condition(entry[2])}
