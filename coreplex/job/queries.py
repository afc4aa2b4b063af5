"""Jobs as their owners see and end them."""

from sqlalchemy import and_, select
from sqlmodel import col

from coreplex.errors.tree import Conflict
from coreplex.event import service as event
from coreplex.event.table import Event, EventKind
from coreplex.job import kinds, service
from coreplex.job.inputs import CancelJob, JobFilter
from coreplex.job.table import Job
from coreplex.membership.access import open_row, visible_projects
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import parse_id
from coreplex.platform.paging import Listing, Order, SortDirection
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


def listing(grant: Grant, wanted: JobFilter | None = None) -> Listing:
    """Jobs of the caller's projects; the server's own housekeeping is not shown."""
    query = select(Job).where(col(Job.project_id).in_(visible_projects(grant)))
    if wanted is not None and wanted.project_id is not None:
        query = query.where(col(Job.project_id) == parse_id(wanted.project_id, "Project"))
    if wanted is not None and wanted.type is not None:
        query = query.where(col(Job.type) == wanted.type)
    if wanted is not None and wanted.status is not None:
        query = query.where(col(Job.status).in_(wanted.status))
    return Listing(query=query, identity=col(Job.id), order=ORDER, searchable=(col(Job.message), col(Job.error)))


_of_job = and_(col(Event.entity_type) == col(Job.entity_type), col(Event.entity_id) == col(Job.entity_id))
LOGS = Listing(
    query=select(Event).join(Job, _of_job).where(col(Event.kind) == EventKind.log),
    identity=col(Event.seq),
    order=Order({"seq": col(Event.seq)}, field="seq", direction=SortDirection.asc),
    parent=col(Job.id),
)
"""What the things that jobs work on had to say, oldest first."""


async def cancel(session: WriteSession, grant: Grant, wanted: CancelJob) -> Job:
    """Order the end of a job. Raises Conflict when it has ended already."""
    job = await open_row(session, grant, Job, wanted.job_id, "Job")
    if not await service.request_cancel(session, job):
        raise Conflict(f"The job has ended already: {job.status}.")
    name = await kinds.entity_of(session, job)
    message = f"The job of {name} was cancelled." if name else "A job was cancelled."
    await event.audit(session, grant.user_id, job, "job.cancelled", message)
    await session.flush()
    await session.refresh(job)
    return job
