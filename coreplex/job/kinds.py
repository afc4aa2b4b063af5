"""The kinds of jobs there are. A concept declares its own in its `jobs.py`, and every process imports them all when it starts.

So a function that is missing fails the start, not the first job that needs it, and nothing outside the concept names it. What
works with heavy libraries is named with `coreplex.platform.deferred_import`, so that an idle worker is small.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from coreplex.job.lifecycle import FollowsJob
from coreplex.job.table import MAX_KIND, Job
from coreplex.platform.database import WriteSession

Run = Callable[[Job, Any], Awaitable[dict[str, Any] | None]]
"""Of a job and its `JobContext`, which stands above: it keeps jobs by what is known here."""
Hook = Callable[[WriteSession, Job], Awaitable[None]]
NameOf = Callable[[WriteSession, Job], Awaitable[str | None]]


class Queue(StrEnum):
    """The queues of Dramatiq. Long jobs have theirs, so that a mail never waits for a training, nor a file to be predicted, nor
    anything for somebody else's server that does not answer."""

    training = "training"
    predictions = "predictions"
    webhooks = "webhooks"
    chores = "chores"


@dataclass(frozen=True)
class JobKind:
    """One kind of job: `run(job, context)` does the work, and its result is the job's.

    The hooks keep a row that mirrors the job's status: `on_change` when it runs or is queued again, `on_final` when it has ended.
    They run in the transaction of the change itself, in whichever process makes it: a worker, a relay that ends a poisoned job,
    the web process that cancels a queued one. So they are quick, touch only the database, and bear that the mirrored row is gone.
    """

    name: str
    run: Run
    queue: Queue = Queue.chores
    attempts: int = 3
    """How often it may be tried."""
    on_change: Hook | None = None
    on_final: Hook | None = None
    entity: NameOf | None = None
    """What people call the thing a job works on; None when it has no name."""
    every: timedelta | None = None
    """Runs by the clock, once per period over all processes (`coreplex.job.schedule`); such a job belongs to no project."""
    description: str = ""
    """What it does, in a sentence of the contract; of every kind but those that run by the clock."""


def follows(table: type[FollowsJob]) -> Hook:
    """The hook by which rows of a table keep in step with the job they name; a row may be gone, or have a newer job."""

    async def follow(session: WriteSession, job: Job) -> None:
        row = await session.get(table, job.entity_id)
        if row is not None and row.job_id == job.id:
            row.enter(job.status, job.error)

    return follow


_KINDS: dict[str, JobKind] = {}


def declare(kind: JobKind) -> None:
    """Make a kind known. Raises ValueError when its name is taken, or too long for its column, or nothing describes it."""
    if kind.name in _KINDS:
        raise ValueError(f"the kind of job `{kind.name}` is declared twice: by {_KINDS[kind.name].run.__module__} too")
    if not 0 < len(kind.name) <= MAX_KIND:
        raise ValueError(f"the name of a kind of job has 1 to {MAX_KIND} characters: `{kind.name}`")
    if not kind.description and kind.every is None:
        raise ValueError(f"the kind of job `{kind.name}` is one that people see: it needs a description")
    _KINDS[kind.name] = kind


def kind_of(name: str) -> JobKind:
    """The kind of that name. Raises LookupError when no concept has declared it."""
    if name not in _KINDS:
        raise LookupError(f"no concept declares the kind of job `{name}`; there are {', '.join(_KINDS) or 'none'}")
    return _KINDS[name]


def names() -> Sequence[str]:
    """All of them. A newer server's jobs may be of others: they are left to its workers."""
    return list(_KINDS)


def listed() -> Sequence[str]:
    """Those a caller may see jobs of; what runs by the clock is the server's own."""
    return [kind.name for kind in _KINDS.values() if kind.every is None]


def scheduled() -> Sequence[JobKind]:
    """Those that run by the clock."""
    return [kind for kind in _KINDS.values() if kind.every is not None]


async def tell(session: WriteSession, job: Job) -> None:
    """Let the row that mirrors the job follow its status, within the same transaction."""
    kind = kind_of(job.type)
    hook = kind.on_final if job.status.final else kind.on_change
    if hook is not None:
        await hook(session, job)


async def entity_of(session: WriteSession, job: Job) -> str | None:
    """What people call the thing a job works on; None when it has no name."""
    name = kind_of(job.type).entity
    return await name(session, job) if name is not None else None
