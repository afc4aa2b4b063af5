"""Whether a deployment is asked what it was trained on: counts of a period beside those of training or of an earlier one."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import numpy as np
from sqlalchemy import text

from coreplex.deployment.table import Arm, Deployment
from coreplex.engines.drift.layout import Counts, Layout
from coreplex.engines.drift.window import Drift, DriftStatus, compare
from coreplex.monitoring import baseline, spans
from coreplex.monitoring.metrics import WHERE
from coreplex.monitoring.period import Period
from coreplex.monitoring.table import DriftWatch
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession

SUMS = text(
    "SELECT bin, sum(count)::bigint FROM bin_counts, unnest(bins, counts) AS u(bin, count) "  # noqa: S608 of our own
    f"WHERE {WHERE} AND model_id = :model GROUP BY bin"
)


class DriftBaseline(StrEnum):
    """What a window is compared with."""

    training = "training"
    window = "window"


@dataclass
class Watched:
    """The drift of a deployment's model. `baseline`: the period it is compared with; None for training.

    `importance`: by column its percentage of the model's. `watch`: what all looks together say; None before the first.
    """

    model_id: UUID
    period: Period
    baseline: Period | None
    threshold: float
    found: Drift
    importance: Mapping[str, float | None]
    watch: DriftWatch | None


NOTHING = Drift(DriftStatus.insufficient_data, None, 0, 0, [], [])
"""Of a model from before requests were counted by what they hold."""


async def drift(
    session: ReadSession,
    deployment: Deployment,
    period: Period,
    before: Period | None,
    *,
    threshold: float,
    arm: Arm | None = None,
    importance: Mapping[str, float | None],
) -> Watched:
    """Of the model it has now."""
    moment = now()
    ours, theirs = spans.BINS.whole(period, moment), before and spans.BINS.whole(before, moment)
    layout = (await baseline.layouts(session, [deployment.model_id])).get(deployment.model_id)
    found = NOTHING
    if layout is not None:
        actual = await counted(session, deployment, layout, ours, arm)
        expected = await counted(session, deployment, layout, theirs, arm) if theirs else None
        found = await asyncio.to_thread(compare, layout, expected, actual, threshold)
    watch = await session.get(DriftWatch, deployment.id)
    if watch is not None and watch.model_id != deployment.model_id:
        watch = None
    return Watched(deployment.model_id, ours, theirs, threshold, found, importance, watch)


async def counted(session: ReadSession, deployment: Deployment, layout: Layout, period: Period, arm: Arm | None) -> Counts:
    """(size,) how often each bin was met in a period."""
    given = {"deployment": deployment.id, "model": deployment.model_id, "arm": arm}
    rows = (await session.execute(SUMS, {**given, "since": period.since, "until": period.until})).all()
    vector = np.zeros(layout.size, dtype=np.int64)
    if rows:
        bins, counts = zip(*rows, strict=True)
        vector[list(bins)] = counts
    return vector
