"""What can be done with batches of predictions: list, store, delete. What reads files is in `create` and `result`."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.batch.inputs import DeleteBatch
from coreplex.batch.table import PredictionBatch
from coreplex.errors.tree import Conflict, Message, NotFound
from coreplex.event import service as event
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.job.service import enqueue_removal
from coreplex.job.table import Job
from coreplex.membership.access import open_row, visible_projects, visible_rows
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import LongRange, identifiers, moments, numbers, one_of, reference, text
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import behind
from coreplex.webhook.ends import tell_end

NOUN = "Batch"
DOCUMENTS = ("result_schema",)
LIGHT = behind(PredictionBatch, DOCUMENTS)
"""Load batches without the schemas of their results: lists show none of it."""


def listing(parent: Any) -> Listing:
    """Batches of the caller's projects; those of each `parent` where they are listed within something."""
    return Listing(
        noun="PredictionBatch",
        query=select(PredictionBatch),
        identity=col(PredictionBatch.id),
        order=Order(
            {
                "created_at": col(PredictionBatch.created_at),
                "filename": func.lower(col(PredictionBatch.filename)),
                "row_count": col(PredictionBatch.row_count),
                "status": col(PredictionBatch.status),
            }
        ),
        search=Search("the names of the file and of the model", (col(PredictionBatch.filename), col(PredictionBatch.model_name))),
        filters={
            "ids": identifiers(col(PredictionBatch.id), "Only these batches."),
            "project_id": reference(col(PredictionBatch.project_id), "Project", "Only batches of this project."),
            "model_id": reference(col(PredictionBatch.model_id), "Model", "Only batches of this model."),
            "deployment_id": reference(
                col(PredictionBatch.deployment_id), "Deployment", "Only batches asked of this deployment."
            ),
            "dataset_version_id": reference(
                col(PredictionBatch.dataset_version_id), "Dataset version", "Only batches over this dataset version."
            ),
            "filename": text(col(PredictionBatch.filename), "By the name of the file."),
            "status": one_of(col(PredictionBatch.status), JobStatus, "Only batches in one of these states."),
            "row_count": numbers(col(PredictionBatch.row_count), "By rows.", LongRange),
            "created_at": moments(col(PredictionBatch.created_at), "By when they were asked for."),
        },
        visible=lambda grant: col(PredictionBatch.project_id).in_(visible_projects(grant)),
        parent=parent,
        without=DOCUMENTS,
    )


BATCHES = listing(col(PredictionBatch.project_id))
"""Batches of the caller's projects, newest first."""
BATCHES_OF_MODELS = listing(col(PredictionBatch.model_id))
BATCHES_OF_DEPLOYMENTS = listing(col(PredictionBatch.deployment_id))


def visible(grant: Grant) -> Any:
    """Batches of the caller's projects, without the schemas of their results."""
    return visible_rows(grant, PredictionBatch, *LIGHT)


async def open_result(session: ReadSession, grant: Grant, batch_id: str | UUID) -> tuple[PredictionBatch, Artifact]:
    """A batch and its result. Raises NotFound, and Conflict while there is none."""
    batch = await open_row(session, grant, PredictionBatch, batch_id, NOUN)
    if batch.artifact_id is None:
        raise Conflict(_no_result(batch))
    return batch, await session.get_one(Artifact, batch.artifact_id)


def _no_result(batch: PredictionBatch) -> Message:
    if batch.status.final:
        return Message(
            "batch_without_result",
            "The batch ended as {status} and has no result: {error}",
            status=batch.status,
            error=batch.error or "",
        )
    return Message("batch_not_finished", "The batch is {status}; its result is there once it has succeeded.", status=batch.status)


async def delete_one(session: WriteSession, grant: Grant, wanted: DeleteBatch) -> tuple[UUID, UUID]:
    """Remove a batch with its files, ending it first where it runs; its id, and that of its project."""
    batch = await open_row(session, grant, PredictionBatch, wanted.batch_id, NOUN)
    if not await job.end_and_hold(session, batch):
        raise NotFound.of(NOUN)
    message = f"The batch of predictions of “{batch.filename}” was deleted."
    await event.audit(session, grant.user_id, batch, "prediction_batch.deleted", message)
    artifacts = [one for one in (batch.artifact_id, batch.input_artifact_id) if one is not None]
    prefix = batch.folder
    await session.delete(batch)
    await session.flush()
    for identity in artifacts:
        await session.delete(await session.get_one(Artifact, identity))
    await enqueue_removal(session, "prediction_batch", batch.id, prefix=prefix, created_by=grant.user_id)
    return batch.id, batch.project_id


async def follow(session: WriteSession, row: Job) -> None:
    """A batch is as its job is; when that has ended, the file that was sent is not needed any more."""
    batch = await session.get(PredictionBatch, row.entity_id)
    if batch is None or batch.job_id != row.id:
        return
    batch.enter(row.status, row.error)
    if row.status.final and batch.input_artifact_id is not None:
        artifact = await session.get_one(Artifact, batch.input_artifact_id)
        batch.input_artifact_id = None
        await session.flush()
        await session.delete(artifact)
        await enqueue_removal(session, "prediction_batch", batch.id, prefix=f"{batch.folder}/input")
    if row.status.final:
        await tell_end(session, batch, "prediction_batch", _outcome(batch), {"model_id": batch.model_id})


def _outcome(batch: PredictionBatch) -> str:
    if batch.status is JobStatus.failed:
        return f"Predictions of “{batch.filename}” failed: {batch.error}"
    return f"{batch.predicted_row_count or 0:,} of {batch.row_count or 0:,} rows of “{batch.filename}” were predicted."


async def entity(session: WriteSession, row: Job) -> str | None:
    """What people call the thing the job works on."""
    batch = await session.get(PredictionBatch, row.entity_id)
    return f"batch of predictions of “{batch.filename}”" if batch else None


def finished(batch: PredictionBatch, found: Mapping[str, Any], artifact: Artifact) -> None:
    """Note on the batch what its child found."""
    batch.artifact_id, batch.output_sha256 = artifact.id, artifact.sha256
    batch.row_count, batch.refused_row_count = found["rows"], found["refused"]
    batch.result_schema, batch.column_warnings = found["schema"], found["warnings"]
    renamed = [
        Message("column_renamed_in_result", "The file's own column '{old}' is called '{new}' in the result.", old=old, new=new)
        for old, new in found["renamed"].items()
    ]
    batch.warnings = [*batch.warnings, *renamed]
