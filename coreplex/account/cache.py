"""Who a credential belongs to, remembered for seconds, so that a request with a known key costs no query.

An entry dies by age, by the credential's own expiry, or at once when its credential or its user changes: every such change
announces the id on a PostgreSQL channel inside its transaction, and each process listens. A process that cannot hear remembers
nothing.
"""

import asyncio
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from uuid import UUID

from coreplex.platform.database import WriteSession
from coreplex.platform.listener import Listener
from coreplex.platform.notify import notify
from coreplex.platform.permissions import Principal
from coreplex.platform.services import Services

CHANNEL = "coreplex_access"
TIME_TO_LIVE_SECS = 30.0
MAX_ENTRIES = 20_000


@dataclass(slots=True)
class _Entry:
    principal: Principal
    stale_at: float  # on the monotonic clock
    expires_at: float  # of the credential itself, in Unix seconds


class AccessCache:
    """Digest of a credential → its principal, for one process."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._entries: dict[bytes, _Entry] = {}
        self.generation = 0
        """Grows with every change heard of: what was read before a change must not be kept after it."""
        listener.on(CHANNEL, self.evict)

    def get(self, digest: bytes) -> Principal | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if not self._listener.connected:
            self.clear()
            return None
        if time.monotonic() >= entry.stale_at or time.time() >= entry.expires_at:
            del self._entries[digest]
            return None
        return entry.principal

    def put(self, digest: bytes, principal: Principal, expires_at: float, generation: int) -> None:
        """Remember what was read when the cache was at `generation`."""
        if generation != self.generation or not self._listener.connected:
            return
        if len(self._entries) >= MAX_ENTRIES:
            self._entries.clear()
        self._entries[digest] = _Entry(principal, time.monotonic() + TIME_TO_LIVE_SECS, expires_at)

    def evict(self, identity: str) -> None:
        """Forget everything about the user, session or key with this id; an empty one says that word may have been missed."""
        if not identity:
            self.clear()
            return
        self.generation += 1
        gone = UUID(identity)
        self._entries = {d: e for d, e in self._entries.items() if gone not in (e.principal.user_id, e.principal.credential_id)}
        self._listener.ring(f"access:{gone}")

    def watched(self, principal: Principal) -> AbstractContextManager[asyncio.Event]:
        """An event that is set when what this caller may do has changed: the user, the credential, a membership."""
        return self._listener.subscribe(f"access:{principal.user_id}", f"access:{principal.credential_id}")

    def clear(self) -> None:
        """Forget everybody."""
        self.generation += 1
        self._entries.clear()


def install(services: Services) -> None:
    """Give the process its cache: called by the composition root."""
    services.parts[AccessCache] = AccessCache(services.listener)


def cache_of(services: Services) -> AccessCache:
    """The process's one cache."""
    found = services.parts[AccessCache]
    assert isinstance(found, AccessCache)
    return found


async def announce(session: WriteSession, *identities: UUID) -> None:
    """Tell every process, when this transaction commits, that these users, sessions or keys changed, or what the users may do."""
    if identities:
        await notify(session, CHANNEL, *map(str, identities))


def forget(services: Services, *identities: UUID) -> None:
    """Evict from this process now, without waiting for the announcement to come round."""
    for identity in identities:
        cache_of(services).evict(str(identity))
