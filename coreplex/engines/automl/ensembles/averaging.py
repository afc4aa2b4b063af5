"""Estimates what averaging the fold copies gains over a single copy, which is all that out-of-fold predictions show.

A bag of fold copies is better than each copy by what the copies differ (the ambiguity decomposition: Krogh & Vedelsby 1995), and
that can be seen on the rows of training: there one copy has not seen the row and the others have.
"""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.ensemble import Combine, Ensemble, Member

_ROWS = 300


def gains(
    task: Task,
    members: tuple[Member, ...],
    combine: Combine,
    judged: metrics.Metrics,
    calibration: Calibration | None = None,
) -> dict[str, float]:
    """By how much each metric may be better than out-of-fold (zero or more, in its unit); empty for models that are no bag.

    `members`: of each model that is in, its copies in the order of the folds. `judged`: the out-of-fold metrics.
    """
    folds = len(task.plan.folds)
    if not task.plan.bag or folds < 2 or len(members) % folds:
        return {}
    rows = np.sort(np.random.default_rng(task.seed).permutation(len(task.y))[:_ROWS])
    frame, y = task.frame[rows], task.y[rows]
    alone = [_evaluated(task, Ensemble(members[fold::folds], combine, calibration), frame, y) for fold in range(folds)]
    together = _evaluated(task, Ensemble(members, combine, calibration), frame, y)
    found: dict[str, float] = {}
    for name, value in together.items():
        single = [v for one in alone if (v := one[name]) is not None]
        if value is not None and single:
            gained = value - float(np.mean(single))
            found[name] = max(gained if name in metrics.HIGHER_IS_BETTER else -gained, 0.0)
    if (rmse := judged.get("rmse")) is not None:
        # Rows that were trained on have small errors, whose roots differ more: the squares differ as they do elsewhere.
        found["rmse"] = rmse - math.sqrt(max(rmse * rmse - found.get("mse", 0.0), 0.0))
    return found


def _evaluated(task: Task, ensemble: Ensemble, frame: pl.DataFrame, y: NDArray[np.generic]) -> metrics.Metrics:
    return metrics.evaluate(task.kind, y, ensemble.predict(frame), quantile=task.quantile)
