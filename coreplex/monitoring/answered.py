"""What was answered, as the counts and the inference log have it: how many rows, how many outcomes, and uniform samples of both.

The log is read by SQL alone: it stands in a layer above (`coreplex.serving.table`). Rows are drawn by a hash of their ids, which
an index has, so that a sample of a million rows reads the sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import text

from coreplex.deployment.table import Arm, Deployment
from coreplex.engines.drift.layout import Layout
from coreplex.engines.performance.answers import Logged
from coreplex.monitoring.metrics import WHERE
from coreplex.monitoring.period import Period
from coreplex.platform.database import ReadSession

_CHANCES = 1 << 20
_MARGIN = 1.1
"""So many times the most is aimed at, since a hash does not draw exactly."""
_OTHERS = 5
"""Of the drawn rows others may be of another arm, or of the model before: so many are looked at, at most, for one that counts."""

MOST_BYTES = 32 << 20
"""Of inputs that are read at once, as the database has them; of wider rows fewer come."""


@dataclass(frozen=True)
class Asked:
    """What of a deployment is looked at: its model of now, a period in whole buckets, one arm or all that answered."""

    deployment: Deployment
    period: Period
    bucket: timedelta
    arm: Arm | None

    @property
    def given(self) -> Mapping[str, Any]:
        """The parameters of the statements."""
        return {
            **{"deployment": self.deployment.id, "model": self.deployment.model_id, "arm": self.arm},
            **{"since": self.period.since, "until": self.period.until, "bucket": self.bucket.total_seconds()},
        }


def _bucket(at: str) -> str:
    return f"floor(extract(epoch FROM {at} - CAST(:since AS timestamptz)) / :bucket)::int"


COUNTED = text(
    f"SELECT {_bucket('began_at')} AS at, sum(count)::bigint FROM bin_counts, unnest(bins, counts) AS u(bin, count) "  # noqa: S608
    f"WHERE {WHERE} AND model_id = :model AND bin >= :first AND bin < :last GROUP BY 1"
)
LOGGED = """
    deployment_id = :deployment AND created_at >= :since AND created_at < :until AND model_id = :model
    AND CASE WHEN CAST(:arm AS text) IS NULL THEN arm IS DISTINCT FROM 'shadow' ELSE arm = :arm END
"""
IN_LOG = text(
    f"SELECT {_bucket('created_at')} AS at, count(*) FROM inference_logs WHERE {LOGGED} AND output IS NOT NULL GROUP BY 1"  # noqa: S608
)
OUTCOMES = text(
    f"SELECT {_bucket('created_at')} AS at, count(*) FROM inference_logs WHERE {LOGGED} AND outcome IS NOT NULL GROUP BY 1"  # noqa: S608
)
_DRAWN = f"uuid_hash_extended(id, 0) & {_CHANCES - 1}"


def _rows(known: bool) -> Any:
    """Drawn rows, with an outcome or whether or not there is one; the first by their hash where there are too many.

    Each is looked up by the index: `LIMIT 1` keeps the planner from reading all rows of the period to join them. `came`: how many
    there were before those beyond `:most_bytes` of inputs were left out.
    """
    drawn = f"deployment_id = :deployment AND created_at >= :since AND created_at < :until AND {_DRAWN} < :chances"
    return text(
        f"""
        WITH drawn AS MATERIALIZED (
            SELECT id, created_at, {_DRAWN} AS place FROM inference_logs WHERE {LOGGED if known else "TRUE"} AND {drawn}
            {"AND outcome IS NOT NULL" if known else ""} ORDER BY place LIMIT :most_drawn
        )
        , found AS (
            SELECT place, drawn.id, drawn.created_at, output, outcome, inputs FROM drawn CROSS JOIN LATERAL (
                SELECT output, outcome, CASE WHEN :inputs THEN inputs END AS inputs FROM inference_logs l
                WHERE {LOGGED} AND output IS NOT NULL AND l.created_at = drawn.created_at AND l.id = drawn.id LIMIT 1
            ) AS one ORDER BY place, drawn.id LIMIT :most
        ), sized AS (
            SELECT *, coalesce(sum(pg_column_size(inputs)) OVER (ORDER BY place, id ROWS UNBOUNDED PRECEDING), 0) AS bytes,
                count(*) OVER () AS came FROM found
        )
        SELECT {_bucket("created_at")} AS at, output::text, outcome::text, inputs::text, came
        FROM sized WHERE bytes <= :most_bytes ORDER BY place, id
        """  # noqa: S608 of our own
    )


JUDGED, SAMPLED = _rows(known=True), _rows(known=False)


async def counts(session: ReadSession, asked: Asked, layout: Layout | None) -> dict[int, int]:
    """By bucket how many rows were answered: of what the counts say of answers, where they are counted, else of the log."""
    answers = [part for part in layout.parts if part.feature in layout.answers] if layout is not None else []
    if not answers:
        return _by_bucket((await session.execute(IN_LOG, asked.given)).all())
    first = answers[0].begin
    given = {**asked.given, "first": first, "last": first + answers[0].feature.bins.size}
    return _by_bucket((await session.execute(COUNTED, given)).all())


async def outcomes(session: ReadSession, asked: Asked) -> dict[int, int]:
    """By bucket of how many rows the outcome is known."""
    return _by_bucket((await session.execute(OUTCOMES, asked.given)).all())


def _by_bucket(rows: Sequence[Any]) -> dict[int, int]:
    return {int(at): int(count) for at, count in rows}


async def judged(session: ReadSession, asked: Asked, count: int, most: int, *, inputs: bool) -> Logged:
    """At most so many of the `count` rows with an outcome."""
    return await _read(session, JUDGED, asked, count, most, inputs)


async def sampled(session: ReadSession, asked: Asked, count: int, most: int, *, inputs: bool) -> Logged:
    """At most so many of the `count` rows that were answered."""
    return await _read(session, SAMPLED, asked, count, most, inputs)


async def _read(session: ReadSession, statement: Any, asked: Asked, count: int, most: int, inputs: bool) -> Logged:
    chances = min(_CHANCES, round(_CHANCES * _MARGIN * most / max(count, 1)))
    rows: Sequence[Any] = ()
    if most and count:
        given = {**asked.given, "most": most, "most_drawn": _OTHERS * most, "inputs": inputs, "most_bytes": MOST_BYTES}
        rows = (await session.execute(statement, {**given, "chances": chances})).all()
        if chances < _CHANCES and (not rows or rows[0].came < min(most, count)):  # what was counted is not all in the log
            rows = (await session.execute(statement, {**given, "chances": _CHANCES})).all()
    buckets = np.array([row[0] for row in rows], dtype=np.int64)
    return Logged(buckets, [row[1] for row in rows], [row[2] for row in rows], [row[3] for row in rows])
