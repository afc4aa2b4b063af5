"""Models in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.experiment.table import ProblemType
from coreplex.model import inputs
from coreplex.model.service import SORT_METRICS
from coreplex.model.table import Model as Row
from coreplex.permissions import READ, WRITE
from resolvers import model as resolve
from resolvers.guard import Info
from schema.common import DeletedPayload, DeleteInput, Id, key, published
from schema.field import by_id, guarded, loaded, mutation
from schema.pagination import Connection, connection, sort_input
from schema.scalars import JSON, Long

published(inputs.ModelFilter, "ModelFilter", "Which models are wanted.")
ModelSort = sort_input("Model", ("best", "created_at", "name", "rank", *SORT_METRICS), "best")


@strawberry.type(description="A column a model reads.")
class Feature:
    name: str = key("name", "Name of the column.", str)
    type: str = key("type", "Type of the column.", str)


def _serves(stage: str, description: str) -> Any:
    return loaded(bool, lambda loaders: loaders.serving_stages, by_id, description, lambda stages, _: stage in stages)


def name_of(found: Any, _row: Any) -> str:
    """The name of something that may be gone."""
    return found.name if found else ""


async def _explanation(root: strawberry.Parent[Row], info: Info) -> JSON:
    return await resolve.document(info, root.explanation_artifact_id, "Explanation")


async def _curves(root: strawberry.Parent[Row], info: Info) -> JSON:
    return await resolve.document(info, root.curves_artifact_id, "Curves")


@strawberry.type(description="A trained model of an experiment.")
class Model:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="The project.")
    project_name: str = loaded(
        str, lambda loaders: loaders.project, lambda model: model.project_id, "Name of the project.", name_of
    )
    experiment_id: strawberry.ID = strawberry.field(description="The experiment that made it.")
    experiment_name: str = loaded(
        str, lambda loaders: loaders.experiment, lambda model: model.experiment_id, "Name of that experiment.", name_of
    )
    dataset_version_id: strawberry.ID = strawberry.field(description="The dataset version it learned from.")
    artifact_id: strawberry.ID = strawberry.field(description="Its file.")
    name: str = strawberry.field(description="Name, for example GBM_1_AutoML.")
    algo: str = strawberry.field(
        description="Algorithm family: GLM, DRF, XRT, GBM, XGBoost, DeepLearning, StackedEnsemble, Baseline."
    )
    engine: str = strawberry.field(description="The engine that made it.")
    problem_type: ProblemType = strawberry.field(description="Classification or regression.")
    target_column: str = strawberry.field(description="The column it predicts.")
    classes: JSON = strawberry.field(
        description="The classes it tells apart, spelled as in the uploaded file; empty for regression."
    )
    features: list[Feature] = strawberry.field(description="The columns it reads.")
    metrics: JSON = strawberry.field(description="Metrics by lower-case name, from out-of-fold predictions.")
    cv_metrics: JSON = strawberry.field(description="Mean and deviation of each metric over the folds.")
    parameters: JSON = strawberry.field(description="Hyperparameters.")
    rank: int = strawberry.field(description="Place on the leaderboard, from 1.")
    is_best: bool = strawberry.field(description="Whether it leads its experiment.")
    is_production: bool = _serves("production", "Whether an active production deployment serves it.")
    is_staging: bool = _serves("staging", "Whether an active staging deployment serves it.")
    training_time_secs: float = strawberry.field(description="Seconds its training took.")
    latency_ms: float = strawberry.field(description="Milliseconds one row takes, measured after training.")
    size_bytes: Long = strawberry.field(description="Size of its file.")
    explanation: JSON = strawberry.field(
        resolver=_explanation, description="Feature importance and SHAP values, with the method named."
    )
    curves: JSON = strawberry.field(
        resolver=_curves,
        description="ROC, precision-recall, confusion and calibration, or residuals; from out-of-fold predictions.",
    )
    created_at: datetime = strawberry.field(description="When it was finished.")


async def _one(info: Info, id: Id) -> Model:
    return await resolve.one(info, id)  # type: ignore[return-value]


async def _delete(info: Info, input: DeleteInput) -> DeletedPayload:
    return DeletedPayload(id=strawberry.ID(str(await resolve.delete(info, input.id))))


@strawberry.type
class ModelQuery:
    model: Model = guarded(_one, READ, "One model.")
    models: Connection[Model] = connection(
        resolve.many,
        node=Model,
        permission=READ,
        sort=ModelSort,
        filter=inputs.ModelFilter,
        extra={"wait_secs": (int, 0, "Seconds (at most 25) to hold back an empty answer while a search is still running.")},
        description="Models of the caller's projects, the best first.",
    )


@strawberry.type
class ModelMutation:
    delete_model: DeletedPayload = mutation(_delete, WRITE, "Delete a model and its files; refused while a deployment serves it.")
