"""Begins a batch: which model, which rows. A file that was sent is in storage before the row that names it.

The caller opens the transaction: `async with asked(…) as new: … store(session, …, new)`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete
from sqlmodel import col

from coreplex.artifact.table import STORAGE, Artifact, ArtifactKind
from coreplex.batch.inputs import NEEDS_MODEL, CreateBatch
from coreplex.batch.table import PREDICT_BATCH, PredictionBatch
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.versions import open_version
from coreplex.engines.scoring.columns import none_known
from coreplex.errors.nearest import folded
from coreplex.errors.tree import Conflict, Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.experiment.table import ProblemType
from coreplex.job import service as job
from coreplex.job.service import enqueue_removal
from coreplex.job.table import Job
from coreplex.membership import quota
from coreplex.membership.access import ARCHIVED, OF_OTHER_PROJECT, open_row
from coreplex.membership.table import Project, ProjectStatus
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.platform.staging import StagedFile, rows_too_large
from coreplex.platform.storage import gone_on_failure
from coreplex.serving.address import Route
from coreplex.serving.inputs import PredictOptions
from coreplex.serving.options import idle_options, parse_options, unknown_options
from coreplex.serving.route import Routes

log = structlog.get_logger()

CLEANED_AFTER = timedelta(hours=1)
TOO_MANY = "Delete batches of predictions that are not needed"


@dataclass
class NewBatch:
    """A batch whose file, if one was sent, is stored, and whose rows are not inserted yet."""

    batch: PredictionBatch
    artifact: Artifact | None = None
    cleaning: UUID | None = None
    """The queued job that removes the file should this process die before the rows are there."""


async def target(services: Services, grant: Grant, model_id: str | None, deployment_id: str | None) -> Route:
    """The way to what is to predict: asked before a file is taken, and again. Raises NotFound, Forbidden, QuotaExceeded, Conflict
    for a deployment that does not serve or an archived project, and Invalid unless one of both is named."""
    if (model_id is None) == (deployment_id is None):
        raise Invalid.field(NEEDS_MODEL, "model_id")
    routes = Routes.of(services)
    if deployment_id is None:
        route = await routes.model(grant, str(model_id))
    else:
        route = await routes.deployment(grant, deployment_id)
        route.require_active()
    async with services.database.read() as session:
        await _require_open(session, route.project_id)
        await quota.require_item(session, services.settings, route.project_id, PredictionBatch, TOO_MANY)
    return route


@asynccontextmanager
async def asked(services: Services, grant: Grant, wanted: CreateBatch) -> AsyncIterator[NewBatch]:
    """A new batch. Raises as `target`, Invalid and TooLarge. A staged upload is used up by a success only."""
    options, route = _options(wanted), await target(services, grant, wanted.model_id, wanted.deployment_id)
    async with services.database.read() as session:
        batch = await _batch(session, grant, wanted, route, options)
        if wanted.upload_id is None:
            await _of_version(session, grant, wanted, batch)
    if wanted.upload_id is None:
        yield NewBatch(batch)
        return
    upload = services.upload(wanted.upload_id, grant.user_id)
    if upload.size_bytes > (most := services.settings.max_batch_upload_bytes):
        raise rows_too_large(most)
    batch.filename, batch.input_sha256 = upload.filename, upload.sha256
    async with _stored(services, grant, batch, upload) as new:
        yield new
    services.staging.discard(upload)


def _options(wanted: CreateBatch) -> PredictOptions:
    """The options that were sent. Raises Invalid naming the wrong one."""
    known = parse_options(wanted.options)
    for name, unwanted in (("explain", known.explain), ("contributions", known.contributions), ("keys", known.keys)):
        if unwanted:
            raise Invalid.field(
                Message(
                    "option_not_of_batch",
                    "is an option of predict; a batch has threshold, interval and strict",
                ),
                "options",
                name,
            )
    return known


async def _batch(
    session: ReadSession, grant: Grant, wanted: CreateBatch, route: Route, options: PredictOptions
) -> PredictionBatch:
    """The row, with the model of the route. Raises Invalid for an option that is idle, under `strict`."""
    model = await open_row(session, grant, Model, str(route.model_id), "Model")
    return PredictionBatch(
        project_id=model.project_id,
        model_id=model.id,
        deployment_id=route.deployment_id,
        model_name=model.name,
        model_sha256=route.sha256,
        filename="",
        input_sha256="",
        options=options.model_dump(include={"threshold", "interval", "strict"}, exclude_none=True, exclude_defaults=True),
        warnings=[one["message"] for one in (*unknown_options(wanted.options), *idle_options(options, _task(model)))],
        created_by=grant.user_id,
    )


def _task(model: Model) -> str:
    if model.problem_type is ProblemType.regression:
        return "regression"
    return "binary" if len(model.classes) == 2 else "multiclass"


async def _require_open(session: ReadSession, project_id: UUID) -> None:
    """Predicting changes nothing, storing predictions does. Raises Conflict for an archived project."""
    project = await session.get(Project, project_id, populate_existing=True)
    if project is None:
        raise NotFound.of("Project")
    if project.status is ProjectStatus.archived:
        raise Conflict(ARCHIVED)


async def _of_version(session: ReadSession, grant: Grant, wanted: CreateBatch, batch: PredictionBatch) -> None:
    """Let the batch be of a dataset version's rows. Raises Invalid for one of which the model knows no column."""
    version = await open_version(session, grant, str(wanted.dataset_version_id))
    if version.project_id != batch.project_id:
        raise Invalid.field(OF_OTHER_PROJECT, "dataset_version_id")
    model = await session.get_one(Model, batch.model_id)
    table = await session.get_one(Artifact, version.artifact_id)
    features, columns = [one["name"] for one in model.features], [one["name"] for one in version.table_schema["columns"]]
    if features and not {*map(folded, features)} & {*map(folded, columns)}:
        raise Invalid.field(none_known(columns, features), "dataset_version_id")
    batch.dataset_version_id, batch.of_dataset = version.id, True
    batch.filename, batch.input_sha256 = await _name_of(session, version), table.sha256


async def _name_of(session: ReadSession, version: DatasetVersion) -> str:
    dataset = await session.get_one(Dataset, version.dataset_id)
    return f"{dataset.name} v{version.version}"


@asynccontextmanager
async def _stored(services: Services, grant: Grant, batch: PredictionBatch, upload: StagedFile) -> AsyncIterator[NewBatch]:
    """The file in storage while the block inserts its rows; gone again when it fails."""
    batch.id = new_id()
    artifact = Artifact(
        project_id=batch.project_id,
        kind=ArtifactKind.upload,
        storage_key=f"{batch.folder}/input/file",
        filename=upload.filename,
        content_type=upload.content_type,
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
    )
    async with services.database.transaction() as session:
        cleaning = await enqueue_removal(
            session, "prediction_batch", batch.id, prefix=batch.folder, created_by=grant.user_id, delay=CLEANED_AFTER
        )
    second = services.staging.second_name(upload.path)
    try:
        with gone_on_failure(second):
            await services.storage.put(artifact.storage_key, second)
        yield NewBatch(batch, artifact, cleaning.id)
    except BaseException:
        await _take_back(services, batch)
        raise


async def _take_back(services: Services, batch: PredictionBatch) -> None:
    """Remove the file, unless its row is there after all (a connection lost while it committed)."""
    try:
        async with services.database.read() as session:
            if await session.get(PredictionBatch, batch.id) is None:
                await services.storage.delete_all(batch.folder)
    except Exception as error:
        log.warning("batch_file_left", batch_id=str(batch.id), error=repr(error))


async def store(session: WriteSession, grant: Grant, new: NewBatch, settings: Settings) -> PredictionBatch:
    """Insert the rows and queue the job. Raises NotFound and Conflict for what changed meanwhile, QuotaExceeded."""
    batch = new.batch
    await quota.take_item(session, settings, batch.project_id, PredictionBatch, TOO_MANY)
    await _require_open(session, batch.project_id)
    await open_row(session, grant, Model, str(batch.model_id), "Model")
    if batch.dataset_version_id is not None:
        await open_version(session, grant, str(batch.dataset_version_id))
    if new.artifact is not None:
        await quota.take_room(session, settings, batch.project_id, {STORAGE: new.artifact.size_bytes})
        session.add(new.artifact)
        await session.flush()
        batch.input_artifact_id = new.artifact.id
        await session.execute(delete(Job).where(col(Job.id) == new.cleaning))
    session.add(batch)
    await session.flush()
    await job.enqueue_for(session, batch, PREDICT_BATCH, grant.user_id)
    message = f"Predictions of “{batch.filename}” by “{batch.model_name}” were asked for."
    await event.audit(session, grant.user_id, batch, "prediction_batch.created", message)
    return batch
