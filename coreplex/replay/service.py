"""What can be done with replays: begin one, list them, delete one. What reads the log and the answers is in `work`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.deployment.rollouts import require_same_target
from coreplex.deployment.table import Deployment
from coreplex.engines.replay.verdict import ReplayVerdict
from coreplex.errors.tree import Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, open_row, visible_projects, visible_rows
from coreplex.model.table import Model
from coreplex.monitoring.period import BEFORE_ALL_TIME, length_of
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import identifiers, moments, one_of, reference
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import behind
from coreplex.platform.settings import Settings
from coreplex.replay.inputs import MOST_ROWS, USUAL_WINDOW, CreateReplay, DeleteReplay
from coreplex.replay.table import REPLAY, Replay
from coreplex.webhook.ends import tell_end

NOUN = "Replay"
TOO_MANY = "Delete replays that are not needed"
DOCUMENTS = ("report",)
LIGHT = behind(Replay, DOCUMENTS)
"""Load replays without their reports: lists show none of it."""


def listing(parent: Any) -> Listing:
    """Replays of the caller's projects; those of each `parent` where they are listed within something."""
    return Listing(
        noun="Replay",
        query=select(Replay),
        identity=col(Replay.id),
        order=Order({"created_at": col(Replay.created_at), "model_name": func.lower(col(Replay.model_name))}),
        search=Search("the name of the candidate", (col(Replay.model_name),)),
        filters={
            "ids": identifiers(col(Replay.id), "Only these replays."),
            "project_id": reference(col(Replay.project_id), "Project", "Only replays of this project."),
            "deployment_id": reference(col(Replay.deployment_id), "Deployment", "Only replays of rows of this deployment."),
            "model_id": reference(col(Replay.model_id), "Model", "Only replays of this candidate."),
            "status": one_of(col(Replay.status), JobStatus, "Only replays in one of these states."),
            "verdict": one_of(col(Replay.verdict), ReplayVerdict, "Only replays that came to one of these."),
            "created_at": moments(col(Replay.created_at), "By when they were asked for."),
        },
        visible=lambda grant: col(Replay.project_id).in_(visible_projects(grant)),
        parent=parent,
        without=DOCUMENTS,
    )


REPLAYS = listing(col(Replay.project_id))
"""Replays of the caller's projects, newest first."""
REPLAYS_OF_DEPLOYMENTS = listing(col(Replay.deployment_id))


def visible(grant: Grant) -> Any:
    """Replays of the caller's projects, without their reports."""
    return visible_rows(grant, Replay, *LIGHT)


async def create(session: WriteSession, grant: Grant, wanted: CreateReplay, settings: Settings) -> Replay:
    """Answer what a deployment was asked by a candidate, in the background. Raises Invalid, NotFound, QuotaExceeded."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    model = await open_row(session, grant, Model, wanted.model_id, "Model")
    if model.project_id != deployment.project_id:
        raise Invalid.field(OF_OTHER_PROJECT, "model_id")
    if wanted.threshold is not None and len(model.classes) != 2:
        raise Invalid.field(
            Message(
                "replay_threshold_not_binary",
                "is for candidates of two classes; this has {classes}.",
                classes=len(model.classes),
            ),
            "threshold",
        )
    until = min(wanted.until or now(), now())
    since = await _begin(session, wanted, deployment, model, until)
    if since >= until:
        raise Invalid.field(Message("replay_span_empty", "must lie before until, which is now at the latest"), "since")
    said = wanted.model_dump(include={"arm", "threshold", "is_strict", "confidence_level", "max_row_count"})
    asked = {**said, "columns": wanted.slices, "wanted_margin": wanted.margin}
    return await start(session, grant.user_id, deployment, model, settings, since=since, until=until, **asked)


async def start(
    session: WriteSession,
    actor_id: UUID | None,
    deployment: Deployment,
    model: Model,
    settings: Settings,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    **asked: Any,
) -> Replay:
    """Begin a replay, whoever wants it (None: the server itself); when nothing is said, of the rows of a week, or of those since
    the last one of this candidate began. `asked`: further columns of `Replay`. Raises Invalid for a model that predicts something
    else, and QuotaExceeded."""
    require_same_target(await session.get_one(Model, deployment.model_id), model, deployment.name, "model_id")
    await quota.take_item(session, settings, deployment.project_id, Replay, TOO_MANY)
    until = until or now()
    replay = Replay(
        project_id=deployment.project_id,
        deployment_id=deployment.id,
        model_id=model.id,
        model_name=model.name,
        since=since or await _as_before(session, deployment, model) or until - length_of(USUAL_WINDOW, "window"),
        until=until,
        created_by=actor_id,
        **{"max_row_count": MOST_ROWS, **asked},
    )
    session.add(replay)
    await session.flush()
    await job.enqueue_for(session, replay, REPLAY, actor_id)
    said = f"Rows that “{deployment.name}” has answered are asked of “{model.name}”."
    await event.audit(session, actor_id, replay, "replay.created", said)
    return replay


async def _begin(session: ReadSession, wanted: CreateReplay, deployment: Deployment, model: Model, until: datetime) -> datetime:
    if wanted.since is not None:
        return wanted.since
    before = await _as_before(session, deployment, model) if wanted.window is None else None
    try:
        return before or until - length_of(wanted.window or USUAL_WINDOW, "window")
    except OverflowError:
        raise Invalid.field(BEFORE_ALL_TIME, "until") from None


async def _as_before(session: ReadSession, deployment: Deployment, model: Model) -> datetime | None:
    """Where the last replay of this candidate began; none of those that came to nothing."""
    query = select(col(Replay.since)).where(
        col(Replay.deployment_id) == deployment.id,
        col(Replay.model_id) == model.id,
        col(Replay.status) == JobStatus.succeeded,
        ~col(Replay.is_sampled),
    )
    return await session.scalar(query.order_by(col(Replay.created_at).desc()).limit(1))


async def delete(session: WriteSession, grant: Grant, wanted: DeleteReplay) -> tuple[UUID, UUID]:
    """Remove a replay, ending it first where it runs; its id, and that of its project."""
    replay = await open_row(session, grant, Replay, wanted.replay_id, NOUN)
    if not await job.end_and_hold(session, replay):
        raise NotFound.of(NOUN)
    await event.audit(session, grant.user_id, replay, "replay.deleted", f"The replay of “{replay.model_name}” was deleted.")
    await session.delete(replay)
    return replay.id, replay.project_id


async def follow(session: WriteSession, row: Job) -> None:
    """A replay is as its job is."""
    replay = await session.get(Replay, row.entity_id)
    if replay is None or replay.job_id != row.id:
        return
    replay.enter(row.status, row.error)
    if row.status.final:
        data = {"verdict": replay.verdict, "deployment_id": replay.deployment_id, "model_id": replay.model_id}
        await tell_end(session, replay, "replay", _outcome(replay), data)


def _outcome(replay: Replay) -> str:
    if replay.status is JobStatus.failed:
        return f"The replay of “{replay.model_name}” failed: {replay.error}"
    verdict = (replay.verdict or "").replace("_", " ")
    agreement = f"{replay.agreement or 0:.1%}"
    return f"“{replay.model_name}” answers {agreement} of {replay.row_count or 0:,} logged rows alike; it is {verdict}."


async def entity(session: WriteSession, row: Job) -> str | None:
    """What people call the thing the job works on."""
    replay = await session.get(Replay, row.entity_id)
    return f"replay of “{replay.model_name}”" if replay else None
