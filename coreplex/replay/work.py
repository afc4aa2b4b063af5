"""The job behind a replay: the log is read into a file, and a child answers its rows by the candidate and compares."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import load_only
from sqlmodel import col

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment
from coreplex.engines.sequential.paired_gain import spent
from coreplex.errors.tree import Invalid, Message, NotFound
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.job.work_folder import folder_of
from coreplex.model.table import Model
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.document import storable
from coreplex.platform.isolation import run_child
from coreplex.platform.storage import disk_errors
from coreplex.replay import logged_rows
from coreplex.replay.table import Replay
from coreplex.serving.strictness import ODD

ANSWER = child_task("coreplex.engines.replay.task:run")
TIME_LIMIT_SECS = 6 * 3600.0
MEMORY_BYTES = 2 << 30
_READING = 0.2
"""The share of the work that is done when the rows are read."""


@dataclass(frozen=True)
class Asked:
    """What a replay is about, as it was when its job began."""

    replay: Replay
    model: Model
    bundle: Artifact
    reasons: Artifact | None
    version: DatasetVersion
    table: Artifact


async def run(job: Job, context: JobContext) -> dict[str, Any] | None:
    """Replay what the job names; nothing where that is gone."""
    asked = await context.save(lambda session: _asked(session, job))
    if asked is None:
        return None
    folder = folder_of(context.settings.data_dir, asked.replay.id, context.token)
    try:
        with disk_errors():
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
            return await _replayed(context, asked, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _asked(session: WriteSession, job: Job) -> Asked | None:
    replay = await session.get(Replay, job.entity_id)
    if replay is None:
        return None
    model = await session.get(Model, replay.model_id) if replay.model_id else None
    if model is None:
        raise NotFound.of("Model")
    reasons = await session.get(Artifact, model.explanation_artifact_id) if model.explanation_artifact_id else None
    version = await session.get_one(DatasetVersion, model.dataset_version_id)
    bundle, table = [await session.get_one(Artifact, one) for one in (model.artifact_id, version.artifact_id)]
    return Asked(replay, model, bundle, reasons, version, table)


async def _replayed(context: JobContext, asked: Asked, folder: Path) -> dict[str, Any]:
    replay, rows = asked.replay, folder / "rows"
    context.report(0.0, "reading the log")
    there = await logged_rows.count(context.database, replay)
    chosen = logged_rows.sampled(there, replay.max_row_count)
    written = await logged_rows.write(context.database, replay, chosen, rows, asked.version.created_at)
    if not written:
        raise Invalid(Message("replay_without_rows", "The deployment has answered no row in this time that is still in its log."))
    look = await context.save(lambda session: take_look(session, replay, is_sampled=bool(chosen)))
    warnings: list[Message] = [*_sampled(there, written)]
    found = await _compared(context, await _request(context, asked, written, look, rows), folder, warnings)
    warnings += _learned(asked, found)
    found |= {"logged_row_count": there, "warnings": warnings}

    async def keep(session: WriteSession) -> None:
        kept = await session.get(Replay, replay.id, with_for_update=True)
        if kept is None:
            raise NotFound.of("Replay")
        for name, value in found.items():
            setattr(kept, name, value)

    await context.save(keep)
    return {"replay_id": str(replay.id), "verdict": found["verdict"], "rows": found["row_count"]}


async def take_look(session: WriteSession, replay: Replay, *, is_sampled: bool) -> int:
    """Which start of looking at the candidate this is, noted on the row: the same as of an earlier one of the same rows, of which
    there may be more by now, and else a new one. What was sampled are others each time, and so are rows of another model."""
    # One after the other: two of one number would spend the same error twice.
    await session.execute(select(col(Model.id)).where(col(Model.id) == replay.model_id).with_for_update(key_share=True))
    query = (
        select(Replay)
        .options(load_only(*_OF_LOOKS))
        .where(
            col(Replay.deployment_id) == replay.deployment_id,
            col(Replay.model_id) == replay.model_id,
            col(Replay.id) != replay.id,
            col(Replay.look).is_not(None),
        )
    )
    earlier = (await session.scalars(query)).all()
    deployment = await session.get(Deployment, replay.deployment_id)
    began = None if deployment is None else deployment.deployed_at
    alike = (one for one in earlier if not one.is_sampled and _way(one) == _way(replay))
    same = [] if is_sampled else [one for one in alike if began is None or one.created_at >= began]
    look = (same[0].look if same else None) or max((one.look or 0 for one in earlier), default=0) + 1
    kept = await session.get(Replay, replay.id, with_for_update=True)
    if kept is not None:
        kept.look, kept.is_sampled = look, is_sampled
    return look


_WAY = ("since", "arm", "threshold", "is_strict")
_OF_LOOKS = [getattr(Replay, name) for name in (*_WAY, "look", "is_sampled", "created_at")]


def _way(replay: Replay) -> tuple[Any, ...]:
    """What makes it a look of its own."""
    return tuple(getattr(replay, name) for name in _WAY)


def _sampled(there: int, rows: int) -> Iterator[Message]:
    if rows < there:
        yield Message("replay_sampled", "Of {there:,} rows a uniform sample of {rows:,} was taken.", there=there, rows=rows)


def _learned(asked: Asked, found: dict[str, Any]) -> Iterator[Message]:
    """What is to be borne in mind where the candidate's table is younger than rows that were replayed."""
    early, learned = found.pop("early_outcome_count"), found.pop("learned_row_count")
    moment = f"{asked.version.created_at:%Y-%m-%d %H:%M} UTC"
    if learned:
        yield Message(
            "replay_learned_from",
            "The table that “{model}” has learned from was made at {moment}, after {rows:,} of the rows with outcomes were "
            "answered, and {learned:,} of these are in it, by their values and outcome: this comparison flatters the candidate. "
            "Replay it from that moment on.",
            model=asked.model.name,
            moment=moment,
            rows=early,
            learned=learned,
        )
    elif early:
        yield Message(
            "replay_may_have_learned",
            "The table that “{model}” has learned from was made at {moment}, after {rows:,} of the rows with outcomes were "
            "answered. None of these is in it as it was asked; if they are in it in another form, this comparison flatters the "
            "candidate.",
            model=asked.model.name,
            moment=moment,
            rows=early,
        )


async def _request(context: JobContext, asked: Asked, written: int, look: int, rows: Path) -> dict[str, Any]:
    """What the child is asked. Raises Damaged for a model that is not what it was."""
    replay = asked.replay
    reasons = None if asked.reasons is None else str(await whole(context.storage, asked.reasons))
    return {
        "bundle": str(await whole(context.storage, asked.bundle)),
        "sha256": asked.bundle.sha256,
        "reasons": reasons,
        "rows": str(rows),
        "row_count": written,
        "table": str(await whole(context.storage, asked.table)) if asked.version.created_at > replay.since else None,
        "schema": asked.version.table_schema,
        "threshold": replay.threshold,
        "odd": list(ODD) if replay.is_strict else [],
        "columns": replay.columns,
        "confidence": 1 - spent(1 - replay.confidence_level, look),
        "margin": replay.wanted_margin,
    }


async def _compared(context: JobContext, request: dict[str, Any], folder: Path, warnings: list[Message]) -> dict[str, Any]:
    """What the child finds; what it warns of comes to `warnings`."""

    async def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            context.report(_READING + (1 - _READING) * event["fraction"], event["message"])
        elif event["event"] == "log":
            context.log(event["message"], event["level"])
        elif event["event"] == "warning":
            warnings.append(Message.from_json(event))

    return storable(
        await run_child(
            ANSWER,
            request,
            on_event=on_event,
            time_limit_secs=TIME_LIMIT_SECS,
            memory_bytes=MEMORY_BYTES,
            env_threads=context.settings.training_threads,
            control=context.control,
            writes_to=folder,
        )
    )
