"""Models in the public contract."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from coreplex.deployment.inputs import ServedModelFilter
from coreplex.deployment.service import serving
from coreplex.experiment.table import ProblemType
from coreplex.model import inputs, service
from coreplex.model.evaluation import EVALUATIONS
from coreplex.model.table import Evaluation as EvaluationRow
from coreplex.model.table import Model as Row
from coreplex.platform.permissions import READ, WRITE, Permission, Role, Scope
from resolvers import model as resolve
from resolvers.deployment import serving_stages
from resolvers.experiment import experiments
from resolvers.project import projects
from schema.common import DeletedPayload, key, published
from schema.cost import PRICE, Price
from schema.field import argument, by_id, command, loaded, mutation, row
from schema.links import link
from schema.node import node
from schema.pagination import Connection, nested, resolved_connection, sort_input
from schema.scalars import JSON, Long

if TYPE_CHECKING:
    from schema.deployment import Deployment

DOCUMENT = Price(each=25)
"""A file of its own for each model, as large as a page of objects."""
EVALUATE = Permission(Scope.write, Role.editor, once=True)

published(inputs.DeleteModel, "DeleteModelInput", "A model to remove.")
published(inputs.EvaluateModel, "EvaluateModelInput", "A model, and labelled rows to hold it against.")
published(ServedModelFilter, "ModelFilter", "Which models are wanted.")
ModelSort = sort_input("Model", service.ORDER)


@strawberry.type(description="A column a model reads.")
class Feature:
    name: str = key("name", "Name of the column.", str)
    type: str = key("type", "Type of the column.", str)


@strawberry.type(description="What a metric of a model will be on a new holdout, in nine such holdouts of ten.")
class MetricInterval:
    metric: str = key("metric", "Lower-case name of the metric.", str)
    value: float = key("value", "The metric, from out-of-fold predictions.", float)
    low: float = key("low", "Lower end.", float)
    high: float = key("high", "Upper end.", float)
    level: float = key("level", "The share of holdouts that fall inside: 0.9.", float)
    rows: int = key("rows", "Rows the metric was measured on (MAPE leaves out rows whose value is 0).", int)
    holdout_rows: int = key("holdout_rows", "Rows of the holdout that is meant: a fifth of those judged.", int)


@strawberry.type(description="From which probability on a model of two classes predicts the second, and what to expect of that.")
class DecisionThreshold:
    value: float = key("value", "The threshold; 0.5 unless the experiment asked for a metric or for costs.", float)
    positive_class: JSON = key("positive_class", "The class predicted from the threshold on: the second of `classes`.", JSON)
    chosen_for: str | None = key("chosen_for", "The metric it was chosen for, or `cost`; empty for 0.5.", str | None)
    expected: float | None = key("expected", "That metric on rows that did not choose it (cross-fitted).", float | None)
    expected_cost: float | None = key("expected_cost", "Costs: mean cost of a row, cross-fitted.", float | None)
    true_positives: int = key("true_positives", "Out-of-fold rows of the positive class that are predicted so.", int)
    false_positives: int = key("false_positives", "Rows of the other class that are predicted positive.", int)
    true_negatives: int = key("true_negatives", "Rows of the other class that are predicted so.", int)
    false_negatives: int = key("false_negatives", "Rows of the positive class that are missed.", int)


@strawberry.type(description="A promised interval beside what a holdout showed.")
class KeptPromise:
    metric: str = key("metric", "Lower-case name of the metric.", str)
    promised: float = key("promised", "The metric from out-of-fold predictions.", float)
    low: float = key("low", "Lower end, for a holdout of so many rows.", float)
    high: float = key("high", "Upper end, for a holdout of so many rows.", float)
    level: float = key("level", "The share of holdouts that fall inside.", float)
    value: float = key("value", "The metric on this holdout.", float)
    holds: bool = key("holds", "Whether it fell inside.", bool)


@strawberry.type(description="How often intervals of predictions held the truth on a holdout.")
class IntervalCoverage:
    level: float = key("level", "What was asked of the intervals, or sets of classes.", float)
    share: float = key("share", "The share of rows whose truth was inside.", float)


@node(EvaluationRow)
@strawberry.type(description="A model on labelled rows that came after its training.")
class Evaluation:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="The project.")
    project: Any = link("Project", "project_id", "The project.")
    model_id: strawberry.ID = strawberry.field(description="The model.")
    model: Any = link("Model", "model_id", "The model; null once it is deleted.")
    dataset_version_id: strawberry.ID | None = strawberry.field(description="The dataset version, if it was one.")
    dataset_version: Any = link("DatasetVersion", "dataset_version_id", "The dataset version, if it was one and is there.")
    filename: str = strawberry.field(description="Name of the file.")
    rows: int = strawberry.field(description="Rows in it.")
    rows_used: int = strawberry.field(description="Rows that were scored; the notes say why others were not.")
    metrics: JSON = strawberry.field(description="Metrics by lower-case name, at the model's threshold.")
    promises: list[KeptPromise] = strawberry.field(description="Each promised interval, and whether it holds here.")
    interval_coverage: IntervalCoverage | None = strawberry.field(
        description="How often intervals of level 0.9 held the truth; empty for models that keep none."
    )
    curves: JSON = strawberry.field(description="Confusion, and for two classes ROC and the rest; or residuals.")
    warnings: JSON = strawberry.field(description="Missing columns, unseen categories and the like: column, kind, message, rows.")
    notes: list[str] = strawberry.field(description="What was left out or taken otherwise.")
    created_by: Any = link("User", "created_by", "Who asked for it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="The evaluation that was made.")
class EvaluationPayload:
    evaluation: Evaluation = strawberry.field(description="The evaluation, kept with the model.")


@strawberry.type(description="How rows are split into those that train a model and those that judge it.")
class Validation:
    strategy: str = key(
        "strategy",
        "random: by chance. stratified: by chance, the target dealt evenly. group: whole values of a column. time: trained "
        "on the past, judged on the future. group_time: both. column: the folds a column names.",
        str,
    )
    columns: list[str] = key(
        "columns", "The columns it goes by; none where a forward split goes by the order of the rows.", list[str]
    )
    reason: str = key("reason", "Why this split.", str)
    metric: str | None = key("metric", "The metric of the two scores: auc, accuracy or rmse.", str | None)
    random_score: float | None = key(
        "random_score",
        "What a random split would promise, by one cheap model on a sample of the rows; null where it was not measured.",
        float | None,
    )
    honest_score: float | None = key(
        "honest_score",
        "What the same model gets on the same rows where rows that go together are held back together.",
        float | None,
    )
    folds: int | None = key("folds", "How many folds judge each model; null before the first is finished.", int | None)


def _serves(stage: str, description: str) -> Any:
    return loaded(bool, serving_stages, by_id, description, lambda stages, _: stage in stages)


Deployments = Annotated["Deployment", strawberry.lazy("schema.deployment")]


def name_of(found: Any, _row: Any) -> str:
    """The name of something that may be gone."""
    return found.name if found else ""


@node(Row)
@strawberry.type(description="A trained model of an experiment.")
class Model:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="The project.")
    project: Any = link("Project", "project_id", "The project.")
    project_name: str = loaded(str, projects, lambda model: model.project_id, "Name of the project.", name_of)
    experiment_id: strawberry.ID = strawberry.field(description="The experiment that made it.")
    experiment: Any = link("Experiment", "experiment_id", "The experiment that made it.")
    experiment_name: str = loaded(str, experiments, lambda model: model.experiment_id, "Name of that experiment.", name_of)
    dataset_version_id: strawberry.ID = strawberry.field(description="The dataset version it learned from.")
    dataset_version: Any = link("DatasetVersion", "dataset_version_id", "The dataset version it learned from.")
    artifact_id: strawberry.ID = strawberry.field(description="Its file.")
    artifact: Any = link("Artifact", "artifact_id", "Its file.")
    name: str = strawberry.field(description="Name, for example GBM_1_AutoML.")
    algo: str = strawberry.field(
        description="Algorithm family: GLM, DRF, XRT, GBM, XGBoost, DeepLearning (perceptrons and kernel networks), "
        "StackedEnsemble, Baseline."
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
    metric_intervals: list[MetricInterval] = strawberry.field(
        description="What each metric will be on a new holdout, except MAPE where values lie next to zero; empty for models "
        "trained before such intervals were kept."
    )
    threshold: DecisionThreshold | None = strawberry.field(description="Two classes: the threshold of its predictions.")
    evaluations: Connection[Evaluation] = nested(EVALUATIONS, "Evaluations on holdouts, newest first.")
    parameters: JSON = strawberry.field(description="Hyperparameters; `folds_note` says why there are so many folds.")
    validation: Validation | None = loaded(
        Validation | None,
        experiments,
        lambda model: model.experiment_id,
        "How the rows were split that judged it: the same for all models of an experiment. Under `time` and `group_time`, and "
        "with one holdout, it is fitted again on all rows; otherwise the models of the folds together are the model.",
        lambda experiment, _: experiment.validation if experiment else None,
    )
    deployments: Connection[Deployments] = nested(serving, "The deployments that serve it.")
    rank: int = strawberry.field(description="Place on the leaderboard, from 1.")
    is_best: bool = strawberry.field(description="Whether it leads its experiment.")
    is_production: bool = _serves("production", "Whether an active production deployment serves it.")
    is_staging: bool = _serves("staging", "Whether an active staging deployment serves it.")
    training_time_secs: float = strawberry.field(description="Seconds its training took.")
    latency_ms: float = strawberry.field(description="Milliseconds one row takes, measured after training.")
    size_bytes: Long = strawberry.field(description="Size of its file.")
    explanation: JSON = strawberry.field(
        resolver=resolve.explanation,
        metadata={PRICE: DOCUMENT},
        description="Feature importance and SHAP values, with the method named.",
    )
    curves: JSON = strawberry.field(
        resolver=resolve.curves,
        metadata={PRICE: DOCUMENT},
        description="ROC, precision-recall, confusion and calibration, or residuals; from out-of-fold predictions.",
    )
    created_at: datetime = strawberry.field(description="When it was finished.")


@strawberry.type
class ProjectModels:
    models: Connection[Model] = nested(service.listing, "Its models, the best first.", sort=ModelSort)


@strawberry.type
class ModelQuery:
    model: Model | None = row(Row, READ, "One model.")
    models: Connection[Model] | None = resolved_connection(
        resolve.list_models,
        "Models of the caller's projects, the best first.",
        sort=ModelSort,
        filter=ServedModelFilter,
        extra=[
            argument("wait_secs", int, "Seconds (at most 25) to hold back an empty answer while a search is still running.", 0)
        ],
    )


@strawberry.type
class ModelMutation:
    evaluate_model: EvaluationPayload | None = mutation(
        resolve.evaluate,
        EvaluationPayload,
        EVALUATE,
        "Score labelled rows that came later, and see whether the model keeps what it promised.",
    )
    delete_model: DeletedPayload | None = command(
        service.delete_one, DeletedPayload, WRITE, "Delete a model and its files; refused while a deployment serves it."
    )
