"""A job of somebody's project, and things that happen to it."""

from coreplex.account.table import User
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.job import service as job
from coreplex.job.table import Job
from coreplex.membership.table import Membership, Project
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Role

FOLLOW = "subscription($job: ID!, $after: Long) { jobEvents(jobId: $job, after: $after) { seq message } }"


async def make_job(database: Database, user: User) -> Job:
    project = Project(owner_id=user.id, name="Fleet")
    async with database.transaction() as session:
        session.add(project)
        await session.flush()
        session.add(Membership(project_id=project.id, user_id=user.id, role=Role.owner))
        return await job.enqueue(
            session, "probe", project_id=project.id, entity_type="probe", entity_id=new_id(), created_by=user.id
        )


async def beginning(database: Database, followed: Job) -> int:
    """Cursor behind what already happened to the job by being queued."""
    return (await tell(database, followed, "beginning"))[0]


async def tell(database: Database, followed: Job, *messages: str) -> list[int]:
    """Append one event per message, each in a transaction of its own; returns their cursors."""
    cursors = []
    for message in messages:
        async with database.transaction() as session:
            row = await event.append(
                session,
                entity_type=followed.entity_type,
                entity_id=followed.entity_id or followed.id,
                project_id=followed.project_id,
                kind=EventKind.log,
                type="probe.log",
                message=message,
            )
            assert row.seq is not None
            cursors.append(row.seq)
    return cursors
