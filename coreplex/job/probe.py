"""A job that does nothing useful in every way a job can: for tests of the machinery and for trying out an installation.

`payload`: `secs` to work, `steps` to do it in, `child` to work in a child process, `fault` to misbehave: `crash` (kills the
worker that runs it), `child_crash`, `error`, `retry`, `bad_input`. Its one effect is a `probe.done` event at the very end,
written together with the job's success; each attempt begins with `probe.started`.
"""

import asyncio
import os
import signal
import time
from typing import Any

from coreplex.engines.child import Report
from coreplex.errors.tree import Invalid, Message, Unavailable
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.job.context import JobContext
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.isolation import run_child

COUNT = child_task(f"{__name__}:count")
CHILD_BYTES = 512 << 20
LIMIT_SECS = 600.0


async def run(job: Job, context: JobContext) -> dict[str, Any]:
    """Count to `steps` in `secs`."""
    await context.save(lambda session: _record(session, job, "probe.started"))
    await _misbehave(str(job.payload.get("fault", "")))
    if job.payload.get("child"):
        return await _in_child(job, context)
    secs, steps = float(job.payload.get("secs", 0)), int(job.payload.get("steps", 1))
    for step in range(steps):
        if context.orders.stop:
            break
        await asyncio.sleep(secs / steps)
        context.report((step + 1) / steps, f"step {step + 1}")
    return {"stopped": context.orders.stop}


async def on_final(session: WriteSession, job: Job) -> None:
    if job.status is JobStatus.succeeded:
        await _record(session, job, "probe.done")


async def _in_child(job: Job, context: JobContext) -> dict[str, Any]:
    async def on_event(said: dict[str, Any]) -> None:
        if said["event"] == "progress":
            context.report(said["fraction"], said["message"])
        else:
            context.log(said["message"], said["level"])

    return await run_child(
        COUNT,
        job.payload,
        on_event=on_event,
        time_limit_secs=LIMIT_SECS,
        memory_bytes=CHILD_BYTES,
        control=context.control,
    )


def count(request: dict[str, Any], report: Report) -> dict[str, Any]:
    """The same in a child process."""
    report.log(f"pid {os.getpid()}")
    steps = int(request.get("steps", 1))
    for step in range(steps):
        if report.stopped:
            break
        time.sleep(float(request.get("secs", 0)) / steps)
        report.progress((step + 1) / steps, f"step {step + 1}")
    if request.get("fault") == "child_crash":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"stopped": report.stopped}


async def _misbehave(fault: str) -> None:
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "error":
        raise RuntimeError("a fault that was asked for")
    elif fault == "retry":
        raise Unavailable(Message("probe_away", "Something is away for the moment."))
    elif fault == "bad_input":
        raise Invalid(Message("probe_wrong", "The request was wrong."))


async def _record(session: WriteSession, job: Job, type: str) -> None:
    await event.append(
        session,
        entity_type="job",
        entity_id=job.id,
        project_id=job.project_id,
        kind=EventKind.log,
        type=type,
        data={"attempt": job.attempts},
    )
