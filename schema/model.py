"""Models in the public contract."""

from datetime import datetime

import strawberry

from coreplex.experiment.table import ProblemType
from coreplex.model import inputs
from coreplex.model.service import SORT_METRICS
from coreplex.model.table import Model as Row
from coreplex.permissions import READ, WRITE
from resolvers import model as resolve
from resolvers.guard import Info
from schema.common import DeletedPayload, DeleteInput, Id, enum, key, published
from schema.field import guarded, mutation
from schema.pagination import Connection, connection, sort_input
from schema.scalars import JSON, Long

enum(ProblemType, "What kind of column is predicted.")
published(inputs.ModelFilter, "ModelFilter", "Which models are wanted.")
ModelSort = sort_input("Model", ("best", "created_at", "name", "rank", *SORT_METRICS), "best")


@strawberry.type(description="A column a model reads.")
class Feature:
    name: str = key("name", "Name of the column.", str)
    type: str = key("type", "Type of the column.", str)


async def _experiment_name(root: strawberry.Parent[Row], info: Info) -> str:
    experiment = await resolve.experiment(info, root)
    return experiment.name if experiment else ""


async def _project_name(root: strawberry.Parent[Row], info: Info) -> str:
    project = await resolve.project(info, root)
    return project.name if project else ""


async def _is_production(root: strawberry.Parent[Row], info: Info) -> bool:
    return "production" in await resolve.stages(info, root)


async def _is_staging(root: strawberry.Parent[Row], info: Info) -> bool:
    return "staging" in await resolve.stages(info, root)


async def _explanation(root: strawberry.Parent[Row], info: Info) -> JSON:
    return await resolve.document(info, root.explanation_artifact_id, "Explanation")


async def _curves(root: strawberry.Parent[Row], info: Info) -> JSON:
    return await resolve.document(info, root.curves_artifact_id, "Curves")


@strawberry.type(description="A trained model of an experiment.")
class Model:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="The project.")
    project_name: str = strawberry.field(resolver=_project_name, description="Name of the project.")
    experiment_id: strawberry.ID = strawberry.field(description="The experiment that made it.")
    experiment_name: str = strawberry.field(resolver=_experiment_name, description="Name of that experiment.")
    dataset_version_id: strawberry.ID = strawberry.field(description="The dataset version it learned from.")
    artifact_id: strawberry.ID = strawberry.field(description="Its file.")
    name: str = strawberry.field(description="Name, for example GBM_1_AutoML.")
    algo: str = strawberry.field(description="Algorithm family: GLM, DRF, XRT, GBM, XGBoost, DeepLearning, StackedEnsemble.")
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
    is_production: bool = strawberry.field(
        resolver=_is_production, description="Whether an active production deployment serves it."
    )
    is_staging: bool = strawberry.field(resolver=_is_staging, description="Whether an active staging deployment serves it.")
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
