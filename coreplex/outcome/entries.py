"""The rows of the inference log that outcomes are of."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.deployment.table import Arm
from coreplex.outcome.inputs import Outcome
from coreplex.platform.database import WriteSession
from coreplex.serving.table import InferenceLog

Place = tuple[str, int]
"""A row: the id of its request, and where it is in it."""


class Entry(NamedTuple):
    """What outcomes need of a row of the log."""

    request_id: str
    row_index: int
    id: UUID
    retention_week: int
    created_at: datetime
    deployment_id: UUID
    arm: Arm | None
    unit: int | None
    """Of a row of an A/B test."""
    output: Any
    outcome: Any
    """What was said before: of the model, or of a test."""
    fell_back: bool = False
    """The baseline has answered in the place of a candidate that failed."""

    @property
    def is_class(self) -> bool:
        """Whether its model tells classes apart."""
        return "probabilities" in self.output


async def entries_of(
    session: WriteSession, sides: Collection[UUID], items: Sequence[Outcome], outcome: Any
) -> dict[Place, Entry]:
    """The rows of the log, held until the end of the transaction, always in the same order; `outcome`: its column."""
    own = [getattr(InferenceLog, name) for name in Entry._fields[:-2]]
    query = select(*own, outcome).where(
        col(InferenceLog.deployment_id).in_(sides),
        func.lower(col(InferenceLog.request_id)).in_({item.request_id.lower() for item in items}),
        col(InferenceLog.arm).is_distinct_from(Arm.shadow),
    )
    found = await session.execute(query.order_by(col(InferenceLog.id)).with_for_update())
    # Of a row in which the candidate failed there are two entries: the one with an answer is the one that was given.
    entries = sorted(map(Entry._make, ([*row, False] for row in found)), key=lambda entry: entry.output is not None)
    places: dict[Place, Entry] = {}
    for entry in entries:
        place = entry.request_id.lower(), entry.row_index
        failed = places.get(place)
        fell_back = failed is not None and failed.output is None and (failed.arm, entry.arm) == (Arm.candidate, Arm.baseline)
        places[place] = entry._replace(fell_back=True, unit=failed.unit) if failed is not None and fell_back else entry
    return places
