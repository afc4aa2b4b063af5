"""Brings the inference log home: from the spool into the database, in batches, each record exactly once."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import text

from coreplex.clock import now
from coreplex.database import Database
from coreplex.identifier import new_id
from coreplex.monitoring.spool import Spool, orphans

log = structlog.get_logger()
FLUSH_SECS = 0.25
ORPHANS_EVERY_SECS = 10.0
RETRY_SECS = 2.0
INLINE_ROWS = 64

# Records of deployments deleted meanwhile are left out; a record that came before is left alone; counters grow by what is new.
STORE = text(
    """
    WITH fresh AS (
        INSERT INTO inference_logs
            (id, project_id, deployment_id, model_id, request_id, row_index, inputs, output, error, latency_ms, created_at)
        SELECT r.id, d.project_id, d.id, m.id, r.request_id, r.row_index, r.inputs, r.output, r.error, r.latency_ms, r.created_at
        FROM jsonb_to_recordset(CAST(:records AS jsonb)) AS r(
            id uuid, deployment_id uuid, model_id uuid, request_id text, row_index int, inputs jsonb, output jsonb,
            error text, latency_ms float8, created_at timestamptz)
        JOIN deployments d ON d.id = r.deployment_id
        JOIN models m ON m.id = r.model_id
        ON CONFLICT (id) DO NOTHING
        RETURNING deployment_id, error, row_index
    ), counted AS (
        SELECT deployment_id, count(*) FILTER (WHERE row_index = 0) AS requests,
               count(*) FILTER (WHERE row_index = 0 AND error IS NOT NULL) AS errors
        FROM fresh GROUP BY deployment_id
    )
    UPDATE deployments d
    SET request_count = d.request_count + c.requests, error_count = d.error_count + c.errors
    FROM counted c WHERE c.deployment_id = d.id
    """
)


def _lines(common: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any] | None]) -> bytes:
    return b"".join(
        orjson.dumps(
            {**common, "id": new_id(), "row_index": index, "inputs": row, "output": output},
            option=orjson.OPT_APPEND_NEWLINE,
            default=str,
        )
        for index, (row, output) in enumerate(zip(rows, outputs, strict=True))
    )


class InferenceWriter:
    """The process's inference log."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._spool = Spool(folder)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Bring home what is there, then close; what the database did not take stays on disk for the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        try:
            await self.flush()
        except Exception as error:
            log.warning("inference_log_left_on_disk", error=repr(error))
        self._spool.close()

    async def record(
        self,
        *,
        deployment_id: UUID,
        model_id: UUID,
        request_id: str,
        rows: Sequence[Mapping[str, Any]],
        outputs: Sequence[Mapping[str, Any] | None],
        latency_ms: float,
        error: str | None = None,
    ) -> None:
        """Write one entry per row. Returns as soon as the operating system has them; many rows are spelled in a thread."""
        common = {
            "deployment_id": deployment_id,
            "model_id": model_id,
            "request_id": request_id,
            "latency_ms": latency_ms,
            "error": error,
            "created_at": now(),
        }
        few = len(rows) <= INLINE_ROWS
        lines = _lines(common, rows, outputs) if few else await asyncio.to_thread(_lines, common, rows, outputs)
        try:
            self._spool.append(lines)
        except OSError as problem:
            log.error("inference_log_lost", error=repr(problem), rows=len(rows), deployment_id=str(deployment_id))

    async def flush(self) -> None:
        """Store everything written so far; what comes meanwhile waits for the next time, so that batches stay large."""
        spool, end = self._spool, self._spool.written
        while spool.done < end and (batch := spool.pending()):
            await self._store(batch)
            spool.stored(len(batch))

    async def adopt(self) -> int:
        """Bring home what dead processes left; returns how many files."""
        count = 0
        for orphan in orphans(self._folder):
            with orphan:
                for batch in orphan.batches():
                    await self._store(batch)
                orphan.remove()
            count += 1
        return count

    async def _store(self, lines: bytes) -> None:
        records = b"[" + b",".join(lines.splitlines()) + b"]"
        # PostgreSQL's text knows no NUL; JSON may carry one.
        clean = records.replace(rb"\u0000", b"")
        async with self._database.transaction() as session:
            await session.execute(STORE, {"records": clean.decode()})

    async def _run(self) -> None:
        next_adoption = 0.0
        loop = asyncio.get_running_loop()
        while True:
            pause = FLUSH_SECS
            try:
                await self.flush()
                if loop.time() >= next_adoption:
                    await self.adopt()
                    next_adoption = loop.time() + ORPHANS_EVERY_SECS
            except Exception as error:
                log.warning("inference_log_waits", error=repr(error))
                pause = RETRY_SECS
            await asyncio.sleep(pause)
