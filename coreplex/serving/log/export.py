"""Writes a part of an inference log as a Parquet file to download."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
from sqlalchemy import Select, Text, cast, func, select
from sqlmodel import col

from coreplex.artifact.made_files import label
from coreplex.deployment.table import Arm, Deployment
from coreplex.errors.tree import Invalid, Message
from coreplex.platform.client_disconnect import while_connected
from coreplex.platform.columns import sentence
from coreplex.platform.document import read_together, storable
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile
from coreplex.platform.storage import gone_on_failure, sha256_of
from coreplex.serving.log.listing import Key, among, stored_sizes
from coreplex.serving.table import InferenceLog

MAX_ROWS = 1_000_000
PAGE_ROWS = 5_000
PARQUET = "application/vnd.apache.parquet"
COLUMNS: dict[str, Any] = {
    "id": pl.String,
    "created_at": pl.Datetime("us", "UTC"),
    "request_id": pl.String,
    "row_index": pl.Int32,
    "deployment_id": pl.String,
    "model_id": pl.String,
    "arm": pl.String,
    "latency_ms": pl.Float64,
    "error": pl.String,
    "inputs": pl.String,
    "output": pl.String,
    "outcome": pl.String,
    "outcome_at": pl.Datetime("us", "UTC"),
    "worth": pl.String,
}
"""Of the file; `inputs`, `output`, `outcome` and `worth` are JSON, as models of different columns have been asked."""
_log = InferenceLog


async def offer(
    services: Services,
    grant: Grant,
    deployment: Deployment,
    *,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
    request_id: str | None = None,
    arm: Arm | None = None,
    failed: bool | None = None,
) -> StagedFile:
    """The entries of a deployment between two moments, or those of a request, oldest first, to be fetched within the hour.

    Raises Invalid for more than a million, QuotaExceeded, CallerLeft when the client hangs up meanwhile.
    """
    conditions = [col(_log.deployment_id) == deployment.id]
    if created_from is not None:
        conditions.append(col(_log.created_at) >= created_from)
    if created_before is not None:
        conditions.append(col(_log.created_at) < created_before)
    if request_id is not None:
        conditions.append(func.lower(col(_log.request_id)) == storable(request_id).lower())
    if arm is not None:
        conditions.append(col(_log.arm) == arm)
    if failed is not None:
        conditions.append(col(_log.error).is_not(None) if failed else col(_log.error).is_(None))
    wanted = select(col(_log.id), col(_log.retention_week), col(_log.created_at)).where(*conditions)
    path = services.staging.new_path()
    with gone_on_failure(path):
        await while_connected(_written(services, wanted, path))
        await asyncio.to_thread(services.staging.charge, path, grant.user_id)
        offered = await asyncio.to_thread(
            services.staging.offer_copy,
            path,
            owner_id=grant.user_id,
            filename=f"{label(deployment.name, 'deployment')}_log.parquet",
            content_type=PARQUET,
            sha256=await asyncio.to_thread(sha256_of, path),
        )
    await asyncio.to_thread(path.unlink, missing_ok=True)
    return offered


async def _written(services: Services, wanted: Any, path: Path) -> None:
    await _require_few(services, wanted)
    with services.staging.scratch() as folder:
        parts = await _parts(services, wanted, lambda number: folder / f"{number:08d}.parquet")
        await asyncio.to_thread(_joined, parts, path)


async def _require_few(services: Services, wanted: Any) -> None:
    async with services.database.read() as session:
        rows = await session.scalar(select(func.count()).select_from(wanted.limit(MAX_ROWS + 1).subquery()))
    if rows and rows > MAX_ROWS:
        raise Invalid.field(
            Message("log_too_long", "covers more than {most:,} entries; ask for a shorter time", most=MAX_ROWS), "created_from"
        )


async def _parts(services: Services, wanted: Any, place: Callable[[int], Path]) -> list[Path]:
    """One small file for each few rows, so that no more of the log is in memory."""
    parts: list[Path] = []
    order = (col(_log.created_at), col(_log.id))
    last: tuple[datetime, UUID] | None = None
    while True:
        page = wanted.order_by(*order).limit(PAGE_ROWS)
        if last is not None:
            page = page.where(col(_log.created_at) >= last[0], func.row(*order) > func.row(*last))
        async with services.database.read() as session:
            found = (await session.execute(page)).all()
            keys: list[Key] = [(identity, week) for identity, week, _ in found]
            for few in read_together(await stored_sizes(session, keys)) if keys else ():
                parts.append(place(len(parts)))
                await asyncio.to_thread(_write, (await session.execute(_read(few).order_by(*order))).all(), parts[-1])
        if len(keys) < PAGE_ROWS:
            return parts
        last = found[-1].created_at, found[-1].id


def _read(keys: Sequence[Key]) -> Select[Any]:
    special = {
        "error": sentence(col(_log.error)),
        **{
            name: cast(getattr(_log, name), Text)
            for name in ("inputs", "output", "outcome", "worth", "id", "deployment_id", "model_id", "arm")
        },
    }
    return select(*(special.get(name, getattr(_log, name)).label(name) for name in COLUMNS)).where(among(keys))


def _write(rows: Sequence[Any], path: Path) -> None:
    pl.DataFrame([tuple(row) for row in rows], schema=COLUMNS, orient="row").write_parquet(path)


def _joined(parts: Sequence[Path], path: Path) -> None:
    if parts:
        pl.scan_parquet(list(parts)).sink_parquet(path, compression="zstd")
    else:
        pl.DataFrame(schema=COLUMNS).write_parquet(path)
