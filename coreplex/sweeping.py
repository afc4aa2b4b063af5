"""Takes away what nobody came back for: uploads and exports older than an hour, working folders of trainings that died.

Every web process does it; two that meet on a file do no harm. Never touches storage: what lies there has a row, or a job that
removes it.
"""

import asyncio
import shutil
import time
from pathlib import Path

import structlog

from coreplex.services import Services

EVERY_SECS = 300.0
WORK_SECS = 7 * 86400.0
"""Longer than any training takes."""

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Sweep for ever; survives a disk that fails."""
    while True:
        try:
            gone = await asyncio.to_thread(sweep, services)
            if gone:
                log.info("swept", files=gone)
        except OSError as error:
            log.warning("sweep_failed", error=str(error))
        await asyncio.sleep(EVERY_SECS)


def sweep(services: Services) -> int:
    """One round; returns how many files and folders went."""
    return services.staging.sweep() + _sweep_work(services.settings.data_dir / "work")


def _sweep_work(folder: Path) -> int:
    horizon = time.time() - WORK_SECS
    old = [path for path in folder.glob("*") if path.stat().st_mtime < horizon]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return len(old)
