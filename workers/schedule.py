"""What runs by the clock in every worker."""

import asyncio

import structlog

from coreplex.housekeeping import tidy
from coreplex.services import Services

TIDY_SECS = 600.0

log = structlog.get_logger(__name__)


async def run(services: Services) -> None:
    """Until cancelled."""
    while True:
        try:
            await tidy(services)
        except Exception as error:
            log.warning("schedule.missed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(TIDY_SECS)
