"""Remembers for seconds who a credential belongs to, so that a request with a known key costs no query.

An entry dies by age, by the credential's own expiry, or at once when its credential or its user changes: every such change
announces the id on a PostgreSQL channel inside its transaction, and each process listens. A process that cannot hear remembers
nothing.
"""

import asyncio
from contextlib import AbstractContextManager
from typing import Self
from uuid import UUID

from coreplex.platform.database import WriteSession
from coreplex.platform.fenced_cache import FencedCache
from coreplex.platform.listener import Listener, announce_change
from coreplex.platform.permissions import Principal
from coreplex.platform.services import Part, Services

CHANNEL = "coreplex_access"
TIME_TO_LIVE_SECS = 30.0
MAX_ENTRIES = 20_000


class AccessCache(FencedCache[bytes, Principal], Part):
    """Digest of a credential → its principal, for one process."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener, CHANNEL, secs=TIME_TO_LIVE_SECS, most=MAX_ENTRIES)

    @classmethod
    def make(cls, services: Services) -> Self:
        return cls(services.listener)

    def heard(self, identity: str) -> None:
        """Forget everything about the user, session or key with this id; an empty one says that word may have been missed."""
        if not identity:
            self.clear()
            return
        gone = UUID(identity)
        self.discard(lambda principal: gone in (principal.user_id, principal.credential_id))
        self._listener.ring(f"access:{gone}")

    def watched(self, principal: Principal) -> AbstractContextManager[asyncio.Event]:
        """An event that is set when what this caller may do has changed: the user, the credential, a membership."""
        return self._listener.subscribe(f"access:{principal.user_id}", f"access:{principal.credential_id}")


async def announce(session: WriteSession, *identities: UUID) -> None:
    """Tell every process, when this transaction commits, that these users, sessions or keys changed, or what the users may do."""
    if identities:
        await announce_change(session, CHANNEL, *map(str, identities))


def forget(services: Services, *identities: UUID) -> None:
    """Evict from this process now, without waiting for the announcement to come round."""
    for identity in identities:
        AccessCache.of(services).heard(str(identity))
