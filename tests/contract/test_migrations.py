"""Migrations and tables say the same, and a database with rows survives the way up and down."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, PrimaryKeyConstraint, UniqueConstraint, text
from sqlalchemy.ext.asyncio import create_async_engine

from coreplex.migrations.migrate import alembic_config, migrate
from coreplex.monitoring.totals import totals
from coreplex.platform.clock import now
from coreplex.platform.database import Database, async_url
from coreplex.runtime.tables import metadata
from coreplex.serving.log.partitions import week_of
from tests.factories.bare import bare

REFERENCES = ("project_id", "deployment_id", "model_id")


def _differences(connection: Connection) -> list[Any]:
    def ours(_object: Any, name: str | None, _kind: str, _reflected: bool, _compared: Any) -> bool:
        return not (name or "").startswith("inference_logs_")  # partitions

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": ours})
    return compare_metadata(context, metadata)


async def test_the_tables_are_what_the_migrations_make(empty_database_url: str) -> None:
    await migrate(empty_database_url)
    engine = create_async_engine(async_url(empty_database_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(_differences) == []
    finally:
        await engine.dispose()


async def test_a_log_with_rows_is_taken_along_both_ways(empty_database_url: str) -> None:
    """The rows of a busy server, of a clock that was wrong, and of a long time ago."""
    await migrate(empty_database_url)
    await to(empty_database_url, "0005")
    database, identity = Database(empty_database_url), UUID(int=1)
    try:
        for table in ("projects", "models", "deployments"):
            await bare(database, table, identity)
        moments = [now() + days * timedelta(days=1) for days in (-4000, -100, 0, 6, 40_000)]
        for number, moment in enumerate(moments):
            await bare(database, "inference_logs", UUID(int=number + 1), **dict.fromkeys(REFERENCES, identity), created_at=moment)
        before = await rows(database)
        for revision in ("0006", "0005", "head"):
            await to(empty_database_url, revision)
            assert await rows(database) == before, revision
        await bare(database, "inference_logs", UUID(int=9), **dict.fromkeys(REFERENCES, identity), retention_week=-9)
        before = await rows(database)
        assert len(before) == 6
        for revision in ("-1", "head"):
            await to(empty_database_url, revision)
            assert await rows(database) == before, revision
    finally:
        await database.close()


async def test_a_log_of_weeks_is_not_written_again(empty_database_url: str) -> None:
    """Its files stay, however long it is, and its rows are in the week of their partition."""
    await to(empty_database_url, "0019")
    database, identity = Database(empty_database_url), UUID(int=1)
    try:
        await bare(database, "inference_logs", identity, **dict.fromkeys(REFERENCES, identity), created_at=now())
        before = await _file_of(database, identity)
        await to(empty_database_url, "head")
        assert await _file_of(database, identity) == before
        async with database.read() as session:
            assert await session.scalar(text("SELECT retention_week FROM inference_logs")) == week_of(now())
    finally:
        await database.close()


async def _file_of(database: Database, identity: UUID) -> Any:
    async with database.read() as session:
        query = text("SELECT pg_relation_filenode(tableoid) FROM inference_logs WHERE id = :id")
        return await session.scalar(query, {"id": identity})


async def test_deployments_promise_no_more_than_they_do(empty_database_url: str) -> None:
    await to(empty_database_url, "0010")
    database, identity = Database(empty_database_url), UUID(int=1)
    promised = {"privacy_anonymize_logs": True, "privacy_threshold": 0.5, "traffic_percent": 40, "strategy": "canary"}
    try:
        for table in ("projects", "models"):
            await bare(database, table, identity)
        await bare(database, "deployments", identity, **promised)
        await to(empty_database_url, "head")
        async with database.read() as session:
            found = (await session.execute(text(f"SELECT {', '.join(promised)}, privacy_column_map FROM deployments"))).one()
        assert tuple(found) == (False, None, 100, "direct", {})
    finally:
        await database.close()


OLD = ["config has no option 'folds', which is ignored.", "The table could not be looked at within seconds. And more."]


ERRORS = (None, "cancelled", "The table is {odd}: 'twice'.")
FAILED = ("jobs", "experiments", "engine_runs", "inference_logs")


async def test_what_was_counted_is_in_the_totals(empty_database_url: str) -> None:
    """As if it had been added to them: what is not joined yet comes later."""
    await to(empty_database_url, "0028")
    database, ids = Database(empty_database_url), [UUID(int=number) for number in range(1, 6)]
    counts = {"requests": 3, "rows": 5, "latency_bins": [0, 349, 900], "latency_counts": [1, 1, 1]}
    try:
        for identity, span in zip(ids[:4], (0, 60, 3600, 86400), strict=True):
            await bare(database, "traffic_counts", identity, deployment_id=ids[0], span_secs=span, **counts)
        await bare(database, "traffic_counts", ids[4], deployment_id=ids[1], span_secs=60, arm="candidate", requests=1)
        await bare(database, "deployments", ids[0])
        await bare(database, "deployments", ids[1])
        await to(empty_database_url, "0029")
        async with database.read() as session:
            found = {asked.deployment_id: asked for asked in (await totals(session)).asked}
        whole, other = found[ids[0]], found[ids[1]]
        assert (whole.requests, whole.rows, list(whole.within)) == (12, 20, [8] * 12 + [12])
        assert (other.arm, other.requests, list(other.within)) == ("candidate", 1, [0] * 13)
        assert whole.latency_secs == pytest.approx(4 * (1e-6 + 1e-3 + 54.7), rel=0.02)
    finally:
        await database.close()


async def test_what_was_said_stays_said(empty_database_url: str) -> None:
    """Warnings and errors that were stored as sentences keep them, in their place; what is known by its word gets that."""
    await to(empty_database_url, "0013")
    database = Database(empty_database_url)
    try:
        for number, said in enumerate(([], OLD)):
            await bare(database, "experiments", UUID(int=number + 1))
            await _say(database, UUID(int=number + 1), said)
        for table in FAILED:
            for number, said in enumerate(ERRORS):
                await bare(database, table, UUID(int=number + 8), error=said)
        for number in range(len(ERRORS)):
            await _say(database, UUID(int=number + 8), [])
        await to(empty_database_url, "0014")
        assert await _said(database, UUID(int=1)) == []
        assert await _said(database, UUID(int=2)) == [
            {"message": OLD[0], "reason": "as_it_was_said", "parameters": {}},
            {"message": OLD[1], "reason": "diagnosis_pending", "parameters": {}},
        ]
        for table in FAILED:
            told = [await _said(database, UUID(int=number + 8), table, "error") for number in range(3)]
            assert [one and one["message"] for one in told] == list(ERRORS), table
            assert [one and (one["reason"], one["parameters"]) for one in told] == [
                None,
                ("job_cancelled", {}),
                ("as_it_was_said", {}),
            ]
        await to(empty_database_url, "-1")
        assert [await _said(database, UUID(int=number)) for number in (1, 2)] == [[], OLD]
        for table in FAILED:
            said = [await _said(database, UUID(int=number + 8), table, "error") for number in range(3)]
            assert tuple(said) == ERRORS, table
    finally:
        await database.close()


async def _say(database: Database, identity: UUID, warnings: list[str]) -> None:
    async with database.transaction() as session:
        said = {"id": identity, "warnings": orjson.dumps(warnings).decode()}
        await session.execute(text("UPDATE experiments SET warnings = CAST(:warnings AS jsonb) WHERE id = :id"), said)


async def _said(database: Database, identity: UUID, table: str = "experiments", column: str = "warnings") -> Any:
    """As JSON: a statement whose columns change their type would be known no more."""
    async with database.read() as session:
        told = text(f"SELECT to_jsonb({column}) FROM {table} WHERE id = :id")
        return await session.scalar(told, {"id": identity})


async def to(url: str, revision: str) -> None:
    change = command.downgrade if revision in {"0005", "-1"} else command.upgrade
    engine = create_async_engine(async_url(url))
    try:
        async with engine.connect() as connection:
            await connection.run_sync(lambda sync: change(alembic_config(sync), revision))
            await connection.commit()
    finally:
        await engine.dispose()


async def rows(database: Database) -> list[Any]:
    async with database.read() as session:
        columns = "id, project_id, deployment_id, model_id, request_id, inputs, output, latency_ms, created_at"
        return list(await session.execute(text(f"SELECT {columns} FROM inference_logs ORDER BY id")))


def test_every_reference_has_an_index() -> None:
    """Or each deleted row costs a look at every row of the table: a project of 3,000 models took longer than a statement may."""
    for table in metadata.tables.values():
        keys = [*table.indexes, *(one for one in table.constraints if isinstance(one, UniqueConstraint | PrimaryKeyConstraint))]
        begin = {next(iter(key.columns)).name for key in keys if len(key.columns)}
        assert {reference.parent.name for reference in table.foreign_keys} <= begin, table.name
