"""Whether a deployment's model answers by other columns than in training: the kept days of a window beside its training."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.deployment.table import Deployment
from coreplex.engines.drift.attribution import Attribution, AttributionDrift, AttributionStatus, compare
from coreplex.monitoring.attribution_days import DAY
from coreplex.monitoring.period import Period, floor
from coreplex.monitoring.table import AttributionBaseline, AttributionDay
from coreplex.platform.database import ReadSession


@dataclass(frozen=True)
class Day:
    """What is kept of a day, compared by itself."""

    began_at: datetime
    answered_count: int
    row_count: int
    made_at: datetime
    status: AttributionStatus
    ndcg: float | None


@dataclass(frozen=True)
class Attributions:
    """Of the model a deployment has now. `period`: whole days of UTC."""

    model_id: UUID
    period: Period
    baseline_row_count: int
    row_count: int
    found: AttributionDrift
    days: Sequence[Day]


NOTHING = Attribution(0, {})


async def attribution_drift(session: ReadSession, deployment: Deployment, period: Period) -> Attributions:
    """Of the days that a period touches."""
    last = floor(period.until, DAY)
    whole = Period(floor(period.since, DAY), last if last == period.until else last + DAY)
    kept = await session.get(AttributionBaseline, deployment.model_id)
    baseline = NOTHING if kept is None else Attribution.of(kept.row_count, kept.features)
    query = select(AttributionDay).where(
        col(AttributionDay.deployment_id) == deployment.id,
        col(AttributionDay.model_id) == deployment.model_id,
        col(AttributionDay.began_at) >= whole.since,
        col(AttributionDay.began_at) < whole.until,
    )
    rows = (await session.scalars(query.order_by(col(AttributionDay.began_at)))).all()
    live, found, days = await asyncio.to_thread(_compared, baseline, rows)
    return Attributions(deployment.model_id, whole, baseline.rows, live.rows, found, days)


def _compared(baseline: Attribution, rows: Sequence[AttributionDay]) -> tuple[Attribution, AttributionDrift, list[Day]]:
    """All days together, and each by itself."""
    parts = [Attribution.of(row.row_count, row.features) for row in rows]
    live = Attribution.joined(parts, [row.answered_count for row in rows]) if parts else NOTHING
    return live, compare(baseline, live), [_day(baseline, row, part) for row, part in zip(rows, parts, strict=True)]


def _day(baseline: Attribution, row: AttributionDay, part: Attribution) -> Day:
    found = compare(baseline, part)
    return Day(row.began_at, row.answered_count, row.row_count, row.made_at, found.status, found.ndcg)
