"""The row of a trained model. The model itself is an artefact."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, SQLModel

from coreplex.experiment.table import ProblemType
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, key, maybe_document, moment, reference, word


class Model(SQLModel, table=True):
    """`rank` counts from 1 (best) within the experiment by its sort metric; `score` is that metric, out-of-fold."""

    __tablename__ = "models"
    __bound__ = Bound("`max_models` of an experiment's engine. Go with the experiment.")
    __table_args__ = (
        UniqueConstraint("experiment_id", "name"),
        UniqueConstraint(
            *("project_id", "target_column", "version_major", "version_minor", "version_patch"), name="uq_models_version"
        ),
    )

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    experiment_id: UUID = reference("experiments.id")
    engine_run_id: UUID = reference("engine_runs.id")
    dataset_version_id: UUID = reference("dataset_versions.id", on_delete="NO ACTION")
    artifact_id: UUID = reference("artifacts.id", on_delete="NO ACTION")
    curves_artifact_id: UUID | None = reference("artifacts.id", default=None, on_delete="SET NULL")
    explanation_artifact_id: UUID | None = reference("artifacts.id", default=None, on_delete="SET NULL")
    name: str = Field(max_length=200)
    version_major: int = 1
    version_minor: int = 0
    version_patch: int = 0
    """Its semantic version among the project's models of the target (`coreplex.model.registry`)."""
    parent_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    """What served in production for the same target when it was made."""
    notes: str = Field(default="", max_length=10_000)
    algo: str = Field(max_length=64, index=True)
    engine: str = Field(max_length=32)
    problem_type: ProblemType = word(ProblemType)
    target_column: str = Field(max_length=300)
    classes: list[Any] = document(list)
    features: list[dict[str, Any]] = document(list)
    metrics: dict[str, Any] = document()
    cv_metrics: dict[str, Any] = document()
    metric_intervals: list[dict[str, Any]] = document(list)
    """What each metric will be on a new holdout (`coreplex.engines.automl.evaluation.intervals`)."""
    threshold: dict[str, Any] | None = maybe_document()
    """Two classes: from which probability on the second is predicted, and what to expect of that."""
    parameters: dict[str, Any] = document()
    score: float
    rank: int = 0
    is_best: bool = False
    training_time_secs: float = 0.0
    latency_ms: float = 0.0
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    created_at: datetime = moment(index=True)

    @property
    def version(self) -> str:
        """As `major.minor.patch`."""
        return f"{self.version_major}.{self.version_minor}.{self.version_patch}"


class Evaluation(SQLModel, table=True):
    """A model on a labelled holdout; made once, never changed."""

    __tablename__ = "evaluations"
    __bound__ = Bound(OF_PROJECT)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    model_id: UUID = reference("models.id")
    dataset_version_id: UUID | None = reference("dataset_versions.id", default=None, on_delete="SET NULL")
    filename: str = Field(default="", max_length=300)
    rows: int
    rows_used: int
    metrics: dict[str, Any] = document()
    promises: list[dict[str, Any]] = document(list)
    interval_coverage: dict[str, Any] | None = maybe_document()
    curves: dict[str, Any] = document()
    warnings: list[dict[str, Any]] = document(list)
    notes: list[str] = document(list)
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
