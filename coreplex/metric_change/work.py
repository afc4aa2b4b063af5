"""The job behind an explanation: rows of both periods are read of the log, and a child says why the metric changed."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.deployment.table import Deployment
from coreplex.engines.performance.answers import Logged
from coreplex.errors.tree import Conflict, Message, NotFound
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.job.work_folder import folder_of
from coreplex.metric_change.table import MetricChange
from coreplex.monitoring import answered, baseline
from coreplex.monitoring.performance import Subject, subject_of
from coreplex.monitoring.period import Period
from coreplex.monitoring.table import Basis, MetricBasis
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.document import storable
from coreplex.platform.isolation import run_child
from coreplex.platform.storage import disk_errors

EXPLAIN = child_task("coreplex.engines.metric_change.task:run")
MOST_ROWS, LEAST_OUTCOMES = 5_000, 100
"""Of either period."""
MOST_CELLS, MOST_CLASS_PAIRS, FEWEST = 2_000_000, 4_000_000, 200
"""Of wide rows fewer are taken, and of estimates of many classes, for which a row counts once for each class: by either, no fewer
than `FEWEST`."""
TIME_LIMIT_SECS, MEMORY_BYTES = 600.0, 2 << 30


class Asked(NamedTuple):
    """An explanation with all it needs. `rows`: of the earlier and of the later period."""

    change: MetricChange
    deployment: Deployment
    subject: Subject
    bundle: Artifact
    basis: Basis
    rows: tuple[Logged, Logged]
    estimation: bytes | None


async def run(job: Job, context: JobContext) -> dict[str, Any] | None:
    """Explain the change that the job names; nothing where that is gone. Raises Conflict where nothing can be said."""
    async with context.database.read() as session:
        asked = await _asked(session, job)
    if asked is None:
        return None
    folder = folder_of(context.settings.data_dir, asked.change.id, context.token)
    try:
        with disk_errors():
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
            request = await _request(context, asked, folder)
            found = storable(await _explained(context, request))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    await context.save(lambda session: _store(session, asked, found))
    return {"metric_change_id": str(asked.change.id)}


async def _asked(session: ReadSession, job: Job) -> Asked | None:
    change = await session.get(MetricChange, job.entity_id)
    if change is None:
        return None
    deployment = await session.get_one(Deployment, change.deployment_id)
    subject = await subject_of(session, deployment)
    if subject.model.id != change.model_id:
        raise NotFound(Message("explained_model_gone", "The deployment has another model now. Ask again."))
    if subject.layout is None:
        raise Conflict(Message("columns_not_counted_yet", "The columns of this model are not counted yet. Ask in some minutes."))
    sides = [
        answered.Asked(deployment, Period(since, until), until - since, None)
        for since, until in ((change.baseline_since, change.baseline_until), (change.since, change.until))
    ]
    known = [sum((await answered.outcomes(session, side)).values()) for side in sides]
    basis = _basis(change.wanted_basis, subject, known)
    most, rows = most_rows(len(subject.layout.inputs), len(subject.judge.classes), basis), []
    for side, count in zip(sides, known, strict=True):
        if basis is Basis.realised:
            rows.append(await answered.judged(session, side, count, most, inputs=True))
        else:
            every = sum((await answered.counts(session, side, None)).values())  # of the log: counts are kept by the minute
            rows.append(await answered.sampled(session, side, every, most, inputs=True))
    estimation = await baseline.estimation(session, subject.model.id) if basis is Basis.estimated else None
    bundle = await session.get_one(Artifact, subject.model.artifact_id)
    return Asked(change, deployment, subject, bundle, basis, (rows[0], rows[1]), estimation)


def most_rows(columns: int, classes: int, basis: Basis) -> int:
    """How many rows of either period are taken, 200 to 5,000: as many as there is memory for."""
    most = min(MOST_ROWS, MOST_CELLS // max(columns, 1))
    if basis is Basis.estimated:
        most = min(most, MOST_CLASS_PAIRS // max(classes, 1) ** 2)
    return max(most, FEWEST)


def _basis(wanted: MetricBasis, subject: Subject, outcomes: Sequence[int]) -> Basis:
    """By what the metric is told. Raises Conflict where that cannot be."""
    enough = min(outcomes) >= LEAST_OUTCOMES
    if wanted is MetricBasis.realised or (wanted is MetricBasis.either and enough):
        return Basis.realised
    if subject.not_estimable is not None:
        raise Conflict(subject.not_estimable.then(None if wanted is MetricBasis.estimated else _known(outcomes)))
    return Basis.estimated


def _known(outcomes: Sequence[int]) -> Message:
    return Message(
        "outcomes_of_periods",
        "Outcomes are known of {before:,} rows of the earlier period and of {after:,} of the later one; {least} are needed in "
        "both.",
        before=outcomes[0],
        after=outcomes[1],
        least=LEAST_OUTCOMES,
    )


async def _request(context: JobContext, asked: Asked, folder: Path) -> dict[str, Any]:
    """What the child is asked, with its files in a folder."""
    path, subject = await whole(context.storage, asked.bundle), asked.subject
    await asyncio.to_thread(_write, folder / "rows", asked.rows)
    if asked.estimation is not None:
        await asyncio.to_thread((folder / "estimation").write_bytes, asked.estimation)
    assert subject.layout is not None
    return {
        "bundle": str(path),
        "sha256": asked.bundle.sha256,
        "problem_type": subject.model.problem_type,
        "classes": subject.model.classes,
        "quantile": subject.judge.quantile,
        "features": [one.to_json() for one in subject.layout.inputs],
        "rows": str(folder / "rows"),
        "estimation": None if asked.estimation is None else str(folder / "estimation"),
        "metric": asked.change.metric,
    }


def _write(path: Path, sides: Sequence[Logged]) -> None:
    """A line of JSON for each row, of texts that are JSON already."""
    with path.open("w", encoding="utf-8") as file:
        for number, rows in enumerate(sides):
            for inputs, output, outcome in zip(rows.inputs, rows.outputs, rows.outcomes, strict=True):
                file.write(f"[{number},{inputs or '{}'},{output},{outcome or 'null'}]\n")


async def _explained(context: JobContext, request: dict[str, Any]) -> dict[str, Any]:
    async def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            context.report(event["fraction"], event["message"])

    return await run_child(
        EXPLAIN,
        request,
        on_event=on_event,
        time_limit_secs=TIME_LIMIT_SECS,
        memory_bytes=MEMORY_BYTES,
        env_threads=context.settings.training_threads,
        control=context.control,
    )


async def _store(session: WriteSession, asked: Asked, found: dict[str, Any]) -> None:
    change = await session.get(MetricChange, asked.change.id, with_for_update=True)
    if change is None:
        return
    change.used_basis, change.before, change.after = asked.basis, found["before"], found["after"]
    change.std_error, change.parts = found["std_error"], found["parts"]
    change.after_row_count, change.before_row_count = found["rows"], found["baseline_rows"]
    if found["unknown"]:
        change.warnings = [
            Message(
                "unknown_classes_left_out",
                "{rows} rows are left out whose outcome is a class that the model does not know.",
                rows=found["unknown"],
            )
        ]
