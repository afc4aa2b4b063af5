"""`Idempotency-Key`, as Stripe does it: the first result of a key is kept a day and given again.

The same key with another request, or while the first still runs, is a conflict. Refusals that left nothing behind
(a wrong value, a missing right, a full budget) are not kept: mend the request and use the key again.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.clock import now
from coreplex.database import Database
from coreplex.errors import Conflict, Invalid
from coreplex.idempotency.table import IdempotencyKey
from coreplex.identifier import new_id

KEPT = timedelta(hours=24)
ABANDONED_AFTER = timedelta(minutes=2)
NOT_KEPT = {400, 401, 403, 404, 413, 422, 429, 503, 507}
MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Claim:
    """A key in use: `replay` holds the first answer when there is one."""

    id: UUID
    replay: tuple[int, bytes] | None = None


async def begin(database: Database, owner: str, key: str, fingerprint: str) -> Claim:
    """Take the key, or find the answer it gave before. Raises Conflict for another request under the same key."""
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        raise Invalid(f"Idempotency-Key must have 1 to {MAX_KEY} printable characters.")
    async with database.transaction() as session:
        stale = (col(IdempotencyKey.created_at) < now() - KEPT) | (
            col(IdempotencyKey.status).is_(None) & (col(IdempotencyKey.created_at) < now() - ABANDONED_AFTER)
        )
        await session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.owner) == owner, stale))
        fresh = insert(IdempotencyKey).values(id=new_id(), owner=owner, key=key, fingerprint=fingerprint, created_at=now())
        claimed = await session.scalar(fresh.on_conflict_do_nothing().returning(col(IdempotencyKey.id)))
        if claimed is not None:
            return Claim(claimed)
        query = select(IdempotencyKey).where(col(IdempotencyKey.owner) == owner, col(IdempotencyKey.key) == key)
        found = await session.scalar(query)
    if found is None:
        raise Conflict("The first request with this Idempotency-Key has just ended; send it again.")
    if found.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used for another request; use a new key.")
    if found.status is None:
        raise Conflict("The first request with this Idempotency-Key is still running; wait for its answer.")
    return Claim(found.id, (found.status, found.body or b""))


async def finish(database: Database, claim: Claim, status: int, body: bytes) -> None:
    """Keep the answer, or free the key when the request left nothing behind."""
    async with database.transaction() as session:
        row = col(IdempotencyKey.id) == claim.id
        if status in NOT_KEPT:
            await session.execute(delete(IdempotencyKey).where(row))
        else:
            await session.execute(update(IdempotencyKey).where(row).values(status=status, body=body))


async def abandon(database: Database, claim: Claim) -> None:
    """Free the key after a request that never came to an answer."""
    async with database.transaction() as session:
        await session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.id) == claim.id))
