"""Makes a version of a dataset that has more rows: what a deployment was asked, with what was true in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlmodel import col

from coreplex.dataset.ingest import from_outcomes
from coreplex.dataset.versions import NewVersion
from coreplex.platform.document import read_together
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.retraining.material import MOST_OUTCOMES, Material, with_outcome
from coreplex.serving.log.listing import Key, among, stored_sizes
from coreplex.serving.table import InferenceLog

PAGE_ROWS = 5_000
_ORDER = (col(InferenceLog.created_at), col(InferenceLog.id))
_TEXTS = (cast(col(InferenceLog.inputs), Text), cast(col(InferenceLog.outcome), Text))


@asynccontextmanager
async def appended(
    services: Services, grant: Grant, deployment_id: UUID, found: Material
) -> AsyncIterator[tuple[NewVersion, int]]:
    """The newest version with the deployment's outcomes below it, and how many; its rows are for the caller to insert."""
    path = services.staging.new_path()
    try:
        await _write(services, deployment_id, path)
        async with from_outcomes(services, grant, found.newest.id, path, found.experiment.target_column) as made:
            yield made
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _write(services: Services, deployment_id: UUID, path: Path) -> None:
    """Rows and outcomes as JSON lines, the newest first, a few at a time: a log may be longer than memory."""
    left, last = MOST_OUTCOMES, None
    while left > 0:
        lines, last = await _page(services, deployment_id, min(PAGE_ROWS, left), last)
        await asyncio.to_thread(_add, path, lines)
        left -= PAGE_ROWS
        if last is None:
            return


def _add(path: Path, lines: list[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)


async def _page(
    services: Services, deployment_id: UUID, rows: int, last: tuple[datetime, UUID] | None
) -> tuple[list[str], tuple[datetime, UUID] | None]:
    """Lines, and where the next page begins: None after the last one."""
    wanted = select(col(InferenceLog.id), col(InferenceLog.retention_week), col(InferenceLog.created_at))
    wanted = wanted.where(*with_outcome(deployment_id))
    if last is not None:
        wanted = wanted.where(col(InferenceLog.created_at) <= last[0], func.row(*_ORDER) < func.row(*last))
    lines: list[str] = []
    async with services.database.read() as session:
        found: Any = (await session.execute(wanted.order_by(*(one.desc() for one in _ORDER)).limit(rows))).all()
        keys: list[Key] = [(identity, week) for identity, week, _ in found]
        for few in read_together(await stored_sizes(session, keys)) if keys else ():
            texts = await session.execute(select(*_TEXTS).where(among(few)).order_by(*(one.desc() for one in _ORDER)))
            lines += [f'{{"inputs":{inputs},"outcome":{outcome}}}\n' for inputs, outcome in texts if outcome is not None]
    return lines, (found[-1].created_at, found[-1].id) if len(keys) == rows else None
