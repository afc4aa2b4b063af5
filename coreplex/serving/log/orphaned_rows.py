"""Deletes rows of the inference log that no dropped partition takes along: of deleted deployments, or of no week.

Nothing refers to them. They are found by each partition's index over deployments, which is walked from one deployment to the next
(a loose index scan), never by reading the log; they go in batches, a transaction each.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from coreplex.platform.database import Database
from coreplex.serving.log.partitions import LOG, week_of

BATCH = 1000
PARTITIONS = text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT' FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:log AS regclass) ORDER BY c.relname"
)
OVER = "CASE WHEN retention_week < 0 THEN -retention_week < {week} ELSE created_at < :horizon END"
DEPLOYMENTS = """
    WITH RECURSIVE found AS (
        (SELECT deployment_id FROM {table} ORDER BY deployment_id LIMIT 1)
        UNION ALL
        SELECT (
            SELECT l.deployment_id FROM {table} l WHERE l.deployment_id > found.deployment_id ORDER BY l.deployment_id LIMIT 1
        )
        FROM found WHERE found.deployment_id IS NOT NULL
    )
    SELECT deployment_id, EXISTS (SELECT 1 FROM deployments d WHERE d.id = deployment_id)
    FROM found WHERE deployment_id IS NOT NULL
"""


async def remove(database: Database, moment: datetime, horizon: datetime | None) -> int:
    """Remove the rows of deleted deployments, and those that are in no week and older than they are kept; returns how many.

    `horizon`: of those kept by the server's setting.
    """
    async with database.read() as session:
        partitions = (await session.execute(PARTITIONS, {"log": LOG})).all()
    count = 0
    over = OVER.format(week=week_of(moment))
    limits = {"horizon": horizon or datetime.min.replace(tzinfo=UTC)}
    for table, of_no_week in partitions:
        async with database.read() as session:
            deployments = (await session.execute(text(DEPLOYMENTS.format(table=table)))).all()
        for deployment, there in deployments:
            if not there:
                count += await _remove(database, table, deployment)
            elif of_no_week:
                count += await _remove(database, table, deployment, over, limits)
    return count


async def _remove(
    database: Database, table: str, deployment: UUID, which: str = "true", values: Mapping[str, Any] | None = None
) -> int:
    """Remove one deployment's rows of a partition, all or some."""
    some = f"SELECT ctid FROM {table} WHERE deployment_id = :deployment AND {which} LIMIT {BATCH}"  # noqa: S608 of our own
    statement = text(f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({some}))")  # noqa: S608 names of our own
    given = {"deployment": deployment, **(values or {})}
    total, last = 0, BATCH
    while last == BATCH:
        async with database.transaction() as session:
            last = (await session.execute(statement, given)).rowcount  # type: ignore[attr-defined]
        total += last
    return total
