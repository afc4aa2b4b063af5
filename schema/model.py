"""Models in the public contract."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from coreplex.batch.service import BATCHES_OF_MODELS
from coreplex.deployment.listing import DEPLOYMENTS_OF_MODELS, MODELS
from coreplex.deployment.table import ModelStage
from coreplex.engines.automl.evaluation.metrics import THRESHOLD_METRICS
from coreplex.engines.tabular.schema import ColumnType
from coreplex.experiment.table import ProblemType
from coreplex.model import inputs, service
from coreplex.model.evaluation import EVALUATIONS
from coreplex.model.table import Evaluation as EvaluationRow
from coreplex.model.table import Model as Row
from coreplex.platform.permissions import READ, WRITE, Permission, Role, Scope
from resolvers import model as resolve
from resolvers.deployment import model_stages, serving_stages
from resolvers.experiment import experiments
from resolvers.project import projects
from resolvers.retraining import challenged
from schema.common import key, named_enum, published
from schema.cost import PRICE, Price
from schema.curve import Curves
from schema.deleted import DeletedPayload
from schema.document_fields import real
from schema.enums import enum
from schema.explanation import Explanation
from schema.field import argument, by_id, command, guarded, loaded, mutation, row
from schema.file import File
from schema.input_schema import InputSchema
from schema.links import link, owner
from schema.metric import EVALUATION_METRICS, MODEL_METRICS, EvaluationMetric, MetricName, ModelMetric, metric_of
from schema.node import node
from schema.pagination import Connection, nested, resolved_connection
from schema.row_warning import RowWarningKind
from schema.scalars import JSON, Long, Value
from schema.validation import ValidationStrategy

if TYPE_CHECKING:
    from schema.batch import PredictionBatch
    from schema.deployment import Deployment

DOCUMENT = Price(each=25)
"""A file of its own for each model, as large as a page of objects."""
WRITTEN = Price(each=100)
"""A file is made for each model."""
EVALUATE = Permission(Scope.write, Role.editor, once=True)

published(inputs.UpdateModel, "UpdateModelInput", "What changes in a model.")
published(inputs.DeleteModel, "DeleteModelInput", "A model to remove.")
enum(
    ModelStage,
    "Where a model stands.",
    {
        "candidate": "It was never deployed in production, and serves nowhere.",
        "staging": "An active deployment serves it in staging.",
        "production": "An active deployment serves it in production, also beside another one.",
        "retired": "It has served in production, and serves nowhere.",
    },
)
ThresholdAim: Any = named_enum("ThresholdAim", (*THRESHOLD_METRICS, "cost"))
enum(
    ThresholdAim,
    "What the threshold of two classes is made best for.",
    {
        "f1": "The F1 of the second class.",
        "balanced_accuracy": "The mean recall over both classes.",
        "mean_per_class_error": "The mean over both classes of the share that is predicted otherwise.",
        "mcc": "The Matthews correlation coefficient.",
        "accuracy": "The share of rows whose class is predicted.",
        "cost": "What errors of both kinds cost.",
    },
)
MetricWanted = Annotated[MetricName, strawberry.argument(description="Which one.")]
published(inputs.EvaluateModel, "EvaluateModelInput", "A model, and labelled rows to hold it against.")


@strawberry.type(description="A column a model reads.")
class Feature:
    name: str = key("name", "Name of the column.", str)
    type: str = key("type", "What the column is.", ColumnType)


@strawberry.type(description="From which probability on a model of two classes predicts the second, and what to expect of that.")
class DecisionThreshold:
    value: float = key("value", "The threshold; 0.5 unless the experiment asked for a metric or for costs.", float)
    positive_class: Value = key("positive_class", "The class predicted from the threshold on: the second of `classes`.", Value)
    chosen_for: str | None = key(
        "chosen_for", "What it was chosen for: a metric, or the costs of errors. Null where it is 0.5.", ThresholdAim | None
    )
    expected: float | None = real("expected", "That metric on rows that did not choose it (cross-fitted).", float | None)
    expected_cost: float | None = real("expected_cost", "Costs: mean cost of a row, cross-fitted.", float | None)
    true_positives: int = key("true_positives", "Out-of-fold rows of the positive class that are predicted so.", int)
    false_positives: int = key("false_positives", "Rows of the other class that are predicted positive.", int)
    true_negatives: int = key("true_negatives", "Rows of the other class that are predicted so.", int)
    false_negatives: int = key("false_negatives", "Rows of the positive class that are missed.", int)


@strawberry.type(description="A promised interval beside what a holdout showed.")
class KeptPromise:
    metric: str = key("metric", "Which metric.", MetricName)
    promised: float = real("promised", "The metric from out-of-fold predictions.")
    lower: float = real("low", "Lower end, for a holdout of so many rows.")
    upper: float = real("high", "Upper end, for a holdout of so many rows.")
    level: float = real("level", "The share of holdouts that fall inside.")
    value: float = real("value", "The metric on this holdout.")
    holds: bool = key("holds", "Whether it fell inside.", bool)


@strawberry.type(description="How often intervals of predictions held the truth on a holdout.")
class IntervalCoverage:
    level: float = key("level", "What was asked of the intervals, or sets of classes.", float)
    share: float = key("share", "The share of rows whose truth was inside.", float)


@strawberry.type(description="Something odd about a column of labelled rows: an unseen category, a missing or unknown column.")
class EvaluationWarning:
    kind: str = key("kind", "What is odd.", RowWarningKind)
    column: str = key("column", "The column it is about.", str)
    message: str = key("message", "A sentence for people.", str)
    row_count: Long | None = key("rows", "How many rows; null where it is the column as a whole.", Long | None)


@node(EvaluationRow)
@strawberry.type(description="A model on labelled rows that came after its training.")
class Evaluation:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model.")
    model: Any = owner("Model", "model_id", "The model.")
    dataset_version_id: strawberry.ID | None = strawberry.field(description="Identifier of the dataset version, if it was one.")
    dataset_version: Any = link("DatasetVersion", "dataset_version_id", "The dataset version, if it was one and is there.")
    filename: str = strawberry.field(description="Name of the file.")
    rows: Long = strawberry.field(name="rowCount", description="Rows in it.")
    rows_used: Long = strawberry.field(
        name="usedRowCount", description="Rows that were scored; the notes say why others were not."
    )
    metrics: list[EvaluationMetric] = EVALUATION_METRICS
    promises: list[KeptPromise] = strawberry.field(description="Each promised interval, and whether it holds here.")
    interval_coverage: IntervalCoverage | None = strawberry.field(
        description="How often intervals of level 0.9 held the truth; null for models that keep none."
    )
    curves: Curves = strawberry.field(description="Its curves; of more than two classes only the confusion.")
    warnings: list[EvaluationWarning] = strawberry.field(description="Missing columns, unseen categories and the like.")
    notes: list[str] = strawberry.field(description="What was left out or taken otherwise.")
    created_by: Any = link("User", "created_by", "Who asked for it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="The evaluation that was made.")
class EvaluationPayload:
    evaluation: Evaluation = strawberry.field(description="The evaluation, kept with the model.")


@strawberry.type(description="How rows are split into those that train a model and those that judge it.")
class Validation:
    strategy: str = key("strategy", "How rows are dealt.", ValidationStrategy)
    columns: list[str] = key(
        "columns", "The columns it goes by; none where a forward split goes by the order of the rows.", list[str]
    )
    reason: str = key("reason", "Why this split.", str)
    metric: str | None = key("metric", "The metric of the two scores.", MetricName | None)
    random_score: float | None = real(
        "random_score",
        "What a random split would promise, by one cheap model on a sample of the rows; null where it was not measured.",
        float | None,
    )
    honest_score: float | None = real(
        "honest_score",
        "What the same model gets on the same rows where rows that go together are held back together.",
        float | None,
    )
    folds: int | None = key("folds", "How many folds judge each model; null before the first is finished.", int | None)


def _metric(root: strawberry.Parent[Row], name: MetricWanted) -> Any:
    return metric_of(root, name)


def _serves(stage: str, description: str) -> Any:
    return loaded(bool, serving_stages, by_id, description, lambda stages, _: stage in stages)


Deployments = Annotated["Deployment", strawberry.lazy("schema.deployment")]
Challenged = Annotated["Deployment", strawberry.lazy("schema.deployment")]
Batches = Annotated["PredictionBatch", strawberry.lazy("schema.batch")]


def name_of(found: Any, _row: Any) -> str:
    """The name of something that may be gone."""
    return found.name if found else ""


@node(Row)
@strawberry.type(description="A trained model of an experiment.")
class Model:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    project_name: str = loaded(str, projects, lambda model: model.project_id, "Name of the project.", name_of)
    experiment_id: strawberry.ID = strawberry.field(description="Identifier of the experiment that made it.")
    experiment: Any = owner("Experiment", "experiment_id", "The experiment that made it.")
    experiment_name: str = loaded(str, experiments, lambda model: model.experiment_id, "Name of that experiment.", name_of)
    dataset_version_id: strawberry.ID = strawberry.field(description="Identifier of the dataset version it learned from.")
    dataset_version: Any = owner("DatasetVersion", "dataset_version_id", "The dataset version it learned from.")
    artifact_id: strawberry.ID = strawberry.field(description="Identifier of its file.")
    artifact: Any = owner("Artifact", "artifact_id", "Its file.")
    name: str = strawberry.field(description="Name, for example GBM_1_AutoML.")
    version: str = strawberry.field(
        description="`major.minor.patch` among the project's models of this target: the first number grows when the columns it "
        "reads or what it answers change, the second with each experiment, the third with each of its models."
    )
    stage: ModelStage = loaded(ModelStage, model_stages, by_id, "Where it stands, by the deployments that serve it or have.")
    parent_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the model that served in production for the same target when this one was made."
    )
    parent: Any = link("Model", "parent_id", "That model; null once it is deleted.")
    notes: str = strawberry.field(description="What is to be known of it.")
    algo: str = strawberry.field(
        name="algorithm",
        description="Algorithm family, such as `GBM`: `Baseline`, or one of those that the experiment capabilities list. Not an "
        "enumeration: an engine that is added brings its own.",
    )
    engine: str = strawberry.field(description="The engine that made it, one of those that the experiment capabilities list.")
    problem_type: ProblemType = strawberry.field(description="Classification or regression.")
    target_column: str = strawberry.field(description="The column it predicts.")
    classes: list[Value] = strawberry.field(
        description="The classes it tells apart, spelled as in the uploaded file; empty for regression."
    )
    features: list[Feature] = strawberry.field(description="The columns it reads.")
    metrics: list[ModelMetric] = MODEL_METRICS
    metric: ModelMetric | None = strawberry.field(
        resolver=_metric, graphql_type=ModelMetric | None, description="One of its metrics; null for one of another task."
    )
    threshold: DecisionThreshold | None = strawberry.field(description="Two classes: the threshold of its predictions.")
    evaluations: Connection[Evaluation] = nested(EVALUATIONS, "Evaluations on holdouts, newest first.")
    parameters: JSON = strawberry.field(description="Hyperparameters; `folds_note` says why there are so many folds.")
    validation: Validation | None = loaded(
        Validation | None,
        experiments,
        lambda model: model.experiment_id,
        "How the rows were split that judged it: the same for all models of an experiment. Under `TIME` and `GROUP_TIME`, and "
        "with one holdout, it is fitted again on all rows; otherwise the models of the folds together are the model.",
        lambda experiment, _: experiment.validation if experiment else None,
    )
    deployments: Connection[Deployments] = nested(DEPLOYMENTS_OF_MODELS, "The deployments that serve it.")
    prediction_batches: Connection[Batches] = nested(BATCHES_OF_MODELS, "The batches of predictions it made.")
    rank: int = strawberry.field(description="Place on the leaderboard, from 1.")
    is_best: bool = strawberry.field(description="Whether it leads its experiment.")
    challenger_of: Challenged | None = loaded(
        Challenged | None,
        challenged,
        by_id,
        "The deployment whose last retraining has made it to be tried, as long as another model serves there.",
    )
    is_production: bool = _serves("production", "Whether an active production deployment serves it.")
    is_staging: bool = _serves("staging", "Whether an active staging deployment serves it.")
    training_time_secs: float = strawberry.field(description="Seconds its training took.")
    latency_ms: float = strawberry.field(description="Milliseconds one row takes, measured after training.")
    size_bytes: Long = strawberry.field(description="Size of its file.")
    explanation: Explanation | None = strawberry.field(
        resolver=resolve.explanation,
        graphql_type=Explanation | None,
        metadata={PRICE: DOCUMENT},
        description="What it goes by: feature importances and SHAP values.",
    )
    curves: Curves | None = strawberry.field(
        resolver=resolve.curves,
        graphql_type=Curves | None,
        metadata={PRICE: DOCUMENT},
        description="What charts are drawn from, of out-of-fold predictions.",
    )
    input_schema: InputSchema | None = strawberry.field(
        resolver=resolve.input_schema,
        graphql_type=InputSchema | None,
        metadata={PRICE: DOCUMENT},
        description="What it wants to be given, and what it answers.",
    )
    file: File | None = guarded(
        resolve.file,
        READ,
        "It to take along, as a ZIP: the model itself, its schema, hashes, and how to check and load them.",
        graphql_type=File | None,
        metadata={PRICE: WRITTEN},
    )
    created_at: datetime = strawberry.field(description="When it was finished.")


@strawberry.type(description="The model that was removed, and the experiment whose other models moved up.")
class DeleteModelPayload(DeletedPayload):
    experiment_id: strawberry.ID = strawberry.field(description="Identifier of the experiment it was of.")
    experiment: Any = link("Experiment", "experiment_id", "The experiment as it is now.")


@strawberry.type(description="The model as it is now.")
class ModelPayload:
    model: Model = strawberry.field(description="The model as it is now.")


@strawberry.type
class ProjectModels:
    models: Connection[Model] = nested(MODELS, "Its models, the best first.")


@strawberry.type
class ModelQuery:
    model: Model | None = row(Row, READ, "One model.")
    models: Connection[Model] | None = resolved_connection(
        resolve.list_models,
        MODELS,
        "Models of the caller's projects, the best first.",
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
    update_model: ModelPayload | None = command(service.update, ModelPayload, WRITE, "Change what is noted of a model.")
    delete_model: DeleteModelPayload | None = command(
        service.delete_one, DeleteModelPayload, WRITE, "Delete a model and its files; refused while a deployment serves it."
    )
