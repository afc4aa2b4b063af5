"""What a caller must say about deployments and predictions."""

from typing import Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from coreplex.deployment.table import DeploymentStatus, Stage, Strategy
from coreplex.model.inputs import ModelFilter
from coreplex.platform.document import MOST_KEPT, JSONObject, kept
from coreplex.platform.inputs import Identifier, Name

FROM_CONFIG = (
    "traffic_percent",
    "strategy",
    "privacy_policy_id",
    "privacy_anonymize_logs",
    "privacy_anonymize_response",
    "privacy_column_map",
    "privacy_threshold",
)
"""Fields that may also stand inside `config`; the flat ones win (contract B.7)."""
MOST = f"At most {MOST_KEPT >> 10} KiB as JSON."
WITHOUT_EFFECT = "Kept, without effect yet."
"""Of what is published for what is to come (contract D.1)."""
COLUMN_MAP = f"Input column to type of personal data. {WITHOUT_EFFECT} {MOST}"


class CreateDeployment(BaseModel):
    project_id: str = Field(description="The project.")
    model_id: str = Field(description="A model of the same project.")
    name: Name = Field(description="Name, 1 to 200 characters.")
    stage: Stage = Field(description="`staging`, or `production`, which archives the project's present production deployment.")
    traffic_percent: int | None = Field(
        None, ge=1, le=100, description=f"Share of traffic, 1 to 100; 100 when nothing is said. {WITHOUT_EFFECT}"
    )
    strategy: Strategy | None = Field(
        None, description="How traffic reaches it; `direct` when nothing is said. Others: kept, without effect yet."
    )
    config: JSONObject = Field(
        default_factory=lambda: JSONObject({}), description=f"Kept as it is; may hold the other fields. {MOST}"
    )
    privacy_policy_id: str | None = Field(None, max_length=64, description=f"Privacy policy to attach. {WITHOUT_EFFECT}")
    privacy_anonymize_logs: bool | None = Field(
        None, description=f"Anonymise personal data in the inference log. {WITHOUT_EFFECT}"
    )
    privacy_anonymize_response: bool | None = Field(None, description=f"Anonymise personal data in answers. {WITHOUT_EFFECT}")
    privacy_column_map: JSONObject | None = Field(None, description=COLUMN_MAP)
    privacy_threshold: float | None = Field(None, ge=0, le=1, description=f"Confidence of detection, 0 to 1. {WITHOUT_EFFECT}")

    _kept = field_validator("config", "privacy_column_map")(kept)

    @model_validator(mode="before")
    @classmethod
    def _from_config(cls, values: Any) -> Any:
        config = values.get("config") if isinstance(values, dict) else None
        if not isinstance(config, dict):
            return values
        said = {key: value for key, value in values.items() if value is not None}
        return {**{key: config[key] for key in FROM_CONFIG if key in config}, **said}


class UpdateDeployment(BaseModel):
    deployment_id: str = Field(description="The deployment.")
    name: Name | None = Field(None, description="New name.")
    traffic_percent: int | None = Field(None, ge=1, le=100, description=f"New share of traffic. {WITHOUT_EFFECT}")
    privacy_policy_id: str | None = Field(None, max_length=64, description=f"Privacy policy to attach. {WITHOUT_EFFECT}")
    privacy_anonymize_logs: bool | None = Field(
        None, description=f"Anonymise personal data in the inference log. {WITHOUT_EFFECT}"
    )
    privacy_anonymize_response: bool | None = Field(None, description=f"Anonymise personal data in answers. {WITHOUT_EFFECT}")
    privacy_column_map: JSONObject | None = Field(None, description=COLUMN_MAP)
    privacy_threshold: float | None = Field(None, ge=0, le=1, description=f"Confidence of detection, 0 to 1. {WITHOUT_EFFECT}")

    _kept = field_validator("privacy_column_map")(kept)


class PromoteDeployment(BaseModel):
    deployment_id: str = Field(description="The deployment.")
    to_stage: Stage = Field(description="Where it goes: `production`.", json_schema_extra={"enum": [Stage.production]})


class RollbackDeployment(BaseModel):
    deployment_id: str = Field(description="The deployment.")
    to_deployment_id: str | None = Field(None, description="The deployment to bring back instead.")
    to_model_id: str | None = Field(None, description="The model this deployment is to serve again.")

    @field_validator("to_model_id")
    @classmethod
    def _one_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("to_deployment_id"):
            raise ValueError("name a model or a deployment to go back to, not both")
        return value


class OneDeployment(BaseModel):
    deployment_id: Identifier = Field(description="Its identifier.")


class DeploymentFilter(BaseModel):
    stage: Stage | None = Field(None, description="Only this stage.")
    status: DeploymentStatus | None = Field(None, description="Only this state.")


class ServedModelFilter(ModelFilter):
    is_production: bool | None = Field(None, description="Whether an active production deployment serves the model.")
    is_staging: bool | None = Field(None, description="Whether an active staging deployment serves the model.")
