"""Jobs at the GraphQL door."""

from dataclasses import replace

from coreplex.errors.tree import Conflict
from coreplex.event import service as event
from coreplex.job import inputs, kinds, queries, service
from coreplex.job.table import Job
from coreplex.membership.access import open_row
from coreplex.platform.database import WriteSession
from coreplex.platform.paging import Listing, Page, Slice, SortDirection
from resolvers.filtered_list import narrowed
from resolvers.guard import Info, allow
from resolvers.once import act, once


async def one(info: Info, id: str) -> Job:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, Job, id, "Job")


async def many(info: Info, page: Page, filter: inputs.JobFilter | None) -> Slice[Job]:
    grant = allow(info)
    return await narrowed(info, grant, queries.listing(grant, filter), page, filter)


def logs(_info: Info, page: Page) -> tuple[Listing, Page]:
    """Oldest first."""
    return queries.logs(), replace(page, search=None, sort_direction=SortDirection.asc)


@once
async def cancel(info: Info, id: str) -> Job:
    """Order the end of a job. Raises Conflict when it has ended already."""
    grant = allow(info)

    async def work(session: WriteSession) -> Job:
        job = await open_row(session, grant, Job, id, "Job")
        if not await service.request_cancel(session, job):
            raise Conflict(f"The job has ended already: {job.status}.")
        name = await kinds.entity_of(session, job)
        message = f"The job of {name} was cancelled." if name else "A job was cancelled."
        await event.audit(session, grant.user_id, job, "job.cancelled", message)
        await session.flush()
        await session.refresh(job)
        return job

    return await act(info, work)
