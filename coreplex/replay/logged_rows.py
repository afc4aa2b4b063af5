"""Reads the rows of a deployment's log that are to be answered again into a file, page by page."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from math import sqrt
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Text, cast, func, select
from sqlmodel import col

from coreplex.deployment.table import Arm, Deployment
from coreplex.errors.tree import Invalid, Message
from coreplex.platform.database import Database
from coreplex.platform.document import read_together
from coreplex.replay.table import Replay
from coreplex.serving.arms import keys_of
from coreplex.serving.log.listing import Key, among, stored_sizes
from coreplex.serving.table import InferenceLog

PAGE_ROWS = 1_000
MOST_BYTES = 4 << 30
"""Of the file."""
COUNTED_AT_ONCE = timedelta(hours=6)
_log = InferenceLog
_COLUMNS = (_log.request_id, _log.row_index, _log.inputs, _log.output, _log.outcome, _log.unit)


def _wanted(replay: Replay, since: datetime, until: datetime) -> list[ColumnElement[bool]]:
    """Rows that were answered by the model that serves there now; what a shadow says nobody was told."""
    present = select(col(Deployment.model_id)).where(col(Deployment.id) == replay.deployment_id).scalar_subquery()
    conditions = [
        col(_log.deployment_id) == replay.deployment_id,
        col(_log.model_id) == present,
        col(_log.created_at) >= since,
        col(_log.created_at) < until,
        col(_log.error).is_(None),
        col(_log.output).is_not(None),
        col(_log.arm).is_distinct_from(Arm.shadow),
    ]
    return conditions if replay.arm is None else [*conditions, col(_log.arm) == replay.arm]


async def count(database: Database, replay: Replay) -> int:
    """How many rows there are; in pieces, for a statement has its time."""
    rows, at = 0, replay.since
    async with database.read() as session:
        oldest = await session.scalar(
            select(func.min(col(_log.created_at))).where(
                col(_log.deployment_id) == replay.deployment_id, col(_log.created_at) >= replay.since
            )
        )
    at = max(at, oldest) if oldest is not None else replay.until
    while at < replay.until:
        end = min(at + COUNTED_AT_ONCE, replay.until)
        async with database.read() as session:
            rows += await session.scalar(select(func.count()).select_from(_log).where(*_wanted(replay, at, end))) or 0
        at = end
    return rows


def sampled(rows: int, most: int) -> list[ColumnElement[bool]]:
    """What chooses a uniform sample of at most so many rows, always the same one: by a hash of their ids. None where all are."""
    if rows <= most:
        return []
    share = max(most - 4 * sqrt(most), 0.0) / rows
    return [func.hashtextextended(cast(col(_log.id), Text), 0) < int(share * (1 << 64)) - (1 << 63)]


async def write(database: Database, replay: Replay, chosen: Sequence[ColumnElement[bool]], path: Path, early: datetime) -> int:
    """Write the rows, oldest first, a JSON list each (`coreplex.engines.replay.pairs.Logged`); returns how many. Those before
    `early` are marked. Raises Invalid for too large a file."""
    rows = 0
    with path.open("wb") as file:
        async for page in _pages(database, replay, chosen):
            few = page[: replay.max_row_count - rows]
            await asyncio.to_thread(_append, file, few, early)
            rows += len(few)
            if file.tell() > MOST_BYTES:
                raise Invalid(
                    Message(
                        "replay_too_large",
                        "The first {rows:,} rows have {gigabytes} GB as JSON; ask for fewer: `max_row_count`, or a shorter time.",
                        rows=rows,
                        gigabytes=MOST_BYTES >> 30,
                    )
                )
    return rows


async def _pages(database: Database, replay: Replay, chosen: Sequence[ColumnElement[bool]]) -> AsyncIterator[list[Any]]:
    order = (col(_log.created_at), col(_log.id))
    conditions = [*_wanted(replay, replay.since, replay.until), *chosen]
    last: tuple[datetime, UUID] | None = None
    while True:
        page = select(col(_log.id), col(_log.retention_week), col(_log.created_at)).where(*conditions)
        if last is not None:
            page = page.where(col(_log.created_at) >= last[0], func.row(*order) > func.row(*last))
        async with database.read() as session:
            found = (await session.execute(page.order_by(*order).limit(PAGE_ROWS))).all()
            keys: list[Key] = [(identity, week) for identity, week, _ in found]
            for few in read_together(await stored_sizes(session, keys)) if keys else ():
                read = select(*_COLUMNS, col(_log.created_at)).where(among(few)).order_by(*order)  # type: ignore[call-overload]
                yield list((await session.execute(read)).all())
        if len(keys) < PAGE_ROWS:
            return
        last = found[-1].created_at, found[-1].id


def _append(file: Any, rows: Sequence[Any], early: datetime) -> None:
    for row in rows:
        output = row.output or {}
        answer = [output.get("prediction"), output.get("probabilities")]
        line = [row.request_id, row.row_index, row.inputs, *answer, row.outcome, _unit(row), row.created_at < early]
        file.write(orjson.dumps(line) + b"\n")


def _unit(row: Any) -> str:
    """Rows of a key in an A/B test are alike, and so are those that were asked with the same values."""
    if row.unit is not None:
        return str(row.unit)
    return hashlib.blake2b(keys_of([row.inputs], None)[0], digest_size=12).hexdigest()
