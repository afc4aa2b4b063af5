"""What a caller must say about experiments."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, field_validator

from coreplex.engines.automl.options.config import AutoMLConfig, described_options, described_presets
from coreplex.engines.automl.options.engine_registry import ENGINES
from coreplex.experiment.table import ExecutionMode, ProblemType
from coreplex.platform.document import MOST_KEPT, kept
from coreplex.platform.inputs import Force, Identifier, Name, OptionalObject, no_options


class CreateExperiment(BaseModel):
    project_id: Identifier = Field(description="The project.")
    dataset_version_id: Identifier = Field(description="The dataset version to learn from (a version, not a dataset).")
    name: Name = Field(description="Name, 1 to 200 characters.")
    target_column: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(description="The column to predict.")
    problem_type: ProblemType = Field(description="Whether a class or a number is predicted.")
    config: OptionalObject = Field(
        default_factory=no_options,
        description="Options of the search, with their defaults; others are ignored with a warning: "
        + described_options()
        + ". A `preset` "
        "sets several of them: " + described_presets() + f". At most {MOST_KEPT >> 10} KiB as JSON.",
        json_schema_extra={"properties": AutoMLConfig.model_json_schema()["properties"]},
    )
    execution_mode: ExecutionMode = Field(ExecutionMode.single, description="One engine, or several side by side.")
    engine: str | None = Field(
        None,
        max_length=32,
        description="Preferred engine in single mode; see experimentCapabilities.",
        json_schema_extra={"enum": list(ENGINES)},
    )
    engines: list[str] | None = Field(
        None, max_length=8, description="Engines: the first is used in single mode, all of them in parallel mode."
    )
    use_gpu: bool = Field(False, description="Ask for a GPU. None is used in this version: the CPU is, and a warning says so.")

    _kept = field_validator("config")(kept)


class CancelExperiment(BaseModel):
    experiment_id: Identifier = Field(description="The experiment.")


class StopExperiment(BaseModel):
    experiment_id: Identifier = Field(description="The experiment.")


class DeleteExperiment(BaseModel):
    experiment_id: Identifier = Field(description="The experiment.")
    force: Force = False
