"""Events in the public contract, and subscriptions to them: replayed from a cursor, then followed."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from coreplex.event.table import Event as Row
from coreplex.experiment.table import Experiment as ExperimentRow
from coreplex.job.lifecycle import JobStatus
from coreplex.job.queries import LOGS
from coreplex.job.table import Job as JobRow
from coreplex.platform.permissions import READ
from resolvers.context import Info
from resolvers.stream import follow_projects, follow_row
from schema.common import Id, named_enum
from schema.enums import enum
from schema.field import subscription
from schema.links import link, linked, owner
from schema.node import Node, thing
from schema.pagination import filter_of
from schema.scalars import Long
from schema.shown import shows

LogLevel: Any = named_enum("LogLevel", ("debug", "info", "warning", "error"))
enum(
    LogLevel,
    "How grave a line of a log is.",
    {
        "debug": "For who looks for a fault.",
        "info": "What is going on.",
        "warning": "Something was done otherwise than wanted.",
        "error": "Something failed.",
    },
)
filter_of(LOGS, level=LogLevel)

Cursor = Annotated[
    Long | None,
    strawberry.argument(
        description="`seq` of the last event seen; the stream begins behind it. Without it: from the first event."
    ),
]
LateCursor = Annotated[
    Long | None,
    strawberry.argument(
        description="`seq` of the last event seen; the stream begins behind it, and may repeat events of the ten seconds before, "
        "which `seq` tells. Without it: from now on."
    ),
]


@strawberry.interface(description="Something that happened to a thing. `seq` grows in the order of commits for each thing.")
class Event:
    seq: Long = strawberry.field(description="Its number, and the cursor to go on from.")
    type: str = strawberry.field(description="What happened, `noun.verb`: `job.started`, `experiment.log`.")
    message: str = strawberry.field(description="A sentence for people.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project it happened in.")
    project: Any = owner("Project", "project_id", "The project it happened in.")
    entity_type: str = strawberry.field(description="Kind of the thing it happened to, in lower case: `project`, `model`.")
    entity_id: strawberry.ID = strawberry.field(description="Identifier of the thing.")
    entity: Node | None = thing("entity_id", "The thing; null where it is gone, or nothing a caller can have.")
    created_at: datetime = strawberry.field(description="When.")


def _figure(name: str, kind: Any, description: str) -> Any:
    """A figure of the event."""

    def read(root: strawberry.Parent[Row]) -> Any:
        return root.data.get(name)

    return strawberry.field(resolver=read, graphql_type=kind, description=description)


def _id_in(name: str) -> Any:
    """Reads an id among the figures of an event."""

    def key(event: Row) -> UUID | None:
        found = event.data.get(name)
        return None if found is None else UUID(found)

    return key


@shows(Row, "told_as", "log")
@strawberry.type(description="A line of a log.")
class LogLine(Event):
    level: str = strawberry.field(graphql_type=LogLevel, description="How grave it is.")


@shows(Row, "told_as", "progress")
@strawberry.type(description="How far something is.")
class Progress(Event):
    progress: float = _figure("progress", float, "Share done, 0 to 100.")


@shows(Row, "told_as", "state")
@strawberry.type(description="A job began, ended, or waits again.")
class StateChanged(Event):
    status: JobStatus = _figure("status", JobStatus, "The state it has now.")
    attempt: int = _figure("attempt", int, "Attempts begun.")
    job: Any = linked("Job", _id_in("job_id"), "The job.")


@shows(Row, "told_as", "model.trained")
@strawberry.type(description="A model of an experiment is finished.")
class ModelTrained(Event):
    experiment: Any = link("Experiment", "entity_id", "The experiment, with the best model so far.")
    model: Any = linked("Model", _id_in("model_id"), "The model.")
    best_model: Any = linked("Model", _id_in("best_model_id"), "The best model of the experiment then.")


KINDS = [LogLine, Progress, StateChanged, ModelTrained]
"""Types that no field names; deeds of people are `TimelineEvent`s."""


async def _job_events(info: Info, job_id: Id, after: Cursor = None) -> AsyncIterator[Row]:
    return await follow_row(info, JobRow, job_id, "Job", after)


async def _experiment_events(info: Info, experiment_id: Id, after: Cursor = None) -> AsyncIterator[Row]:
    return await follow_row(info, ExperimentRow, experiment_id, "Experiment", after)


async def _project_events(info: Info, project_id: Id, after: LateCursor = None) -> AsyncIterator[Row]:
    return await follow_projects(info, project_id, after)


async def _account_events(info: Info, after: LateCursor = None) -> AsyncIterator[Row]:
    return await follow_projects(info, None, after)


@strawberry.type
class EventSubscription:
    job_events: AsyncGenerator[Event, None] = subscription(
        _job_events, READ, "What happens to the thing a job works on: state, progress, log. Follows until closed."
    )
    experiment_events: AsyncGenerator[Event, None] = subscription(
        _experiment_events, READ, "What happens to an experiment: state, progress, models, log. Follows until closed."
    )
    project_events: AsyncGenerator[Event, None] = subscription(
        _project_events, READ, "What happens in a project, to whatever is in it. Follows until closed."
    )
    account_events: AsyncGenerator[Event, None] = subscription(
        _account_events,
        READ,
        "What happens in the caller's projects, in those joined meanwhile too. Follows until closed.",
    )
