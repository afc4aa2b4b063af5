"""What every deployment was asked since it is there, by arm: sums that only grow, whatever is joined, purged or killed.

What was stored with the log is added to them by the statement that joins it to minutes; until then it is read beside them. So a
sum is the same before and after, all processes tell the same, and no request waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text

from coreplex.engines.drift.latency import GAMMA, LEAST_MS, place
from coreplex.platform.database import ReadSession

EDGES_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000)
"""Of the latencies that are told apart here, to within a bin of `coreplex.engines.drift.latency`. `within_counts` are of those
up to each, and of all: for other edges a migration has to make them anew."""
MOST = 1_000
"""Deployments and arms that are told of: those that were asked last."""

# A latency counts as the middle of its bin, in whole microseconds: sums of floats would depend on their order, and fall.
_MICROSECONDS = f"round({2000 * LEAST_MS / (GAMMA + 1)} * power({GAMMA}::float8, bin))::bigint"
_WITHIN = ", ".join(f"coalesce(sum(count) FILTER (WHERE bin <= {place(edge)}), 0)::bigint" for edge in EDGES_MS)


def _sums(rows: str) -> str:
    """The sums over rows of `traffic_counts`, as `traffic_totals` has them."""
    return f"""
        SELECT deployment_id, arm, requests, errors, rows, coalesce(latency_us, 0) AS latency_us,
            coalesce(within_counts, array_fill(0::bigint, ARRAY[{len(EDGES_MS) + 1}])) AS within_counts, last_at
        FROM (
            SELECT deployment_id, coalesce(arm, '') AS arm, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors,
                sum(rows)::bigint AS rows, max(began_at) AS last_at
            FROM {rows} GROUP BY 1, 2
        ) a LEFT JOIN (
            SELECT deployment_id, coalesce(arm, '') AS arm, sum(count * {_MICROSECONDS})::bigint AS latency_us,
                ARRAY[{_WITHIN}, coalesce(sum(count), 0)::bigint] AS within_counts
            FROM {rows}, unnest(latency_bins, latency_counts) AS u(bin, count) GROUP BY 1, 2
        ) b USING (deployment_id, arm)
    """  # noqa: S608 of our own


ADDED = f"""
    INSERT INTO traffic_totals AS t (deployment_id, arm, requests, errors, rows, latency_us, within_counts, last_at)
    {_sums("old")} ORDER BY deployment_id, arm
    ON CONFLICT (deployment_id, arm) DO UPDATE SET
        requests = t.requests + excluded.requests, errors = t.errors + excluded.errors, rows = t.rows + excluded.rows,
        latency_us = t.latency_us + excluded.latency_us, last_at = greatest(t.last_at, excluded.last_at),
        within_counts = ARRAY(
            SELECT x + y FROM unnest(t.within_counts, excluded.within_counts) WITH ORDINALITY AS u(x, y, n) ORDER BY n
        )
"""  # noqa: S608 of our own
"""Adds the rows `old` of `traffic_counts`, of which none was added before."""
ASKED = text(
    f"""
    WITH fresh AS (SELECT * FROM traffic_counts WHERE span_secs = 0), found AS (
        SELECT deployment_id, arm, coalesce(t.requests, 0) + coalesce(f.requests, 0) AS requests,
            coalesce(t.errors, 0) + coalesce(f.errors, 0) AS errors, coalesce(t.rows, 0) + coalesce(f.rows, 0) AS rows,
            coalesce(t.latency_us, 0) + coalesce(f.latency_us, 0) AS latency_us, t.within_counts AS added,
            f.within_counts AS fresh, greatest(t.last_at, f.last_at) AS last_at
        FROM traffic_totals t FULL JOIN ({_sums("fresh")}) f USING (deployment_id, arm)
    )
    SELECT d.id, d.project_id, d.name, d.stage, d.status, coalesce(arm, '') AS arm, coalesce(requests, 0) AS requests,
        coalesce(errors, 0) AS errors, coalesce(rows, 0) AS rows, coalesce(latency_us, 0) AS latency_us, added, fresh,
        count(*) OVER () AS found
    FROM deployments d LEFT JOIN found ON found.deployment_id = d.id
    WHERE found.deployment_id IS NOT NULL OR d.status = 'active'
    ORDER BY last_at DESC NULLS LAST, d.id, arm LIMIT {MOST}
    """  # noqa: S608 of our own
)


@dataclass(frozen=True)
class Asked:
    """Of one deployment and one arm, '' for what was asked without a rollout. `within`: requests that were answered, by
    latency as `EDGES_MS` has them, each with all that are quicker, and all of them last."""

    deployment_id: UUID
    project_id: UUID
    name: str
    stage: str
    status: str
    arm: str
    requests: int
    errors: int
    rows: int
    latency_secs: float
    within: Sequence[int]


class Totals(NamedTuple):
    """`left_out`: how many deployments and arms were not asked as lately as those that are told of."""

    asked: Sequence[Asked]
    left_out: int


async def totals(session: ReadSession) -> Totals:
    """Of the deployments that were ever asked, and of those that may be."""
    rows = (await session.execute(ASKED)).all()
    return Totals([_asked(row) for row in rows], rows[0].found - len(rows) if rows else 0)


def _asked(row: Any) -> Asked:
    nothing = [0] * (len(EDGES_MS) + 1)
    within = [added + fresh for added, fresh in zip(row.added or nothing, row.fresh or nothing, strict=True)]
    sums = (row.requests, row.errors, row.rows, row.latency_us / 1e6)
    return Asked(row.id, row.project_id, row.name, row.stage, row.status, row.arm, *sums, within)
