"""In what spans of time counts are kept, by their age: what is stored with the log is joined to minutes, these to hours and days.

One statement joins rows, so that every state of the database has either those or what was made of them, and sums stay the same.
What was stored with the log is added to the totals of its deployment by it, too.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import TextClause, text

from coreplex.monitoring import totals
from coreplex.monitoring.period import Period, floor
from coreplex.platform.database import Database

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STORED = timedelta(0)
"""The span of rows that were stored with the log: each is of a minute, in which there may be many."""
MOST_AT_ONCE = 5_000
"""Rows that one statement joins."""


@dataclass(frozen=True)
class Kept:
    """A table of counts: the age at which its minutes, and its hours, are joined."""

    table: str
    hours_from: timedelta
    days_from: timedelta
    key: str
    """Columns that are kept apart."""
    sums: str
    sparse: tuple[str, str]

    def finest(self, age: timedelta) -> timedelta:
        """The longest span in which counts of an age may be kept."""
        return DAY if age >= self.days_from else HOUR if age >= self.hours_from else MINUTE

    def whole(self, period: Period, moment: datetime, step: timedelta = MINUTE) -> Period:
        """The period with its begin moved back to a whole step, and both ends to whole spans of what is kept of that age."""
        since = floor(period.since, max(step, self.finest(moment - period.since)))
        finest = self.finest(moment - period.until)
        return Period(since, period.until if finest == MINUTE else floor(period.until, finest))

    def joining(self, beside: str = "") -> TextClause:
        """Joins rows of `:span` seconds that began before `:before` to rows of `:longer` ones; those that another process is
        joining are skipped. `beside`: what else is done with the `old` rows."""
        columns = f"{self.key}, {self.sums}, {self.sparse[0]}, {self.sparse[1]}"
        sums = ", ".join(f"sum({name}) AS {name}" for name in self.sums.split(", "))
        names = self.key.split(", ")
        same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in [*names, "at"])
        return text(
            f"""
            WITH old AS (
                DELETE FROM {self.table} WHERE id IN (
                    SELECT id FROM {self.table} WHERE span_secs = :span AND began_at < :before
                    ORDER BY began_at LIMIT {MOST_AT_ONCE} FOR UPDATE SKIP LOCKED
                ) RETURNING *, date_bin(make_interval(secs => :longer), began_at, 'epoch'::timestamptz) AS at
            ), a AS (
                SELECT {self.key}, at, {sums} FROM old GROUP BY {self.key}, at
            ), cells AS (
                SELECT {self.key}, at, bin, sum(count) AS count
                FROM old, unnest({self.sparse[0]}, {self.sparse[1]}) AS u(bin, count) GROUP BY {self.key}, at, bin
            ), b AS (
                SELECT {self.key}, at, array_agg(bin ORDER BY bin) AS bins, array_agg(count ORDER BY bin) AS counts
                FROM cells GROUP BY {self.key}, at
            ), made AS (
                INSERT INTO {self.table} (id, began_at, span_secs, {columns})
                SELECT gen_random_uuid(), a.at, :longer, {", ".join(f"a.{name}" for name in names)}, {self.sums},
                    coalesce(b.bins, '{{}}'), coalesce(b.counts, '{{}}')
                FROM a LEFT JOIN b ON {same}
            ){f", beside AS ({beside})" if beside else ""}
            SELECT count(*) FROM old
            """  # noqa: S608 names of our own
        )


TRAFFIC = Kept(
    "traffic_counts",
    timedelta(days=2),
    timedelta(days=35),
    "deployment_id, arm",
    "requests, errors, rows",
    ("latency_bins", "latency_counts"),
)
BINS = Kept(
    "bin_counts", timedelta(hours=2), timedelta(days=35), "deployment_id, model_id, arm, is_new", "rows", ("bins", "counts")
)


async def join(database: Database, moment: datetime) -> int:
    """Join what has grown old; returns how many rows were replaced."""
    total = 0
    for kept in (TRAFFIC, BINS):
        for span, longer, age in ((STORED, MINUTE, MINUTE), (MINUTE, HOUR, kept.hours_from), (HOUR, DAY, kept.days_from)):
            statement = kept.joining(totals.ADDED if kept is TRAFFIC and span == STORED else "")
            given = {"span": span.total_seconds(), "longer": longer.total_seconds(), "before": moment - age - longer}
            last = MOST_AT_ONCE
            while last == MOST_AT_ONCE:
                async with database.transaction() as session:
                    last = await session.scalar(statement, given) or 0
                total += last
    return total
