"""Rows of experiments and of the engines run in them."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Column, Index, String, UniqueConstraint
from sqlmodel import Field

from coreplex.errors.tree import Message
from coreplex.job.lifecycle import FollowsJob, Lifecycle
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, key, maybe_document, notices, reference, word

TRAIN = "automl_train"
"""The kind of job that trains (`coreplex.training.jobs`)."""


class ProblemType(StrEnum):
    classification = "classification"
    regression = "regression"


class ExecutionMode(StrEnum):
    single = "single"
    parallel = "parallel"


class Experiment(FollowsJob, table=True):
    __tablename__ = "experiments"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (Index("ix_experiments_status", "status"), Index("ix_experiments_created_at", "created_at"))

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    dataset_version_id: UUID = reference("dataset_versions.id", on_delete="NO ACTION")
    name: str = Field(max_length=200)
    target_column: str = Field(max_length=300)
    problem_type: ProblemType = word(ProblemType)
    config: dict[str, Any] = document()
    engines: list[str] = Field(sa_column=Column(ARRAY(String), nullable=False))
    execution_mode: ExecutionMode = word(ExecutionMode, ExecutionMode.single)
    use_gpu: bool = False
    stopped: bool = False
    warnings: list[Message] = notices()
    validation: dict[str, Any] | None = maybe_document()
    """How its rows are split (`coreplex.engines.automl.splits.split.described`); None in experiments older than the choice."""
    sort_metric: str = Field(default="", max_length=32)
    best_model_id: UUID | None = None
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")


class EngineRun(Lifecycle, table=True):
    __tablename__ = "engine_runs"
    __bound__ = Bound("As many as an experiment has engines. Go with it.")
    __table_args__ = (UniqueConstraint("experiment_id", "position"),)

    id: UUID = key()
    experiment_id: UUID = reference("experiments.id")
    position: int
    engine: str = Field(max_length=32)
    requested_engine: str = Field(max_length=32)
    models_trained: int = 0
    best_model_id: UUID | None = None
    best_metric: float | None = None
