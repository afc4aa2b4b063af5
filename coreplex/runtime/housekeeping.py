"""What is done by the clock: rows and files whose time is over are thrown away (`retention` says which), partitions of the
inference log are made ahead and dropped, mails that were written before there was a mail server get their job.
"""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.account import mail
from coreplex.errors.disk import shortage
from coreplex.job.table import Job, JobStatus
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.services import Services
from coreplex.runtime.retention import TABLES, Rule
from coreplex.serving.log import aside, partitions, remains
from coreplex.serving.log.spool import spool_in

log = structlog.get_logger(__name__)

EVERY_SECS = 300.0
LOCK = 0x686F757365  # "house"
YOUNG_SECS = 600.0
"""A training folder this young may belong to a claim we cannot see yet."""


async def run(services: Services) -> None:
    """Tidy for ever; survives a database or a disk that fails. Web and worker processes do it, each for its own host."""
    while True:
        try:
            await tidy(services)
        except Exception as error:
            log.warning("housekeeping.missed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(EVERY_SECS)


async def tidy(services: Services) -> None:
    """One round. Several processes may call it: each batch of rows is one's alone, files are looked at by each host.

    What fails keeps the rest from nothing; the first error is raised at the end, or at once while the database is away.
    """
    works: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("mails", partial(_enqueue_mails, services)),
        ("files", partial(_tidy_files, services)),
        ("inference_logs", partial(_tidy_log, services)),
        *((name, partial(_purge, services, name, rule)) for name, bound in TABLES.items() for rule in bound.rules),
    ]
    failed: Exception | None = None
    for name, work in works:
        try:
            await work()
        except Exception as error:
            await services.database.ping()
            log.exception("housekeeping.failed", what=name)
            failed = failed or error
    if failed is not None:
        raise failed


async def _enqueue_mails(services: Services) -> None:
    """Give mails that were written before there was a mail server their job."""
    if services.settings.smtp_url is not None:
        async with services.database.transaction() as session:
            if await _alone(session):
                await mail.enqueue_waiting(session)


async def _alone(session: WriteSession) -> bool:
    """Whether no other process tidies rows until this transaction ends."""
    return bool(await session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK}))


async def _purge(services: Services, name: str, rule: Rule) -> None:
    """Remove the rows of a rule, a batch per transaction: no statement is long, and nobody waits for a row we hold."""
    if (horizon := rule.horizon(services.settings)) is None:
        return
    ended = f"SELECT t.ctid FROM {name} t WHERE {rule.ended} LIMIT {rule.batch} FOR UPDATE SKIP LOCKED"  # noqa: S608
    statement = text(f"DELETE FROM {name} WHERE ctid = ANY(ARRAY({ended}))")  # noqa: S608 names and conditions of our own
    total, last = 0, rule.batch
    while last == rule.batch:
        async with services.database.transaction() as session:
            last = (await session.execute(statement, {"horizon": horizon})).rowcount if await _alone(session) else 0  # type: ignore[attr-defined]
        total += last
    if total:
        log.info("housekeeping.rows", table=name, rows=total)


async def _tidy_log(services: Services) -> None:
    """The inference log: next weeks' partitions, what is older than it is kept, what deleted deployments left."""
    await partitions.make_ahead(services.database)
    days = services.settings.inference_log_days
    horizon = now() - timedelta(days=days) if days else None
    await asyncio.to_thread(aside.sweep, aside.folder_in(spool_in(services.settings.data_dir)), horizon)
    if horizon is not None:
        await partitions.drop_before(services.database, horizon)
    if gone := await remains.remove(services.database, horizon):
        log.info("housekeeping.rows", table=partitions.LOG, rows=gone)


async def _tidy_files(services: Services) -> None:
    if short := await asyncio.to_thread(shortage, services.settings.data_dir):
        log.error("housekeeping.storage", problem=short)
    staged = await asyncio.to_thread(services.staging.sweep) + await asyncio.to_thread(services.resumable.sweep)
    folders = await asyncio.to_thread(_sweep_work, services.settings.data_dir / "work", await _running(services))
    if staged or folders:
        log.info("housekeeping.files", staged=staged, work_folders=folders)


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
