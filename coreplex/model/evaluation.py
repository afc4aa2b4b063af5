"""Evaluates a model on labelled rows that came later: scored in a child with limits, kept beside the model.

Answered whole, as an upload is: the child scores for so many seconds and says when that was a part of the rows only.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlmodel import col

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.table_tasks import UNPACKED_TIMES, TableTasks
from coreplex.dataset.versions import open_version
from coreplex.errors.tree import Invalid, Message
from coreplex.event import service as event
from coreplex.experiment.table import Experiment
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, open_row
from coreplex.model.inputs import EvaluateModel
from coreplex.model.table import Evaluation, Model
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.document import storable
from coreplex.platform.filtering import LongRange, moments, numbers, reference, text
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings

HOLDOUT = child_task("coreplex.engines.automl.holdout:run")
SECONDS = 25.0
"""How long rows are scored; what there was no time for is left out, and said."""
_SAME_ROWS = "These are the rows the model learned from: it knows their answers, so its scores on them promise nothing."
TOO_MANY = "Delete models that are not needed, with their evaluations"


@dataclass(frozen=True)
class _Rows:
    """The labelled table, as the child wants it."""

    request: dict[str, Any]
    filename: str
    version_id: UUID | None = None


EVALUATIONS = Listing(
    noun="Evaluation",
    query=select(Evaluation),
    identity=col(Evaluation.id),
    order=Order(
        {
            "created_at": col(Evaluation.created_at),
            "filename": func.lower(col(Evaluation.filename)),
            "row_count": col(Evaluation.rows),
        }
    ),
    search=Search("the name of the file and the notes", (col(Evaluation.filename), cast(col(Evaluation.notes), Text))),
    filters={
        "dataset_version_id": reference(
            col(Evaluation.dataset_version_id), "Dataset version", "Only those on this dataset version."
        ),
        "filename": text(col(Evaluation.filename), "By the name of the file."),
        "row_count": numbers(col(Evaluation.rows), "By rows of the file.", LongRange),
        "created_at": moments(col(Evaluation.created_at), "By when they were made."),
    },
    parent=col(Evaluation.model_id),
)
"""The evaluations of models the caller may see, newest first."""


async def evaluate(services: Services, grant: Grant, wanted: EvaluateModel) -> Evaluation:
    """An evaluation, not stored yet. Raises NotFound and Forbidden before anything is read, Invalid and BadInput for tables that
    say nothing of the model."""
    async with services.database.read() as session:
        model = await open_row(session, grant, Model, wanted.model_id, "Model")
        await quota.require_item(session, services.settings, model.project_id, Evaluation, TOO_MANY)
        experiment = await session.get_one(Experiment, model.experiment_id)
        trained = await session.get_one(DatasetVersion, model.dataset_version_id)
        bundle = await session.get_one(Artifact, model.artifact_id)
    request = {
        "bundle": str(await whole(services.storage, bundle)),
        "sha256": bundle.sha256,
        "target": next(one for one in trained.table_schema["columns"] if one["name"] == model.target_column),
        "metric_intervals": model.metric_intervals,
        "quantile": _quantile(experiment.config),
        "seconds": SECONDS,
    }
    async with _rows(services, grant, wanted, model) as rows:
        found = storable(await TableTasks.of(services).run(HOLDOUT, {**request, **rows.request}))
    if rows.version_id == model.dataset_version_id:
        found["notes"].insert(0, _SAME_ROWS)
    return Evaluation(
        project_id=model.project_id,
        model_id=model.id,
        dataset_version_id=rows.version_id,
        filename=rows.filename,
        created_by=grant.user_id,
        **found,
    )


async def store(session: WriteSession, grant: Grant, evaluation: Evaluation, settings: Settings) -> Evaluation:
    """Keep it, unless the model has gone meanwhile (NotFound). Raises QuotaExceeded."""
    model = await open_row(session, grant, Model, str(evaluation.model_id), "Model")
    await quota.take_item(session, settings, model.project_id, Evaluation, TOO_MANY)
    session.add(evaluation)
    await session.flush()
    message = f"Model “{model.name}” was evaluated on {evaluation.rows_used} rows of “{evaluation.filename}”."
    await event.audit(session, grant.user_id, model, "model.evaluated", message, {"evaluation_id": str(evaluation.id)})
    return evaluation


def _quantile(config: dict[str, Any]) -> float | None:
    return config.get("quantile_alpha") if config.get("distribution") == "quantile" else None


@asynccontextmanager
async def _rows(services: Services, grant: Grant, wanted: EvaluateModel, model: Model) -> AsyncIterator[_Rows]:
    """The table asked for; a staged upload is used up by a success only."""
    if wanted.dataset_version_id is not None:
        async with services.database.read() as session:
            version = await open_version(session, grant, wanted.dataset_version_id)
            artifact = await session.get_one(Artifact, version.upload_artifact_id or version.artifact_id)
        if version.project_id != model.project_id:
            raise Invalid.field(OF_OTHER_PROJECT, "dataset_version_id")
        path = str(await whole(services.storage, artifact))
        if version.upload_artifact_id is None:
            if wanted.sheet is not None:
                raise Invalid.field(
                    Message("sheet_of_no_workbook", "goes with a workbook, and this version was read from none"), "sheet"
                )
            yield _Rows({"table": path, "schema": version.table_schema}, artifact.filename, version.id)
            return
        sheet = wanted.sheet or version.read_options.get("sheet")
        with services.staging.scratch() as scratch:
            yield _Rows(_file(services, path, artifact.filename, scratch, sheet), artifact.filename, version.id)
        return
    upload = services.upload(str(wanted.upload_id), grant.user_id)
    with services.staging.scratch() as scratch:
        yield _Rows(_file(services, str(upload.path), upload.filename, scratch, wanted.sheet), upload.filename)
    services.staging.discard(upload)


def _file(services: Services, source: str, filename: str, scratch: Path, sheet: str | None = None) -> dict[str, Any]:
    unpacked = UNPACKED_TIMES * services.settings.max_dataset_upload_bytes
    return {"source": source, "filename": filename, "scratch": str(scratch), "sheet": sheet, "unpacked_bytes": unpacked}
