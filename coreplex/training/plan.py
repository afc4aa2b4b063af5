"""What one attempt of a training job works on, and the folder it works in, on its worker's disk: named after its token."""

import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from coreplex.dataset.table import DatasetVersion
from coreplex.experiment.table import EngineRun, Experiment

YOUNG_SECS = 600.0
"""A folder this young may belong to a claim we cannot see yet."""


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


def folder_of(data_dir: Path, experiment_id: UUID, token: UUID) -> Path:
    return _all_in(data_dir) / f"{experiment_id}-{token}"


def sweep_folders(data_dir: Path, running: Collection[UUID]) -> int:
    """Remove the folders of attempts that have died, given the tokens of those that run; returns how many."""
    horizon, gone, folder = time.time() - YOUNG_SECS, 0, _all_in(data_dir)
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime < horizon and not any(path.name.endswith(f"-{token}") for token in running):
            shutil.rmtree(path, ignore_errors=True)
            gone += 1
    return gone


def _all_in(data_dir: Path) -> Path:
    return data_dir / "work"
