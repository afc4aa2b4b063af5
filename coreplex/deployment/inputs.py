"""What a caller must say about deployments and predictions."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from coreplex.deployment.rollout_inputs import OVERRIDE, RequireReplay
from coreplex.deployment.table import Stage, Strategy
from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.document import MOST_KEPT, kept
from coreplex.platform.inputs import Description, Identifier, Name, OptionalObject, no_options
from coreplex.platform.not_yet import not_yet

FROM_CONFIG = (
    "traffic_percent",
    "strategy",
    "log_days",
    "privacy_policy_id",
    "privacy_anonymize_logs",
    "privacy_anonymize_response",
    "privacy_column_map",
    "privacy_threshold",
)
"""Fields that may also stand inside `config`; the flat ones win (contract B.7)."""
MOST = f"At most {MOST_KEPT >> 10} KiB as JSON."
TRAFFIC = (
    "Share of the rows that it answers in production, 1 to 100; the others are answered by the deployment it displaced. 100 "
    "when nothing is said. Of a canary the first step, of a shadow the share it is asked."
)
STAGE = (
    "`staging`, or `production`, which archives the project's present production deployment, unless this one comes beside it as "
    "a canary or a shadow."
)
MOST_LOG_DAYS = 3650
LOG_DAYS = (
    f"Days that entries of its inference log are kept, 1 to {MOST_LOG_DAYS:,}, in whole weeks, beyond 90 days up to four weeks "
    "longer; 0: as long as the server's, `INFERENCE_LOG_DAYS`. Holds for the entries from then on."
)
POLICY = "Privacy policy to attach. None exists in this version, so each is not found."
ANONYMIZE_LOGS = "Anonymise personal data in the inference log."
ANONYMIZE_RESPONSE = "Anonymise personal data in answers."
COLUMN_MAP = "Input columns with personal data."
THRESHOLD = "Confidence of detection, 0 to 1."


class PrivacyColumn(BaseModel):
    column: str = Field(description="Name of the column.")
    kind: str = Field(description="What personal data it holds.")


def _listed(value: Any) -> Any:
    """Kinds by the names of columns, as `config` may have them, as a list."""
    return [{"column": column, "kind": kind} for column, kind in value.items()] if isinstance(value, dict) else value


PrivacyColumns = Annotated[list[PrivacyColumn], BeforeValidator(_listed)]


class CreateDeployment(BaseModel):
    project_id: Identifier = Field(description="The project.")
    model_id: Identifier = Field(description="A model of the same project.")
    name: Name = Field(description="Name, 1 to 200 characters.")
    stage: Stage = Field(description=STAGE)
    traffic_percent: int | None = Field(None, ge=1, le=100, description=TRAFFIC)
    strategy: Strategy | None = Field(None, description="How rows reach it in production; `direct` when nothing is said.")
    config: OptionalObject = Field(default_factory=no_options, description=f"Kept as it is; may hold the other fields. {MOST}")
    log_days: int | None = Field(None, ge=0, le=MOST_LOG_DAYS, description=LOG_DAYS)
    privacy_policy_id: Identifier | None = Field(None, max_length=64, description=POLICY)
    privacy_anonymize_logs: bool | None = not_yet(False, ANONYMIZE_LOGS)
    privacy_anonymize_response: bool | None = not_yet(False, ANONYMIZE_RESPONSE)
    privacy_column_map: PrivacyColumns | None = not_yet([], COLUMN_MAP)
    privacy_threshold: float | None = not_yet(None, THRESHOLD, ge=0, le=1)
    override_reason: Description = OVERRIDE

    _kept = field_validator("config")(kept)

    @model_validator(mode="before")
    @classmethod
    def _from_config(cls, values: Any) -> Any:
        config = values.get("config") if isinstance(values, dict) else None
        if not isinstance(config, dict):
            return values
        said = {key: value for key, value in values.items() if value is not None}
        return {**{key: config[key] for key in FROM_CONFIG if key in config}, **said}


class UpdateDeployment(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    name: Name | None = Field(None, description="New name.")
    traffic_percent: int | None = Field(None, ge=1, le=100, description=TRAFFIC)
    log_days: int | None = Field(None, ge=0, le=MOST_LOG_DAYS, description=LOG_DAYS)
    privacy_policy_id: Identifier | None = Field(None, max_length=64, description=POLICY)
    privacy_anonymize_logs: bool | None = not_yet(False, ANONYMIZE_LOGS)
    privacy_anonymize_response: bool | None = not_yet(False, ANONYMIZE_RESPONSE)
    privacy_column_map: PrivacyColumns | None = not_yet([], COLUMN_MAP)
    privacy_threshold: float | None = not_yet(None, THRESHOLD, ge=0, le=1)


class PromoteDeployment(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    to_stage: Stage = Field(description="Where it goes: `production`.", json_schema_extra={"enum": [Stage.production]})
    require_replay: RequireReplay | None = Field(
        None,
        description="Refuse it without such a replay, as a project's gate does; where nothing serves yet, it needs none.",
    )
    override_reason: Description = OVERRIDE


class RollbackDeployment(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    to_deployment_id: Identifier | None = Field(None, description="The deployment to bring back instead.")
    to_model_id: Identifier | None = Field(None, description="The model this deployment is to serve again.")
    override_reason: Description = OVERRIDE

    @field_validator("to_model_id")
    @classmethod
    def _one_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("to_deployment_id"):
            raise WrongValue(Message("model_and_deployment", "name a model or a deployment to go back to, not both"))
        return value


class DeactivateDeployment(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")


class DeleteDeployment(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
