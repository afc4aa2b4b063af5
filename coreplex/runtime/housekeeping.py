"""Removes files of this host whose time is over. Rows go by a job of the clock (`retention`)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlmodel import col

from coreplex.batch import work
from coreplex.errors.disk import shortage
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.job.work_folder import sweep_folders
from coreplex.platform.clock import now
from coreplex.platform.services import Services
from coreplex.serving.log import rejected
from coreplex.serving.log.spool import spool_in

log = structlog.get_logger(__name__)

EVERY_SECS = 300.0


async def run(services: Services) -> None:
    """Tidy for ever; survives a database or a disk that fails. Web and worker processes do it, each for its own host."""
    while True:
        try:
            await tidy(services)
        except Exception as error:
            log.warning("housekeeping.missed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(EVERY_SECS)


async def tidy(services: Services) -> None:
    """One round. What fails keeps the rest from nothing; the first error is raised at the end."""
    if short := await asyncio.to_thread(shortage, services.settings.data_dir):
        log.error("housekeeping.storage", problem=short)
    gone, failed = dict[str, int](), None
    for name, sweep in _sweeps(services).items():
        try:
            gone[name] = await asyncio.to_thread(sweep)
        except Exception as error:
            log.exception("housekeeping.failed", what=name)
            failed = failed or error
    gone["work_folders"] = await asyncio.to_thread(sweep_folders, services.settings.data_dir, await _running(services))
    if any(gone.values()):
        log.info("housekeeping.files", **gone)
    if failed is not None:
        raise failed


def _sweeps(services: Services) -> dict[str, Callable[[], int]]:
    """What is removed by its age alone."""
    settings = services.settings
    days = settings.inference_log_days
    horizon = now() - timedelta(days=days) if days else None
    return {
        "staged": services.staging.sweep,
        "uploads": services.resumable.sweep,
        "batches": partial(work.sweep, settings.data_dir),
        "set_aside": partial(rejected.sweep, rejected.folder_in(spool_in(settings.data_dir)), horizon),
    }


async def _running(services: Services) -> set[UUID]:
    """Tokens of the attempts that run now: their folders are named after them."""
    async with services.database.read() as session:
        query = select(col(Job.token)).where(col(Job.status) == JobStatus.running)
        return {token for token in (await session.scalars(query)).all() if token is not None}
