"""What one attempt of a training job works on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from coreplex.dataset.table import DatasetVersion
from coreplex.experiment.table import EngineRun, Experiment


@dataclass(frozen=True)
class TrainingPlan:
    """Made by the job, read by its engines' recorders; what is found on the way is added."""

    experiment: Experiment
    runs: list[EngineRun]
    version: DatasetVersion
    table: Path
    folder: Path
    prefix: str
    """Before every model's name: only where a former attempt's models are still deployed under theirs."""
    fractions: dict[UUID, float] = field(default_factory=dict)
    """How far each engine is, 0 to 1."""
    left_out: list[str] = field(default_factory=list)
    """Columns that give the target away and are not to be learned from."""
    dependence: dict[str, Any] = field(default_factory=dict)
    """How rows were found to depend on each other; empty where that could not be looked at."""
