"""Jobs as their owners see them."""

from sqlalchemy import and_, select
from sqlmodel import col

from coreplex.event.table import Event, EventKind
from coreplex.job.inputs import JobFilter
from coreplex.job.table import Job
from coreplex.membership.access import visible_projects
from coreplex.platform.identifier import parse_id
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant


def listing(grant: Grant, wanted: JobFilter | None = None) -> Listing:
    """Jobs of the caller's projects; the server's own housekeeping is not shown."""
    query = select(Job).where(col(Job.project_id).in_(visible_projects(grant)))
    if wanted is not None and wanted.project_id is not None:
        query = query.where(col(Job.project_id) == parse_id(wanted.project_id, "Project"))
    if wanted is not None and wanted.type is not None:
        query = query.where(col(Job.type) == wanted.type)
    if wanted is not None and wanted.status is not None:
        query = query.where(col(Job.status).in_(wanted.status))
    sortable = {
        "created_at": col(Job.created_at),
        "started_at": col(Job.started_at),
        "finished_at": col(Job.finished_at),
        "status": col(Job.status),
        "type": col(Job.type),
    }
    return Listing(query=query, identity=col(Job.id), sortable=sortable, searchable=(col(Job.message), col(Job.error)))


def logs() -> Listing:
    """What the things that jobs work on had to say."""
    of_job = and_(col(Event.entity_type) == col(Job.entity_type), col(Event.entity_id) == col(Job.entity_id))
    return Listing(
        query=select(Event).join(Job, of_job).where(col(Event.kind) == EventKind.log),
        identity=col(Event.seq),
        sortable={"seq": col(Event.seq)},
        default_sort="seq",
        parent=col(Job.id),
    )
