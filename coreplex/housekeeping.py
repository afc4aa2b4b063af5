"""What is done by the clock: credentials that have ended, answers kept for retries and files nobody came for are thrown away,
mails that were written before there was a mail server get their job.
"""

import asyncio
import shutil
import time
from pathlib import Path

import structlog
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.account import mail
from coreplex.database import WriteSession
from coreplex.job.table import Job, JobStatus
from coreplex.services import Services

log = structlog.get_logger(__name__)

EVERY_SECS = 300.0
LOCK = 0x686F757365  # "house"
YOUNG_SECS = 600.0
"""A training folder this young may belong to a claim we cannot see yet."""

PURGES = (
    "DELETE FROM sessions WHERE expires_at < now()",
    "DELETE FROM one_time_tokens WHERE expires_at < now() - interval '1 day'",
    "DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'",
    "DELETE FROM failed_logins WHERE forget_at < now()",
    "DELETE FROM mails WHERE sent_at < now() - interval '30 days'",
    "DELETE FROM jobs WHERE project_id IS NULL AND finished_at < now() - interval '7 days'",
)


async def run(services: Services) -> None:
    """Tidy for ever; survives a database or a disk that fails. Web and worker processes do it, each for its own host."""
    while True:
        try:
            await tidy(services)
        except Exception as error:
            log.warning("housekeeping.missed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(EVERY_SECS)


async def tidy(services: Services) -> None:
    """One round. Several processes may call it; rows are looked at by one at a time, files by each host."""
    async with services.database.transaction() as session:
        if await session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK}):
            await _purge(session)
            if services.settings.smtp_url is not None:
                await mail.enqueue_waiting(session)
    staged = await asyncio.to_thread(services.staging.sweep) + await asyncio.to_thread(services.resumable.sweep)
    folders = await asyncio.to_thread(_sweep_work, services.settings.data_dir / "work", await _running(services))
    if staged or folders:
        log.info("housekeeping.files", staged=staged, work_folders=folders)


async def _purge(session: WriteSession) -> None:
    for statement in PURGES:
        await session.execute(text(statement))


async def _running(services: Services) -> set[str]:
    """Tokens of the attempts that run now: training folders are named after them."""
    async with services.database.read() as session:
        query = select(col(Job.token)).where(col(Job.status) == JobStatus.running)
        return {str(token) for token in (await session.scalars(query)).all()}


def _sweep_work(folder: Path, running: set[str]) -> int:
    """Remove training folders whose attempt has died; returns how many."""
    horizon, gone = time.time() - YOUNG_SECS, 0
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name[37:] not in running and path.stat().st_mtime < horizon:
            shutil.rmtree(path, ignore_errors=True)
            gone += 1
    return gone
