"""Takes what was counted since the last look as evidence of drift, each count exactly once, deployment by deployment."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import log
from typing import Any
from uuid import UUID

import numpy as np
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.engines.drift.evidence import ALPHA, Capital, Evidence
from coreplex.engines.drift.layout import Counts, Layout
from coreplex.monitoring import baseline
from coreplex.monitoring.table import BinCount, DriftWatch
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.one_by_one import one_by_one

MOST_AT_ONCE = 2_000
"""Rows of counts that one look takes of a deployment."""
ENOUGH, GONE = -log(ALPHA), 0.0
"""Evidence at which a deployment begins to drift, and under which it has ended."""
FIRST = timedelta(seconds=1)
"""A look is taken to be so long after the one before, at least."""
SHOWN, LEAST = 10, -50.0
"""Features that are told, and the least evidence that is."""
KEPT_LAYOUTS = 64
TAKE = text(
    """
    UPDATE bin_counts SET is_new = false
    WHERE id = ANY(ARRAY(
        SELECT id FROM bin_counts WHERE is_new AND deployment_id = :deployment AND model_id = :model
        LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING arm, rows, bins, counts
    """
)


async def look(database: Database) -> int:
    """Look at every deployment with new counts; returns how many there were."""
    query = select(col(BinCount.deployment_id), col(BinCount.model_id)).where(col(BinCount.is_new)).distinct()
    async with database.read() as session:
        found = (await session.execute(query)).all()

    async def look_at(counted: tuple[UUID, UUID]) -> None:
        async with database.transaction() as session:
            await _look(session, *counted)

    await one_by_one([(one.deployment_id, one.model_id) for one in found], look_at, "drift.not_looked_at")
    return len(found)


async def _look(session: WriteSession, deployment_id: UUID, model_id: UUID) -> None:
    taken = (await session.execute(TAKE, {"deployment": deployment_id, "model": model_id, "most": MOST_AT_ONCE})).all()
    current = await session.scalar(text("SELECT model_id FROM deployments WHERE id = :id"), {"id": deployment_id})
    if current != model_id:  # counts of a model it has no more, or of a deployment that is gone
        return
    evidence = await _evidence(session, model_id)
    if evidence is None:
        return
    moment = now()
    watch = await session.get(DriftWatch, deployment_id, with_for_update=True)
    if watch is None or watch.model_id != model_id:
        watch = await _begun(session, watch, deployment_id, model_id, moment)
    answered = [row for row in taken if row.arm != "shadow"]
    await asyncio.to_thread(_weigh, watch, evidence, _summed(answered, evidence.layout), moment)
    session.add(watch)


async def _evidence(session: WriteSession, model_id: UUID) -> Evidence | None:
    if (kept := _KEPT.get(model_id)) is not None:
        return kept
    layout = (await baseline.layouts(session, [model_id])).get(model_id)
    if layout is None:
        return None
    while len(_KEPT) >= KEPT_LAYOUTS:
        del _KEPT[next(iter(_KEPT))]
    return _KEPT.setdefault(model_id, Evidence(layout))


_KEPT: dict[UUID, Evidence] = {}
"""Of this process; a layout never changes."""


async def _begun(
    session: WriteSession, watch: DriftWatch | None, deployment_id: UUID, model_id: UUID, moment: datetime
) -> DriftWatch:
    """A watch that has seen nothing."""
    if watch is not None:
        await session.delete(watch)
        await session.flush()
    return DriftWatch(deployment_id=deployment_id, model_id=model_id, began_at=moment, looked_at=moment)


def _summed(rows: Sequence[Any], layout: Layout) -> Counts:
    vector = np.zeros(layout.size, dtype=np.int64)
    for row in rows:
        vector[row.bins] += np.array(row.counts, dtype=np.int64)
    return vector


def _weigh(watch: DriftWatch, evidence: Evidence, found: Counts, moment: datetime) -> None:
    before = np.frombuffer(watch.capital, dtype="<f8")
    if len(before) != evidence.size:  # the first look, or bets that an older version made
        before = evidence.begin()
        watch.rows, watch.began_at, watch.drifting_since = 0, moment, None
    elapsed = max(moment - watch.looked_at, FIRST)
    capital: Capital = evidence.after(before, found, elapsed)
    watch.rows += evidence.layout.rows(found)
    watch.capital, watch.looked_at = capital.astype("<f8").tobytes(), moment
    watch.evidence = _shown(evidence.total(capital))
    ranked = sorted(evidence.by_feature(capital).items(), key=lambda one: -one[1])[:SHOWN]
    watch.features = [{"feature": name, "evidence": _shown(value)} for name, value in ranked]
    if watch.evidence >= ENOUGH:
        watch.drifting_since = watch.drifting_since or moment
    elif watch.evidence < GONE:
        watch.drifting_since = None


def _shown(logarithm: float) -> float:
    return round(max(logarithm, LEAST), 6)
