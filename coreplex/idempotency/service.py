"""`Idempotency-Key`: whatever is sent again under a key is done once, and answered as it was the first time.

That something was done, and what it made, is committed in the transaction that does it: a process killed a moment later leaves
both or neither, and nothing is ever taken for abandoned. When the answer is built it is kept (`IDEMPOTENCY_HOURS`); without that,
it is built anew from what was made. Refusals left nothing behind and are not kept: mend the request and use the key again.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5
from weakref import WeakValueDictionary

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.errors.tree import Conflict, Invalid, Message
from coreplex.idempotency import outcome
from coreplex.idempotency.table import IdempotencyKey
from coreplex.platform.clock import now
from coreplex.platform.database import Database, ReadSession, WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Principal
from coreplex.platform.services import Services

MAX_KEY = 255
KEY = f"^[ -~]{{1,{MAX_KEY}}}$"
MAX_BODY = 16 << 10
"""Longer answers are not stored but built anew: a caller's whole budget of requests, each with a key, must not fill the disk."""
WAIT_SECS = 60.0
"""How long a request waits for an earlier one with its key to end."""

_turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()


class Repeated(Exception):
    """The act was done by an earlier request with this key; `made` is what it made."""

    def __init__(self, made: Any) -> None:
        super().__init__("done before")
        self.made = made


class Mark(NamedTuple):
    """The name, time and request id under which a request writes elsewhere (the inference log): the same at each retry."""

    name: UUID
    moment: datetime
    request_id: str
    """Of the first request."""


@dataclass(slots=True)
class Attempt:
    """A request under its key: what earlier ones with it did, by the place of each act in the answer."""

    owner: str
    key: str
    fingerprint: str
    scopes: frozenset[str]
    """Of the credential: what the answer was made with."""
    kept: timedelta
    request_id: str
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    answer: tuple[int, bytes] | None = None
    replayed: bool = False
    """Something of the answer was done before."""

    async def claim(self, session: WriteSession, place: str) -> None:
        """First movement of an act's transaction: it is ours, or Repeated. Waits for another process that is at it."""
        await self._lock(session)
        if place in self.done:
            raise Repeated(self.done[place]["made"])

    async def mark(self, database: Database, place: str) -> "Mark":
        """Commit that the request was here, before something that is only noted."""
        async with database.transaction() as session:
            row = await self._lock(session)
        return Mark(uuid5(row.id, f"{self.fingerprint} {place}"), row.created_at, row.request_id or self.request_id)

    async def _lock(self, session: WriteSession) -> IdempotencyKey:
        fresh = insert(IdempotencyKey).values(**self._row(), outcomes={})
        values = {
            name: fresh.excluded[name] for name in ("fingerprint", "outcomes", "status", "body", "created_at", "request_id")
        }
        expired = col(IdempotencyKey.created_at) < now() - self.kept
        await session.execute(fresh.on_conflict_do_update(index_elements=["owner", "key"], set_=values, where=expired))
        row = await session.scalar(_named(self.owner, self.key).with_for_update())
        assert row is not None, "it was inserted, or was there and is locked"
        self._take(row)
        if row.fingerprint != self.fingerprint:
            row.fingerprint, row.request_id, row.created_at = self.fingerprint, self.request_id, now()
        return row

    async def record(self, session: WriteSession, place: str, name: str, result: Any) -> None:
        """Last movement of an act's transaction: what the field made."""
        row = (await session.scalars(_named(self.owner, self.key))).one()
        entry = self._entry(name, outcome.recorded(result))
        row.outcomes = {**row.outcomes, place: entry}
        await session.flush()
        self.done[place] = entry

    def answered(self, place: str, name: str, project_id: Any) -> None:
        """Note that a field that makes nothing gave an answer about a project."""
        self.done[place] = self._entry(name, {"project": str(project_id)})

    @property
    def fields(self) -> set[str]:
        """The names of those that were done."""
        return {entry["field"] for entry in self.done.values()}

    @property
    def may_read(self) -> bool:
        """Whether the credential holds every scope the answer was made with; without, it must be built anew, field by field."""
        return all(self.scopes.issuperset(entry["scopes"]) for entry in self.done.values())

    def _entry(self, name: str, made: Any) -> dict[str, Any]:
        return {"field": name, "made": made, "scopes": sorted(self.scopes)}

    def _take(self, row: IdempotencyKey) -> None:
        if row.fingerprint != self.fingerprint and (row.outcomes or row.status is not None):
            raise Conflict(Message("idempotency_key_used", "This Idempotency-Key was used for another request; use a new key."))
        self.done |= row.outcomes
        self.answer = None if row.status is None else (row.status, row.body or b"")

    def _row(self) -> dict[str, Any]:
        values = {"owner": self.owner, "key": self.key, "fingerprint": self.fingerprint}
        return {**values, "id": new_id(), "status": None, "body": None, "created_at": now(), "request_id": self.request_id}

    async def keep(self, database: Database, status: int, body: bytes) -> None:
        """Store the answer to what was done, unless it is known already, holds a secret or is long."""
        secret = any(outcome.is_secret(entry["made"]) for entry in self.done.values())
        if self.answer is not None or secret or len(body) > MAX_BODY:
            return
        fresh = insert(IdempotencyKey).values(**self._row() | {"status": status, "body": body}, outcomes=self.done)
        values = {name: fresh.excluded[name] for name in ("outcomes", "status", "body")}
        mine = (col(IdempotencyKey.fingerprint) == self.fingerprint) & col(IdempotencyKey.status).is_(None)
        async with database.transaction() as session:
            await session.execute(fresh.on_conflict_do_update(index_elements=["owner", "key"], set_=values, where=mine))


def owner_of(principal: Principal) -> str:
    """Whose key it is: a person's, and apart from these, those used with an API key that is bound to one project."""
    return f"{principal.user_id}/{principal.project_id}" if principal.project_id else str(principal.user_id)


@asynccontextmanager
async def attempt(
    services: Services, principal: Principal, key: str, fingerprint: str, request_id: str
) -> AsyncIterator[Attempt]:
    """Around a request with a key. Raises Conflict for another request under the same key.

    Requests with one key run one after another in this process, so the later ones find the answer of the first; those of other
    processes are told apart by the row.
    """
    if re.fullmatch(KEY, key) is None:
        raise Invalid(
            Message(
                "idempotency_key_not_valid", "Idempotency-Key must have 1 to {most} printable ASCII characters.", most=MAX_KEY
            )
        )
    owner = owner_of(principal)
    turn = _turns.setdefault((owner, key), asyncio.Lock())
    try:
        async with asyncio.timeout(WAIT_SECS):
            await turn.acquire()
    except TimeoutError:
        raise Conflict(
            Message(
                "first_request_running", "The first request with this Idempotency-Key is still running; ask again for its answer."
            )
        ) from None
    try:
        kept = timedelta(hours=services.settings.idempotency_hours)
        made = Attempt(owner, key, fingerprint, frozenset(principal.scopes), kept, request_id)
        async with services.database.read() as session:
            await _look(session, made)
        yield made
    finally:
        turn.release()


async def _look(session: ReadSession, wanted: Attempt) -> None:
    row = await session.scalar(_named(wanted.owner, wanted.key).where(col(IdempotencyKey.created_at) >= now() - wanted.kept))
    if row is not None:
        wanted._take(row)


def _named(owner: str, key: str) -> Any:
    return select(IdempotencyKey).where(col(IdempotencyKey.owner) == owner, col(IdempotencyKey.key) == key)
