"""How a deployment did: requests, errors and latencies over a period, and bucket by bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import text

from coreplex.deployment.table import Arm, Deployment, DeploymentStatus
from coreplex.engines.drift.latency import BINS, percentile, place
from coreplex.engines.drift.layout import Counts
from coreplex.monitoring import spans
from coreplex.monitoring.period import Period, bucket_of
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession

WHERE = """
    deployment_id = :deployment AND began_at >= :since AND began_at < :until
    AND CASE WHEN CAST(:arm AS text) IS NULL THEN arm IS DISTINCT FROM 'shadow' ELSE arm = :arm END
"""
"""Of one arm, or of all that answered: what a shadow was asked in vain is no traffic."""
AT = "date_bin(make_interval(secs => :bucket), began_at, 'epoch'::timestamptz)"
TOTALS = text(
    f"SELECT {AT} AS at, sum(requests)::bigint, sum(errors)::bigint, sum(rows)::bigint FROM traffic_counts "  # noqa: S608
    f"WHERE {WHERE} GROUP BY 1 ORDER BY 1"
)
LATENCIES = text(
    f"SELECT {AT} AS at, bin, sum(count)::bigint FROM traffic_counts, unnest(latency_bins, latency_counts) AS u(bin, count) "  # noqa: S608
    f"WHERE {WHERE} GROUP BY 1, 2"
)


@dataclass
class Traffic:
    """Requests with their rows. `latencies`: (BINS,) of those that were answered, by how long their scoring took."""

    requests: int = 0
    errors: int = 0
    rows: int = 0
    latencies: Counts = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64), repr=False)

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def answered(self) -> int:
        """Requests that did not fail."""
        return int(self.latencies.sum())

    def add(self, requests: int, errors: int, rows: int) -> None:
        """Count further ones."""
        self.requests, self.errors, self.rows = self.requests + requests, self.errors + errors, self.rows + rows

    def latency(self, share: float) -> float | None:
        """Milliseconds within which a share of them was scored; None without any."""
        return percentile(self.latencies, share)

    def slower_than(self, milliseconds: float) -> int:
        """How many took longer, to within a bin."""
        return int(self.latencies[place(milliseconds) + 1 :].sum())


@dataclass
class Metrics:
    """Over the whole period, and in its buckets, oldest first; one without any request is there, too."""

    period: Period
    bucket: timedelta
    whole: Traffic
    buckets: Mapping[datetime, Traffic]
    serving_since: datetime | None
    """When it began to serve as it does; None where it does not."""


async def metrics(
    session: ReadSession, deployment: Deployment, period: Period, bucket: str | None = None, arm: Arm | None = None
) -> Metrics:
    """Of a deployment. The period begins with a whole bucket. Raises Invalid for buckets it cannot have."""
    moment = now()
    step = bucket_of(bucket, period, spans.TRAFFIC.finest(moment - period.since))
    period = spans.TRAFFIC.whole(period, moment, step)
    given = {
        **{"deployment": deployment.id, "arm": arm, "bucket": step.total_seconds()},
        **{"since": period.since, "until": period.until},
    }
    totals = (await session.execute(TOTALS, given)).all()
    latencies = (await session.execute(LATENCIES, given)).all()
    return Metrics(period, step, *_summed(_empty(period, step), totals, latencies), _serving_since(deployment))


def _empty(period: Period, step: timedelta) -> dict[datetime, Traffic]:
    count = -(-period.length // step)
    return {period.since + number * step: Traffic() for number in range(count)}


def _summed(
    buckets: dict[datetime, Traffic], totals: Sequence[Any], latencies: Sequence[Any]
) -> tuple[Traffic, dict[datetime, Traffic]]:
    whole = Traffic()
    for at, *counts in totals:
        buckets[at].add(*counts)
        whole.add(*counts)
    for at, bin_, count in latencies:
        buckets[at].latencies[bin_] += count
        whole.latencies[bin_] += count
    return whole, buckets


def _serving_since(deployment: Deployment) -> datetime | None:
    return deployment.deployed_at if deployment.status is DeploymentStatus.active else None
