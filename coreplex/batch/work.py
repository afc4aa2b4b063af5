"""The job behind a batch: its child scores chunk by chunk, and what an attempt has finished the next one goes on from."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from coreplex.artifact.service import whole
from coreplex.artifact.table import STORAGE, Artifact, ArtifactKind
from coreplex.batch.service import finished
from coreplex.batch.table import PredictionBatch
from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.table_tasks import CONTENT_TYPES, UNPACKED_TIMES
from coreplex.errors.tree import Damaged, DomainError, Message, NotFound, Unavailable
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.membership import quota
from coreplex.model.table import Model
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.document import storable
from coreplex.platform.isolation import ChildCrashed, run_child
from coreplex.platform.storage import disk_errors

log = structlog.get_logger()

SCORE = child_task("coreplex.engines.batch.task:run")
TIME_LIMIT_SECS = 6 * 3600.0
MEMORY_BYTES = 2 << 30
LEFT_SECS = 6 * 3600.0
"""After so long without a new part a folder is of an attempt that nobody goes on from."""


async def run(job: Job, context: JobContext) -> dict[str, Any] | None:
    """Predict the rows of the batch the job names; nothing where that is gone."""
    asked = await _request(job, context)
    if asked is None:
        return None
    batch, request = asked
    folder = folders(context.settings.data_dir) / str(batch.id)
    with disk_errors():
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    # A name of this attempt's own: another one may not be dead yet.
    destination = folder / f"{context.token}.parquet"
    try:
        found = await _scored(context, {**request, "folder": str(folder), "destination": str(destination)}, folder)
        await _keep(context, batch, found, destination)
    except (ChildCrashed, Unavailable):
        raise  # tried again, from the parts that are there
    except DomainError:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise
    except asyncio.CancelledError:
        if context.orders.cancel:  # and not that of a worker that goes away: nobody goes on
            shutil.rmtree(folder, ignore_errors=True)
        raise
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    return {"batch_id": str(batch.id), "rows": found["rows"], "refused": found["refused"]}


async def _request(job: Job, context: JobContext) -> tuple[PredictionBatch, dict[str, Any]] | None:
    """The batch, and what its child is asked for. Raises Damaged for a model or rows that are not what they were."""

    async def work(session: WriteSession) -> Any:
        batch = await session.get(PredictionBatch, job.entity_id)
        if batch is None:
            return None
        model = await session.get(Model, batch.model_id) if batch.model_id else None
        if model is None:
            raise NotFound.of("Model")
        bundle = await session.get_one(Artifact, model.artifact_id)
        if not batch.of_dataset:
            return batch, bundle, await session.get_one(Artifact, batch.input_artifact_id), None
        version = await session.get(DatasetVersion, batch.dataset_version_id) if batch.dataset_version_id else None
        if version is None:
            raise NotFound.of("Dataset version")
        return batch, bundle, await session.get_one(Artifact, version.artifact_id), version.table_schema

    found = await context.save(work)
    if found is None:
        return None
    batch, bundle, artifact, schema = found
    if bundle.sha256 != batch.model_sha256:
        raise Damaged(Message("batch_model_changed", "The model's file is not the one the batch was asked for."))
    rows, path = await whole(context.storage, artifact), await whole(context.storage, bundle)
    table = {"source": str(rows), "filename": batch.filename} if schema is None else {"table": str(rows), "schema": schema}
    unpacked = UNPACKED_TIMES * context.settings.max_batch_upload_bytes
    request = {"bundle": str(path), "sha256": bundle.sha256, "input_sha256": artifact.sha256, "unpacked_bytes": unpacked}
    return batch, {**request, **table, **batch.options}


async def _scored(context: JobContext, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    async def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            context.report(event["fraction"], event["message"])
        elif event["event"] == "log":
            context.log(event["message"], event["level"])

    return storable(
        await run_child(
            SCORE,
            request,
            on_event=on_event,
            time_limit_secs=TIME_LIMIT_SECS,
            memory_bytes=MEMORY_BYTES,
            env_threads=context.settings.training_threads,
            control=context.control,
            writes_to=folder,
        )
    )


async def _keep(context: JobContext, batch: PredictionBatch, found: dict[str, Any], path: Path) -> None:
    """The result in storage, then the row that names it: a row without its file never exists."""
    key = f"{batch.folder}/results/{context.token}/predictions.parquet"
    artifact = Artifact(
        project_id=batch.project_id,
        kind=ArtifactKind.predictions,
        storage_key=key,
        filename=f"{batch.result_name}.parquet",
        content_type=CONTENT_TYPES["parquet"],
        sha256=found["sha256"],
        size_bytes=found["size"],
    )
    try:
        await context.storage.put(key, path)
        await context.save(lambda session: _store(session, context, batch.id, found, artifact))
    except BaseException:
        await asyncio.shield(_take_back(context, artifact))
        raise


async def _take_back(context: JobContext, artifact: Artifact) -> None:
    """Remove the result, unless its row is there after all (a connection lost, or an order heard, while it committed)."""
    try:
        async with context.database.read() as session:
            if await session.get(Artifact, artifact.id) is None:
                await context.storage.delete_all(artifact.storage_key.rpartition("/")[0])
    except Exception as error:
        # A file without a row is waste; a row without its file is loss.
        log.warning("batch_result_left", key=artifact.storage_key, error=repr(error))


async def _store(session: WriteSession, context: JobContext, batch_id: UUID, found: dict[str, Any], artifact: Artifact) -> None:
    batch = await session.get(PredictionBatch, batch_id, with_for_update=True)
    if batch is None:
        raise NotFound.of("Batch")
    if batch.artifact_id == artifact.id:
        return  # stored already: the database went away after the commit and before it could say so
    await quota.take_room(session, context.settings, batch.project_id, {STORAGE: artifact.size_bytes})
    row = Artifact(**artifact.model_dump())
    session.add(row)
    await session.flush()
    finished(batch, found, row)


def folders(data_dir: Path) -> Path:
    """Where the parts of unfinished batches are, on the disk of their worker."""
    return data_dir / "batches"


def sweep(data_dir: Path) -> int:
    """Remove what attempts have left that nobody goes on from; returns how many folders went."""
    horizon, gone, root = time.time() - LEFT_SECS, 0, folders(data_dir)
    for path in root.iterdir() if root.is_dir() else ():
        if max(one.stat().st_mtime for one in (path, *path.iterdir())) < horizon:
            shutil.rmtree(path, ignore_errors=True)
            gone += 1
    return gone
