"""What creating an experiment would say, and how long its training would take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.errors.tree import Message
from coreplex.experiment import service
from coreplex.experiment.inputs import CreateExperiment
from coreplex.experiment.table import ProblemType
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession

LAST = 200
"""Models of this server that the time of the next one is estimated from."""
PACE = 9.0 / 1e6
OFFSET_CELLS = 50_000
"""A model, all folds, takes a pace for each cell of its table and of as many more, which are what takes its time in a small one.
The pace is of two cores, for a server that has trained nothing yet; of tables of 750 to 210,000 cells that
tests/benchmarks/forecast.py trains, it is within a factor of 3.3 (from 11,000 on, of 1.5)."""
START_SECS = 5.0
SPREAD = 2.0
"""The estimate may be wrong by this factor, either way."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds a training is expected to take, between two bounds; `models` of this server it was estimated from."""

    likely: float
    low: float
    high: float
    models: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an experiment would be, were it created now."""

    problem_type: ProblemType
    engines: Sequence[str]
    config: Mapping[str, Any]
    warnings: Sequence[Message]
    validation: Mapping[str, Any] | None
    duration: Duration


async def forecast(
    session: ReadSession, checked: service.Checked, wanted: CreateExperiment, diagnosis: Mapping[str, Any] | None
) -> Forecast:
    """Raises Invalid where creating it would."""
    return Forecast(
        problem_type=ProblemType(wanted.problem_type),
        engines=checked.engines.names,
        config=checked.config.model_dump(mode="json", exclude_none=True),
        warnings=service.warnings_of(checked, wanted, diagnosis),
        validation=service.validation_of(checked.config, diagnosis),
        duration=await _duration(session, checked),
    )


async def _duration(session: ReadSession, checked: service.Checked) -> Duration:
    """By the median of what the last models took for a cell of their table, baselines apart; never beyond what is allowed."""
    cells = checked.version.row_count * checked.version.column_count
    size = OFFSET_CELLS + col(DatasetVersion.row_count) * col(DatasetVersion.column_count)
    last = select((col(Model.training_time_secs) / size).label("pace"))
    last = last.join(DatasetVersion, col(DatasetVersion.id) == col(Model.dataset_version_id)).where(col(Model.algo) != "Baseline")
    paces = last.order_by(col(Model.created_at).desc()).limit(LAST).subquery()
    middle = select(func.percentile_cont(0.5).within_group(paces.c.pace), func.count()).select_from(paces)
    pace, models = (await session.execute(middle)).one()
    each = (PACE if pace is None else float(pace)) * (OFFSET_CELLS + cells)
    most = float(checked.config.max_runtime_secs)
    likely = min(most, START_SECS + checked.config.max_models * each)
    return Duration(likely, min(most, likely / SPREAD), min(most, likely * SPREAD), int(models))
