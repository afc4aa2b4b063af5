"""What each kind of job does. Concepts register a handler; `coreplex.handlers` imports them all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from coreplex.database import WriteSession
from coreplex.job.context import JobContext
from coreplex.job.table import Job, JobType


class Run(Protocol):
    """The work. Returns the job's result; raises DomainError to fail it with a message, anything else to try again."""

    def __call__(self, context: JobContext) -> Awaitable[dict[str, Any] | None]: ...


Final = Callable[[WriteSession, Job], Awaitable[None]]
"""Called in the transaction that ends the job, however it ends, so that what it worked on never disagrees with it."""


async def _nothing(_session: WriteSession, _job: Job) -> None:
    return None


@dataclass(frozen=True)
class Handler:
    run: Run
    on_final: Final = field(default=_nothing)


HANDLERS: dict[JobType, Handler] = {}


def register(kind: JobType, run: Run, on_final: Final = _nothing) -> None:
    """Say what jobs of a kind do. Each kind has one handler."""
    if kind in HANDLERS:
        raise ValueError(f"two handlers for {kind}")
    HANDLERS[kind] = Handler(run, on_final)


async def on_final(session: WriteSession, job: Job) -> None:
    """Run the hook of the job's kind."""
    handler = HANDLERS.get(job.type)
    if handler is not None:
        await handler.on_final(session, job)
