"""Which module does which type of job.

A handler is a module with `async def run(job, context) -> dict | None`, and, where another row mirrors the job's status, `async
def on_change(session, job)` (running, queued again) and `async def on_final(session, job)`. The hooks run in the transaction of
the change itself, in whichever process makes it: a worker, a relay that ends a poisoned job, the web process that cancels a
queued one. So they are quick, touch only the database, and bear that the mirrored row is gone. Where that row has a name, `async
def entity(session, job) -> str | None` tells it. Modules are imported when first needed: a handler's concept enqueues jobs, so it
imports us already.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from coreplex.job.table import Job, JobType
from coreplex.platform.database import WriteSession

Hook = Callable[[WriteSession, Job], Awaitable[None]]
Run = Callable[[Job, Any], Awaitable[dict[str, Any] | None]]

MODULES: Mapping[JobType, str] = {
    JobType.automl_train: "coreplex.training.jobs",
    JobType.mail_send: "coreplex.account.delivery",
    JobType.storage_delete: "coreplex.job.cleaning",
    JobType.probe: "coreplex.job.probe",
}


def run_of(type: JobType) -> Run:
    """The function that does the work."""
    run: Run = _module(type).run
    return run


async def tell(session: WriteSession, job: Job) -> None:
    """Let the handler's mirror follow the job's status, within the same transaction."""
    hook: Hook | None = getattr(_module(job.type), "on_final" if job.status.final else "on_change", None)
    if hook is not None:
        await hook(session, job)


async def entity(session: WriteSession, job: Job) -> str | None:
    """What people call the thing a job works on; None when it has no name."""
    name: Callable[[WriteSession, Job], Awaitable[str | None]] | None = getattr(_module(job.type), "entity", None)
    return await name(session, job) if name is not None else None


def _module(type: JobType) -> ModuleType:
    return import_module(MODULES[type])
