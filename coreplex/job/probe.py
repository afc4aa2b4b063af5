"""A job that only counts: what `doctor` and the tests run through the real queue to see that it works.

Payload: `sleep` seconds to work, `crash_below` attempts that kill the worker, `child` true to work in a child process.
"""

import asyncio
import os
import signal
import time
from typing import Any

from coreplex.engines.child import Report
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.isolation import run_child
from coreplex.job.context import JobContext
from coreplex.job.handlers import register
from coreplex.job.table import JobType


async def run(context: JobContext) -> dict[str, Any]:
    """Work, then write one `probe.done` event through the fence."""
    payload, job = context.job.payload, context.job
    if job.attempts < int(payload.get("crash_below", 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    seconds = float(payload.get("sleep", 0))
    if payload.get("child"):
        await run_child(
            "coreplex.job.probe:sleep",
            {"seconds": seconds},
            time_limit_secs=float(payload.get("time_limit", 60)),
            memory_bytes=1 << 30,
            control=context.control,
        )
    else:
        await asyncio.sleep(seconds)
    assert job.entity_id is not None
    async with context.write() as session:
        await event.append(
            session,
            entity_type="probe",
            entity_id=job.entity_id,
            project_id=job.project_id,
            kind=EventKind.state,
            type="probe.done",
            data={"attempt": job.attempts},
        )
    return {"attempt": job.attempts}


def sleep(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """The child's part: sleep in small steps, report progress, end early when told to stop."""
    end = time.monotonic() + float(request["seconds"])
    while time.monotonic() < end and not report.stopped:
        time.sleep(0.05)
        report.progress(0.5)
    return {"stopped": report.stopped}


register(JobType.probe, run)
