"""Replays in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.deployment.table import Arm
from coreplex.engines.replay.verdict import ReplayVerdict
from coreplex.job.lifecycle import JobStatus
from coreplex.platform.permissions import READ, WRITE
from coreplex.replay import inputs, service
from coreplex.replay.table import Replay as Row
from resolvers.replay import reports
from schema.background import background_work
from schema.batch import job_field, progress_of
from schema.common import published
from schema.deleted import DeletedFromProjectPayload
from schema.field import by_id, command, loaded, row
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.replay_report import ReplayReport
from schema.scalars import Long

published(inputs.CreateReplay, "CreateReplayInput", "Logged rows to answer again, and by which candidate.")
published(inputs.DeleteReplay, "DeleteReplayInput", "A replay to remove.")


@background_work
@node(Row, service.visible)
@strawberry.type(
    description="Rows that a deployment has answered, answered again by a candidate before any user sees it. A row's loss is 0 "
    "or 1 of a class, and of a number its absolute error; one that the candidate cannot answer costs as much as the worst answer."
)
class Replay:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment whose rows they are.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment whose rows they are.")
    model_id: strawberry.ID | None = strawberry.field(description="Identifier of the candidate; null once it is gone.")
    model: Any = link("Model", "model_id", "The candidate; null once it is deleted.")
    model_name: str = strawberry.field(description="Name of the candidate.")
    job_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the background job, by which it is cancelled and followed; null once it is no longer listed."
    )
    job: Any = link("Job", "job_id", "The background job; null once it is no longer listed.")
    since: datetime = strawberry.field(description="Rows answered from this moment on.")
    until: datetime = strawberry.field(description="Rows answered before this moment.")
    arm: Arm | None = strawberry.field(description="Only rows that this side of a split has answered; null for all.")
    threshold: float | None = strawberry.field(
        description="Of two classes: the second from this probability on; null for the candidate's own."
    )
    is_strict: bool = strawberry.field(description="Whether rows that are odd to the candidate are failures.")
    confidence_level: float = strawberry.field(description="How certain a verdict is, at all looks at this candidate together.")
    max_row_count: int = strawberry.field(description="Rows that are answered at most.")
    look: int | None = strawberry.field(
        description="Which start of looking at this candidate it is, from 1; further ones have wider intervals, so that what is "
        "promised holds for all of them together. More outcomes since the same moment are the same one."
    )
    is_sampled: bool = strawberry.field(description="Whether it is of a uniform sample of the rows.")
    status: JobStatus = strawberry.field(description="State.")
    progress: float = job_field(float, progress_of, "Share done, 0 to 100.")
    message: str = job_field(str, lambda job, _: job.message if job else "", "What is going on.")
    error: Notice | None = strawberry.field(description="Why it failed.")
    warnings: list[Notice] = strawberry.field(description="What is to be borne in mind, or was done differently.")
    logged_row_count: Long | None = strawberry.field(description="Rows that were there; null until it has succeeded.")
    row_count: Long | None = strawberry.field(description="Rows that were answered again; null until it has succeeded.")
    failed_row_count: Long | None = strawberry.field(
        description="Rows of them that the candidate cannot answer; null until it has succeeded."
    )
    outcome_count: Long | None = strawberry.field(description="Rows of them whose outcome is known; null until it has succeeded.")
    unit_count: Long | None = strawberry.field(
        description="Different ones of these: rows of the same values, or of one key in an A/B test, are alike and count once."
    )
    agreement: float | None = strawberry.field(
        description="Share of the rows that it answers alike, 0 to 1: the same class, or a number within 1 in 1,000."
    )
    verdict: ReplayVerdict | None = strawberry.field(description="What it came to; null until it has succeeded.")
    margin: float | None = strawberry.field(description="What the candidate may cost a row and still be `NOT_WORSE`.")
    gain: float | None = strawberry.field(
        description="Mean loss of the answers that were given minus the candidate's, over the different rows; below 0 it costs. "
        "Null before there are outcomes enough: 1 of classes, 500 of numbers."
    )
    gain_lower: float | None = strawberry.field(description="Lower end of the interval that holds it, at all looks together.")
    gain_upper: float | None = strawberry.field(description="Its upper end.")
    served_loss: float | None = strawberry.field(description="Mean loss of the answers that were given; null without outcomes.")
    candidate_loss: float | None = strawberry.field(description="Mean loss of the candidate's.")
    report: ReplayReport | None = loaded(
        ReplayReport | None, reports, by_id, "What it has found besides; null until it has succeeded."
    )
    created_by: Any = link("User", "created_by", "Who asked for it; null for an account that is gone, or the server itself.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The replay that was asked for.")
class ReplayPayload:
    replay: Replay = strawberry.field(description="The replay as it is now.")


@strawberry.type
class ProjectReplays:
    replays: Connection[Replay] = nested(service.REPLAYS, "Its replays.")


@strawberry.type
class ReplayQuery:
    replay: Replay | None = row(Row, READ, "One replay.", service.NOUN)
    replays: Connection[Replay] | None = connection(service.REPLAYS, "Replays of the caller's projects.")


@strawberry.type
class ReplayMutation:
    create_replay: ReplayPayload | None = command(
        service.create,
        ReplayPayload,
        WRITE,
        "Answer rows that a deployment has answered again by a candidate, in the background, and compare. Nothing is logged.",
    )
    delete_replay: DeletedFromProjectPayload | None = command(
        service.delete, DeletedFromProjectPayload, WRITE, "Delete a replay; one that runs is ended."
    )
