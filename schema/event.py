"""Events in the public contract, and subscriptions to them: replayed from a cursor, then followed."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import Annotated

import strawberry

from coreplex.event.table import Event as Row
from coreplex.event.table import EventKind
from coreplex.experiment.table import Experiment
from coreplex.job.table import Job
from coreplex.platform.permissions import READ
from resolvers.context import Info
from resolvers.stream import follow_row
from schema.common import Id
from schema.enums import enum
from schema.field import subscription
from schema.scalars import JSON, Long

enum(
    EventKind,
    "What an event is about: a person's deed, a state, a log line, or progress.",
    {
        "audit": "A person's deed.",
        "state": "Something began, ended or changed its state.",
        "log": "A line of a log.",
        "progress": "How far something is.",
    },
)

Cursor = Annotated[
    Long | None,
    strawberry.argument(
        description="`seq` of the last event seen; the stream begins behind it. Without it: from the first event."
    ),
]


@strawberry.type(description="Something that happened to a thing. `seq` grows in the order of commits.")
class Event:
    seq: Long = strawberry.field(description="Its number, and the cursor to go on from.")
    type: str = strawberry.field(description="What happened, `noun.verb`: `job.started`, `experiment.log`.")
    kind: EventKind = strawberry.field(description="What it is about.")
    level: str = strawberry.field(description="Of a log line: `debug`, `info`, `warning` or `error`.")
    message: str = strawberry.field(description="A sentence for people.")
    data: JSON = strawberry.field(description="Figures of the event: progress (0 to 100), a score, a status.")
    entity_type: str = strawberry.field(description="Kind of the thing it happened to.")
    entity_id: strawberry.ID = strawberry.field(description="Identifier of the thing.")
    created_at: datetime = strawberry.field(description="When.")


def _timestamp(root: strawberry.Parent[Row]) -> datetime:
    return root.created_at


@strawberry.type(description="A line of a log.")
class LogEntry:
    seq: Long = strawberry.field(description="Number of the line; later ones are larger.")
    timestamp: datetime = strawberry.field(resolver=_timestamp, description="When it was written.")
    level: str = strawberry.field(description="debug, info, warning or error.")
    message: str = strawberry.field(description="What it says.")


async def _job_events(info: Info, job_id: Id, after: Cursor = None) -> AsyncIterator[Row]:
    return await follow_row(info, Job, job_id, "Job", after)


async def _experiment_events(info: Info, experiment_id: Id, after: Cursor = None) -> AsyncIterator[Row]:
    return await follow_row(info, Experiment, experiment_id, "Experiment", after)


@strawberry.type
class EventSubscription:
    job_events: AsyncGenerator[Event, None] = subscription(
        _job_events, READ, "What happens to the thing a job works on: state, progress, log. Follows until closed."
    )
    experiment_events: AsyncGenerator[Event, None] = subscription(
        _experiment_events, READ, "What happens to an experiment: state, progress, scores, log. Follows until closed."
    )
