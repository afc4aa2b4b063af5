"""Jobs as their owners see and end them."""

from uuid import UUID

from sqlalchemy import and_, func, select
from sqlmodel import col

from coreplex.errors.tree import Conflict, Message
from coreplex.event import service as event
from coreplex.event.listing import logs_of
from coreplex.event.table import Event, EventKind
from coreplex.job import kinds, service
from coreplex.job.inputs import CancelJob
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership.access import open_row, visible_projects
from coreplex.platform.columns import sentence
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import identifiers, moments, one_of, reference, words
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant

ORDER = Order(
    {
        "created_at": col(Job.created_at),
        "started_at": col(Job.started_at),
        "finished_at": col(Job.finished_at),
        "status": col(Job.status),
        "type": col(Job.type),
    }
)


JOBS = Listing(
    noun="Job",
    query=select(Job),
    identity=col(Job.id),
    order=ORDER,
    search=Search("the type, the message and the error", (col(Job.type), col(Job.message), sentence(col(Job.error)))),
    filters={
        "ids": identifiers(col(Job.id), "Only these jobs."),
        "project_id": reference(col(Job.project_id), "Project", "Only jobs of this project."),
        "type": words(col(Job.type), "Only jobs of one of these types."),
        "status": one_of(col(Job.status), JobStatus, "Only jobs in one of these states."),
        "created_at": moments(col(Job.created_at), "By when they were wanted."),
        "started_at": moments(col(Job.started_at), "By when they last began."),
        "finished_at": moments(col(Job.finished_at), "By when they ended."),
    },
    visible=lambda grant: col(Job.project_id).in_(visible_projects(grant)),
)
"""Jobs of the caller's projects; the server's own housekeeping is not shown."""

_of_job = and_(col(Event.entity_type) == col(Job.entity_type), col(Event.entity_id) == col(Job.entity_id))
LOGS = logs_of(select(Event).join(Job, _of_job).where(col(Event.kind) == EventKind.log), col(Job.id))
"""What the things that jobs work on had to say, oldest first."""


async def cancel(session: WriteSession, grant: Grant, wanted: CancelJob) -> Job:
    """Order the end of a job. Raises Conflict when it has ended already."""
    job = await open_row(session, grant, Job, wanted.job_id, "Job")
    if not await service.request_cancel(session, job):
        raise Conflict(Message("job_ended", "The job has ended already: {status}.", status=job.status))
    name = await kinds.entity_of(session, job)
    message = f"The job of {name} was cancelled." if name else "A job was cancelled."
    await event.audit(session, grant.user_id, job, "job.cancelled", message)
    await session.flush()
    await session.refresh(job)
    return job


async def unfinished(session: ReadSession, project_id: UUID) -> int:
    """How many jobs of a project wait or run."""
    query = select(func.count()).where(col(Job.project_id) == project_id, col(Job.status).in_(service.OPEN))
    return int(await session.scalar(query) or 0)
