"""Inserts lines of the inference log in batches; those that the database refuses are rejected one by one, the others go on."""

import asyncio
from collections import Counter
from uuid import UUID

from sqlalchemy import text

from coreplex.deployment.table import RolloutKind, RolloutStatus
from coreplex.errors.tree import Unavailable
from coreplex.monitoring import tally
from coreplex.monitoring.counters import Counters
from coreplex.platform.database import Database, is_refused, is_too_much
from coreplex.serving.log.json_lines import NUL, shortened, without_nul
from coreplex.serving.log.partitions import week_in_sql
from coreplex.serving.log.rejected import RejectedEntries

TRIES = 5
"""How often a single row may take too much time or memory before that counts as refused."""

# Records of deployments deleted meanwhile are left out; a record that came before is left alone; counters grow by what is new.
# The error of a record that an older server has spooled is a text. `counted` runs after what is selected last, so rollouts are
# locked before deployments, as everybody does who changes both. Tallies are of all that was sent: they are added where all of it
# is new, else the ids that are come back. What an A/B test has found is found at its end: rows that are logged later are no more
# of it than their units are.
WEEK = week_in_sql("r.created_at", "r.log_days")
STORE = text(
    f"""
    WITH sent AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS r(
            id uuid, deployment_id uuid, model_id uuid, request_id text, row_index int, inputs jsonb, output jsonb,
            error jsonb, latency_ms float8, created_at timestamptz, log_days int, arm text, rollout_id uuid, first bool,
            agreed bool, difference float8, unit int8)
    ), fresh AS (
        INSERT INTO inference_logs
            (id, project_id, deployment_id, model_id, request_id, row_index, inputs, output, error, latency_ms, created_at, arm,
             unit, retention_week)
        SELECT r.id, d.project_id, d.id, m.id, r.request_id, r.row_index, r.inputs, r.output, CASE jsonb_typeof(r.error)
            WHEN 'string' THEN jsonb_build_object('message', r.error, 'reason', 'as_it_was_said', 'parameters', '{{}}'::jsonb)
            ELSE r.error END, r.latency_ms, r.created_at, r.arm, r.unit,
            {WEEK}
        FROM sent r
        JOIN deployments d ON d.id = r.deployment_id
        JOIN models m ON m.id = r.model_id
        ON CONFLICT (id, retention_week) DO NOTHING
        RETURNING id
    ), new AS (
        SELECT sent.*, (row_index = 0 OR coalesce(first, false)) AS opens FROM sent JOIN fresh USING (id)
    ), tests AS MATERIALIZED (
        SELECT id FROM rollouts WHERE status = 'running' AND id IN (SELECT rollout_id FROM sent WHERE unit IS NOT NULL)
        ORDER BY id FOR NO KEY UPDATE
    ), units AS (
        INSERT INTO rollout_units (rollout_id, unit, outcomes, loss)
        SELECT DISTINCT rollout_id, unit, 0, 0.0 FROM new JOIN tests ON tests.id = new.rollout_id WHERE unit IS NOT NULL
        ON CONFLICT DO NOTHING
        RETURNING rollout_id, unit
    ), counted AS (
        UPDATE deployments d
        SET request_count = d.request_count + c.requests, error_count = d.error_count + c.errors
        FROM (
            SELECT deployment_id, count(*) FILTER (WHERE opens) AS requests,
                   count(*) FILTER (WHERE opens AND error IS NOT NULL) AS errors
            FROM new WHERE arm IS DISTINCT FROM 'shadow' GROUP BY deployment_id
        ) c
        WHERE c.deployment_id = d.id
    ), whole AS (
        SELECT (SELECT count(*) FROM fresh) = (SELECT count(*) FROM sent) AS all_new
    ), tallies AS (
        {tally.TALLIES} AND (SELECT all_new FROM whole)
    ), traffic AS (
        {tally.TRAFFIC}
    ), bins AS (
        {tally.BINS}
    ), grown AS (
        UPDATE rollouts o SET
            baseline_requests = o.baseline_requests + c.baseline_requests,
            baseline_errors = o.baseline_errors + c.baseline_errors,
            baseline_rows = o.baseline_rows + c.baseline_rows, candidate_requests = o.candidate_requests + c.candidate_requests,
            candidate_errors = o.candidate_errors + c.candidate_errors, candidate_rows = o.candidate_rows + c.candidate_rows,
            compared_rows = o.compared_rows + c.compared_rows, agreed_rows = o.agreed_rows + c.agreed_rows,
            difference_sum = o.difference_sum + c.difference_sum,
            baseline_units = o.baseline_units + coalesce(u.baseline, 0),
            candidate_units = o.candidate_units + coalesce(u.candidate, 0)
        FROM (
            SELECT rollout_id,
                count(*) FILTER (WHERE opens AND arm = 'baseline') AS baseline_requests,
                count(*) FILTER (WHERE opens AND arm = 'baseline' AND error IS NOT NULL) AS baseline_errors,
                count(*) FILTER (WHERE arm = 'baseline') AS baseline_rows,
                count(*) FILTER (WHERE opens AND arm <> 'baseline') AS candidate_requests,
                count(*) FILTER (WHERE opens AND arm <> 'baseline' AND error IS NOT NULL) AS candidate_errors,
                count(*) FILTER (WHERE arm <> 'baseline') AS candidate_rows,
                count(agreed) AS compared_rows, count(*) FILTER (WHERE agreed) AS agreed_rows,
                coalesce(sum(difference), 0) AS difference_sum
            FROM new WHERE rollout_id IS NOT NULL GROUP BY rollout_id
        ) c LEFT JOIN (
            SELECT rollout_id, count(*) FILTER (WHERE arm = 'baseline') AS baseline,
                count(*) FILTER (WHERE arm = 'candidate') AS candidate
            FROM units JOIN (SELECT DISTINCT rollout_id, unit, arm FROM new) n USING (rollout_id, unit) GROUP BY rollout_id
        ) u USING (rollout_id)
        WHERE o.id = c.rollout_id AND (o.kind <> 'ab_test' OR o.status = 'running')
        RETURNING o.id, o.kind, o.status
    )
    SELECT id, kind, status, NULL AS fresh FROM grown
    UNION ALL SELECT NULL, NULL, NULL, ARRAY(SELECT id::text FROM fresh) FROM whole WHERE NOT all_new
    """  # noqa: S608 of our own
)
ADD_TALLIES = text(f"WITH tallies AS ({tally.TALLIES}), traffic AS ({tally.TRAFFIC}) {tally.BINS}")


class BatchStore:
    """Inserts batches, and halves those that are refused for their content, down to the row.

    A refused row is set aside whole, and stored with a note in the place of its values. Errors that say nothing of the content
    (the database is away, full, being migrated) are raised: the batch is to come again, and each row's id makes it one.
    """

    def __init__(self, database: Database, rejected: RejectedEntries) -> None:
        self._database, self._rejected, self._counters = database, rejected, Counters(database)
        self.canaries: set[UUID] = set()
        """Running ones whose counts have grown: somebody must look whether they go on."""
        self._tries: Counter[bytes] = Counter()

    async def store(self, batch: bytes) -> None:
        """Afterwards each line of the batch is stored or set aside."""
        if b"\\" in batch and NUL in batch:  # a single byte is found much sooner
            batch = await asyncio.to_thread(_without_nul, batch)
        await self._store(batch)
        self._tries.clear()

    async def _store(self, lines: bytes) -> None:
        if not lines.strip():
            return
        try:
            await self._insert(lines)
        except Exception as error:
            cause = error.__cause__ if isinstance(error, Unavailable) and error.__cause__ else error
            if not (is_refused(cause) or self._too_much(cause, lines)):
                raise
            if middle := _middle(lines):
                await self._store(lines[:middle])
                await self._store(lines[middle:])
            else:
                await self._without_values(lines.strip(), _reason(cause))

    async def _insert(self, lines: bytes) -> None:
        records = b"[%b]" % lines.strip().replace(b"\n", b",")
        given = {"records": records.decode(errors="replace"), "tallies": await self._counters.tallies(lines)}
        async with self._database.transaction() as session:
            found = (await session.execute(STORE, given)).all()
            for part in found:
                if part.fresh:  # some were there already, or their deployment is gone
                    await session.execute(ADD_TALLIES, {"tallies": await self._counters.tallies(lines, set(part.fresh))})
        self.canaries.update(one.id for one in found if (one.kind, one.status) == (RolloutKind.canary, RolloutStatus.running))

    def _too_much(self, error: BaseException, lines: bytes) -> bool:
        if not is_too_much(error) or _middle(lines):
            return is_too_much(error)
        self._tries[lines] += 1
        return self._tries[lines] >= TRIES

    async def _without_values(self, line: bytes, reason: str) -> None:
        await self._rejected.keep(line, reason)
        short = shortened(line, reason)
        if short is None:
            return
        try:
            await self._insert(short)
        except Exception as error:
            if not is_refused(error):
                raise


def _reason(error: BaseException) -> str:
    """What the database says, without its details: they hold the row's values."""
    return str(getattr(error, "orig", error)).partition("\n")[0][:300]


def _middle(lines: bytes) -> int:
    """Where the line begins with which the second half does; 0 where there is one line alone."""
    half = len(lines) // 2
    behind = lines.find(b"\n", half, len(lines) - 1)
    return (behind if behind >= 0 else lines.rfind(b"\n", 0, half)) + 1


def _without_nul(lines: bytes) -> bytes:
    return b"\n".join(map(without_nul, lines.split(b"\n")))
