"""Deployments in the public contract."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from coreplex.batch.service import BATCHES_OF_DEPLOYMENTS
from coreplex.deployment import inputs, listing, service
from coreplex.deployment.rollout_inputs import RequireReplay
from coreplex.deployment.table import Arm, DeploymentStatus, Stage, Strategy
from coreplex.deployment.table import Deployment as Row
from coreplex.errors.tree import NotFound
from coreplex.metric_change.service import METRIC_CHANGES_OF_DEPLOYMENTS
from coreplex.platform.permissions import READ, WRITE, Permission, Role, Scope
from coreplex.replay.service import REPLAYS_OF_DEPLOYMENTS
from coreplex.retraining.service import RUNS
from coreplex.serving.log.listing import LOGS, visible
from coreplex.serving.table import InferenceLog
from resolvers.context import Context
from resolvers.deployment import canaries, input_schema, log_documents, log_file, shadows
from resolvers.model import models
from resolvers.monitoring import attribution_drift, drift, metrics
from resolvers.performance import performance
from resolvers.retraining import challengers, policies
from schema.attribution import ATTRIBUTION, DeploymentAttributionDrift
from schema.common import name_warnings, published
from schema.cost import INSIDE, PRICE
from schema.deleted import DeletedFromProjectPayload
from schema.document_fields import at, pairs
from schema.enums import enum
from schema.explore import WHOLE_TABLE
from schema.field import by_id, command, computed, guarded, loaded, row
from schema.file import File
from schema.input_schema import InputSchema
from schema.links import link, owner
from schema.model import DOCUMENT, Batches, Model, name_of
from schema.monitoring import DRIFT, TRAFFIC, DeploymentDrift, DeploymentMetrics
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.performance import PERFORMANCE, DeploymentPerformance
from schema.retraining import RetrainPolicy, RetrainRun
from schema.rollout import Rollout
from schema.scalars import JSON, Long, Value
from schema.serving import Prediction

if TYPE_CHECKING:
    from schema.metric_change import MetricChange
    from schema.replay import Replay

Replays = Annotated["Replay", strawberry.lazy("schema.replay")]
MetricChanges = Annotated["MetricChange", strawberry.lazy("schema.metric_change")]
STOP = Permission(Scope.write, Role.editor, archived=True)

enum(
    Strategy,
    "How rows reach a new deployment in production, and what becomes of the one before it.",
    {
        "direct": "It displaces the one before, whose address answers no more.",
        "canary": "It answers a share of the rows beside the one before, in steps, and then displaces it; both addresses go on.",
        "blue_green": "It displaces the one before at once; both addresses go on, and a rollback turns them back.",
        "shadow": "It is asked too; the one before answers.",
    },
    "DeploymentStrategy",
)
published(inputs.PrivacyColumn, "PrivacyColumnInput", "An input column with personal data.")
published(RequireReplay, "RequireReplayInput", "A replay that a promotion needs.")
published(inputs.CreateDeployment, "CreateDeploymentInput", "A model to serve under a name.")
published(inputs.UpdateDeployment, "UpdateDeploymentInput", "What changes in a deployment.")
published(inputs.PromoteDeployment, "PromoteDeploymentInput", "A deployment to move to production.")
published(
    inputs.RollbackDeployment,
    "RollbackDeploymentInput",
    "Where to go back from, and to what; without a target, to what served before.",
)
published(inputs.DeactivateDeployment, "DeactivateDeploymentInput", "A deployment that is to serve no more.")
published(inputs.DeleteDeployment, "DeleteDeploymentInput", "A deployment to remove.")


def _endpoint_url(deployment: Row, context: Context) -> str:
    return f"{context.services.settings.base_url}/api/mlops/deployments/{deployment.id}/predict"


def _there(found: Any, _deployment: Row) -> Any:
    """No model is deleted while a deployment has it."""
    if found is None:
        raise NotFound.of("Model")
    return found


def _model(kind: Any, description: str, *read: Any) -> Any:
    return loaded(kind, models, lambda deployment: deployment.model_id, description, *read)


def _logged(name: str, kind: Any, description: str) -> Any:
    """One of the documents of a row of the log."""

    def document(found: Any, _row: InferenceLog) -> Any:
        if found is None:
            raise NotFound.of("Log entry")  # retention was quicker
        return getattr(found, name)

    return loaded(kind, log_documents, lambda row: (row.id, row.retention_week), description, document)


@node(InferenceLog, visible)
@strawberry.type(description="One predicted row, as it was asked and answered.")
class InferenceLogEntry:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment that answered.")
    deployment: Any = link("Deployment", "deployment_id", "The deployment that answered.")
    arm: Arm | None = strawberry.field(description="Which side of a split it is, or a shadow; null where it answered alone.")
    request_id: str = strawberry.field(description="The request it came with.")
    row_index: int = strawberry.field(description="Place of the row in the request, from 0.")
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model that answered.")
    model: Any = link("Model", "model_id", "The model that answered; null once it is deleted.")
    inputs: JSON = _logged("inputs", JSON, "The row.")
    output: Prediction | None = _logged("output", Prediction | None, "The answer; null when there was an error.")
    error: Notice | None = strawberry.field(description="What went wrong.")
    outcome: Value | None = strawberry.field(description="What was true in the end; null as long as nobody has said it.")
    outcome_at: datetime | None = strawberry.field(description="When that came out.")
    worth: Value | None = strawberry.field(
        description="What its A/B test counts that is no outcome of the model, if it was said."
    )
    latency_ms: float = strawberry.field(description="Milliseconds the scoring of the request took.")
    created_at: datetime = strawberry.field(description="When.")


@strawberry.type(description="An input column with personal data.")
class PrivacyColumn:
    column: str = at(0, "Name of the column.", str)
    kind: str = at(1, "What personal data it holds.", str)


def _privacy_columns(root: strawberry.Parent[Row]) -> Any:
    return pairs(root.privacy_column_map)


@node(Row)
@strawberry.type(description="A model that answers under a name.")
class Deployment:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model it serves.")
    model_name: str = _model(str, "Name of the model.", name_of)
    model: Model = _model(Model, "The model it serves.", _there)
    name: str = strawberry.field(description="Name.")
    stage: Stage = strawberry.field(description="Staging or production.")
    status: DeploymentStatus = strawberry.field(description="Whether it serves.")
    strategy: Strategy = strawberry.field(description="How rows reach it in production.")
    traffic_percent: int = strawberry.field(
        description="Share of the rows that it answers in production; of a candidate, that of its rollout."
    )
    is_candidate: bool = strawberry.field(description="Whether it stands beside the production deployment in a rollout.")
    canary: Rollout | None = loaded(
        Rollout | None, canaries, by_id, "The canary in which it takes part, or took part last, on either side."
    )
    shadow: Rollout | None = loaded(
        Rollout | None, shadows, by_id, "The shadow in which it takes part, or took part last, on either side."
    )
    successor_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the deployment that answers at its address, which goes on though it was displaced."
    )
    successor: Any = link("Deployment", "successor_id", "The deployment that answers at its address.")
    config: JSON = strawberry.field(description="What was given as `config`.")
    log_days: int | None = strawberry.field(
        description="Days that new entries of its inference log are kept; null: as long as the server's, `INFERENCE_LOG_DAYS`."
    )
    version: int = strawberry.field(description="Counts the deployments of this name in the project.")
    privacy_policy_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the attached privacy policy: always `null` in this version."
    )
    privacy_anonymize_logs: bool = strawberry.field(
        description="Whether personal data is anonymised in the inference log: always `false` in this version."
    )
    privacy_anonymize_response: bool = strawberry.field(
        description="Whether personal data is anonymised in answers: always `false` in this version."
    )
    privacy_column_map: list[PrivacyColumn] = strawberry.field(
        metadata=INSIDE,
        resolver=_privacy_columns,
        graphql_type=list[PrivacyColumn],
        description="Input columns with personal data: always empty in this version.",
    )
    privacy_threshold: float | None = strawberry.field(
        description="Confidence of detection, 0 to 1: always `null` in this version."
    )
    previous_deployment_id: strawberry.ID | None = strawberry.field(description="Identifier of the deployment it displaced.")
    previous_deployment: Any = link("Deployment", "previous_deployment_id", "The deployment it displaced.")
    previous_model_id: strawberry.ID | None = strawberry.field(description="Identifier of the model it served before.")
    previous_model: Any = link("Model", "previous_model_id", "The model it served before.")
    input_schema: InputSchema | None = strawberry.field(
        resolver=input_schema,
        graphql_type=InputSchema | None,
        metadata={PRICE: DOCUMENT},
        description="What its model wants to be given, and what it answers.",
    )
    endpoint_url: str = computed(str, _endpoint_url, "Address to POST rows to.")
    request_count: Long = strawberry.field(description="Predict requests of which it answered rows; seconds behind.")
    error_count: Long = strawberry.field(description="Those of them that failed; seconds behind.")
    created_by: Any = link("User", "created_by", "Who made it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was created.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")
    deployed_at: datetime | None = strawberry.field(description="When it last began to serve as it does.")
    metrics: DeploymentMetrics | None = guarded(
        metrics,
        READ,
        "How it did over a time: requests, errors, latencies.",
        graphql_type=DeploymentMetrics | None,
        metadata={PRICE: TRAFFIC},
    )
    drift: DeploymentDrift | None = guarded(
        drift,
        READ,
        "Whether it is asked what its model was trained on, and answers so.",
        graphql_type=DeploymentDrift | None,
        metadata={PRICE: DRIFT},
    )
    performance: DeploymentPerformance | None = guarded(
        performance,
        READ,
        "How right its model is: metrics of known outcomes beside estimates without them, by time and by the values of a column.",
        graphql_type=DeploymentPerformance | None,
        metadata={PRICE: PERFORMANCE},
    )
    attribution_drift: DeploymentAttributionDrift | None = guarded(
        attribution_drift,
        READ,
        "Whether its model answers by other columns than in training.",
        graphql_type=DeploymentAttributionDrift | None,
        metadata={PRICE: ATTRIBUTION},
    )
    log_file: File | None = guarded(
        log_file,
        READ,
        "A part of its inference log as a Parquet file to download, oldest first, at most a million entries: the columns of an "
        "entry, `inputs`, `output` and `outcome` as JSON.",
        graphql_type=File | None,
        metadata={PRICE: WHOLE_TABLE},
    )
    logs: Connection[InferenceLogEntry] = nested(
        LOGS,
        "The inference log of the last `logDays`, or else `INFERENCE_LOG_DAYS` (90, unless the server is set otherwise), newest "
        "first.",
    )
    retrain_policy: RetrainPolicy | None = loaded(
        RetrainPolicy | None,
        policies,
        by_id,
        "When it is retrained by itself, and what that may cost; null when nobody has said.",
    )
    retrain_runs: Connection[RetrainRun] = nested(RUNS, "Its retrainings, newest first.")
    challenger: Model | None = loaded(
        Model | None, challengers, by_id, "What its last retraining has made, as long as it serves another model."
    )
    prediction_batches: Connection[Batches] = nested(BATCHES_OF_DEPLOYMENTS, "The batches of predictions asked of it.")
    replays: Connection[Replays] = nested(REPLAYS_OF_DEPLOYMENTS, "The replays of rows it has answered.")
    metric_changes: Connection[MetricChanges] = nested(
        METRIC_CHANGES_OF_DEPLOYMENTS, "The explanations of why its metrics changed."
    )


@strawberry.type
class ProjectDeployments:
    deployments: Connection[Deployment] = nested(listing.DEPLOYMENTS, "Its deployments.")


@strawberry.type(description="The deployment that serves now, or serves no more.")
class DeploymentPayload:
    deployment: Deployment = strawberry.field(description="The deployment as it is now.")


@strawberry.type(description="The deployment with its name.")
class NamedDeploymentPayload(DeploymentPayload):
    warnings: list[Notice] = name_warnings("deployment")


@strawberry.type(description="The deployment that was removed, and where it is missing now.")
class DeleteDeploymentPayload(DeletedFromProjectPayload):
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model it served.")
    model: Any = link("Model", "model_id", "The model it served.")


@strawberry.type
class DeploymentQuery:
    deployment: Deployment | None = row(Row, READ, "One deployment.")
    deployments: Connection[Deployment] | None = connection(listing.DEPLOYMENTS, "Deployments of the caller's projects.")


@strawberry.type
class DeploymentMutation:
    create_deployment: NamedDeploymentPayload | None = command(
        service.create, NamedDeploymentPayload, WRITE, "Serve a model under a name."
    )
    update_deployment: NamedDeploymentPayload | None = command(
        service.update, NamedDeploymentPayload, WRITE, "Change a deployment's name, traffic, retention or privacy settings."
    )
    promote_deployment: DeploymentPayload | None = command(
        service.promote, DeploymentPayload, WRITE, "Move a staging deployment to production."
    )
    rollback_deployment: DeploymentPayload | None = command(
        service.rollback, DeploymentPayload, WRITE, "Go back to an earlier deployment or model."
    )
    deactivate_deployment: DeploymentPayload | None = command(
        service.deactivate, DeploymentPayload, STOP, "Stop serving, in an archived project too."
    )
    delete_deployment: DeleteDeploymentPayload | None = command(
        service.delete,
        DeleteDeploymentPayload,
        WRITE,
        "Remove a deployment that serves no more, with all that is about it: its log with the outcomes, alerts, replays, "
        "explanations of its metrics, A/B tests with their results, rollouts, and its retrain policy with its runs. Replays and "
        "explanations that run are cancelled; a running A/B test has ended when the deployment was deactivated. Batches of "
        "predictions stay.",
    )
