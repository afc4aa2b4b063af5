"""Keeps, by deployment and day, by how much each column moved the answers: of a uniform sample, worked out in a child.

A day is looked at again while it grows, so that today is told too; what has hardly grown is left alone.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.engines.performance.answers import Logged
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.model.table import Model
from coreplex.monitoring import answered, baseline
from coreplex.monitoring.period import Period, floor
from coreplex.monitoring.table import AttributionBaseline, AttributionDay
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.identifier import new_id
from coreplex.platform.isolation import run_child
from coreplex.platform.one_by_one import one_by_one

ATTRIBUTE = child_task("coreplex.engines.explain.attribution:run")
DAY = timedelta(days=1)
MOST_ROWS = 2_000
"""Of a day, and of training."""
LEAST_ROWS = 100
GROWN = 1.1
"""So many times the rows, and a day is looked at again."""
TIME_LIMIT_SECS, MEMORY_BYTES = 300.0, 4 << 30


class Due(NamedTuple):
    """A day of a deployment whose answers are to be looked at."""

    deployment: Deployment
    period: Period
    answered: int


async def make(_job: Job, context: JobContext) -> dict[str, Any]:
    """Look at yesterday and today of every active deployment."""
    async with context.database.read() as session:
        active = select(Deployment).where(col(Deployment.status) == DeploymentStatus.active).order_by(col(Deployment.id))
        deployments = (await session.scalars(active)).all()
    today, made = floor(now(), DAY), 0

    async def look_at(deployment: Deployment) -> None:
        nonlocal made
        async with context.database.read() as session:
            due = [one for day in (today - DAY, today) if (one := await _due(session, deployment, day)) is not None]
        for one in due:
            await _make(context, one)
            made += 1

    await one_by_one(deployments, look_at, "attribution.not_looked_at")
    return {"days": made}


async def _due(session: ReadSession, deployment: Deployment, day: datetime) -> Due | None:
    """A day of which enough was answered, and more than when it was looked at last."""
    layout = (await baseline.layouts(session, [deployment.model_id])).get(deployment.model_id)
    asked = answered.Asked(deployment, Period(day, day + DAY), DAY, None)
    count = sum((await answered.counts(session, asked, layout)).values())
    seen = await session.scalar(
        select(col(AttributionDay.answered_count)).where(
            col(AttributionDay.deployment_id) == deployment.id,
            col(AttributionDay.model_id) == deployment.model_id,
            col(AttributionDay.began_at) == day,
        )
    )
    return Due(deployment, asked.period, count) if count >= max(LEAST_ROWS, GROWN * (seen or 0)) else None


async def _make(context: JobContext, due: Due) -> None:
    async with context.database.read() as session:
        asked = answered.Asked(due.deployment, due.period, DAY, None)
        rows = await answered.sampled(session, asked, due.answered, MOST_ROWS, inputs=True)
        model = await session.get_one(Model, due.deployment.model_id)
        bundle = await session.get_one(Artifact, model.artifact_id)
        known = await session.get(AttributionBaseline, model.id) is not None
        version = await session.get_one(DatasetVersion, model.dataset_version_id)
        table = await session.get_one(Artifact, version.artifact_id)
    request = {"bundle": str(await whole(context.storage, bundle)), "sha256": bundle.sha256}
    if not known:
        of_training = {"table": str(await whole(context.storage, table)), "schema": version.table_schema, "most": MOST_ROWS}
        found = await _attributed(context, {**request, **of_training})
        await context.save(lambda session: _keep_baseline(session, model.id, found))
    live = await _attributed(context, {**request, "rows": _inputs(rows)})
    await context.save(lambda session: _keep_day(session, due, live))


def _inputs(rows: Logged) -> Sequence[Any]:
    return [orjson.loads(one) for one in rows.inputs if one is not None]


async def _attributed(context: JobContext, request: dict[str, Any]) -> dict[str, Any]:
    return await run_child(
        ATTRIBUTE,
        request,
        time_limit_secs=TIME_LIMIT_SECS,
        memory_bytes=MEMORY_BYTES,
        env_threads=context.settings.training_threads,
        control=context.control,
    )


async def _keep_baseline(session: WriteSession, model_id: UUID, found: dict[str, Any]) -> None:
    if await session.get(Model, model_id, with_for_update={"key_share": True, "read": True}) is None:
        return
    made = insert(AttributionBaseline).values(model_id=model_id, row_count=found["rows"], features=found["features"])
    await session.execute(made.on_conflict_do_nothing())


async def _keep_day(session: WriteSession, due: Due, found: dict[str, Any]) -> None:
    deployment = await session.get(Deployment, due.deployment.id, with_for_update={"key_share": True, "read": True})
    if deployment is None:
        return
    told = {"answered_count": due.answered, "row_count": found["rows"], "features": found["features"], "made_at": now()}
    day = {"deployment_id": deployment.id, "model_id": due.deployment.model_id, "began_at": due.period.since}
    made = insert(AttributionDay).values(id=new_id(), **day, **told)
    await session.execute(made.on_conflict_do_update(constraint="uq_attribution_days_day", set_=told))
