"""Background jobs in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.job import inputs, kinds, queries
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job as Row
from coreplex.job.table import percent
from coreplex.platform.permissions import READ, WRITE
from coreplex.runtime import concepts
from schema.background import background_work
from schema.common import key, named_enum, published
from schema.enums import enum
from schema.event import LogLine
from schema.field import command, row
from schema.links import link, owner
from schema.node import Node, node, thing
from schema.notice import Notice
from schema.pagination import Connection, connection, filter_of, nested

concepts.load("jobs")
# What the concepts have declared; the parts of the contract that name a kind follow from it.
JobType = named_enum("JobType", kinds.listed())

enum(JobType, "What a job does.", {name: kinds.kind_of(name).description for name in kinds.listed()})
published(inputs.CancelJob, "CancelJobInput", "A job to end.")
filter_of(queries.JOBS, type=JobType)


def _progress(root: strawberry.Parent[Row]) -> float:
    return percent(root.progress)


@strawberry.type(description="What came of a job, in figures; null is what jobs of its type do not count.")
class JobResult:
    model_count: int | None = key("models_trained", "Models it trained.", int | None)
    is_stopped: bool | None = key("stopped", "Whether it was told to stop and keep what it had.", bool | None)


@background_work
@node(Row)
@strawberry.type(description="Work done in the background.")
class Job:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    type: str = strawberry.field(graphql_type=JobType, description="What it does.")
    status: JobStatus = strawberry.field(description="State.")
    progress: float = strawberry.field(resolver=_progress, description="Share done, 0 to 100.")
    message: str = strawberry.field(description="What is going on.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project it belongs to.")
    project: Any = owner("Project", "project_id", "The project it belongs to.")
    entity_type: str = strawberry.field(description="Kind of the thing it works on, in lower case: `experiment`.")
    entity_id: strawberry.ID | None = strawberry.field(description="Identifier of that thing.")
    entity: Node | None = thing("entity_id", "That thing; null where it is gone, or nothing a caller can have.")
    result: JobResult | None = strawberry.field(description="What came of it, in figures; null until it has ended well.")
    error: Notice | None = strawberry.field(description="Why it failed, or why the last attempt did.")
    attempts: int = strawberry.field(description="Attempts begun.")
    max_attempts: int = strawberry.field(description="Attempts it may have.")
    created_by: Any = link("User", "created_by", "Who asked for it; null for the server itself, and for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was queued.")
    started_at: datetime | None = strawberry.field(description="When its first attempt began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")
    logs: Connection[LogLine] = nested(queries.LOGS, "The log, oldest first; readable while it runs.")


@strawberry.type(description="The job that was changed.")
class JobPayload:
    job: Job = strawberry.field(description="The job as it is now.")


@strawberry.type
class JobQuery:
    job: Job | None = row(Row, READ, "One background job.")
    jobs: Connection[Job] | None = connection(
        queries.JOBS,
        "Background jobs of the caller's projects; one that ended is listed for `JOB_DAYS` (90) more.",
    )


@strawberry.type
class JobMutation:
    cancel_job: JobPayload | None = command(queries.cancel, JobPayload, WRITE, "End a job; what it has finished stays.")
