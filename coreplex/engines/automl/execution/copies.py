"""The copies of a bag that the folds left, each by itself and all together, on some rows: what averaging does to answers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.evaluation.measures import Array
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.scoring.ensemble import Ensemble, Member

MOST_ROWS = 300


@dataclass(frozen=True)
class Copies:
    """`alone`: of each copy, and `together`: of all, the (n, k) probabilities or (n, 1) numbers of the `rows` of the task."""

    rows: NDArray[np.int64]
    alone: list[Array]
    together: Array

    @classmethod
    def of(cls, model: Finished) -> "Copies | None":
        """Those of a model; None of one that is no bag. Members are, of each model that is in, its copies in the order of the
        folds."""
        task, folds = model.task, len(model.task.plan.folds)
        if not task.plan.bag or folds < 2 or len(model.members) % folds:
            return None
        rows = some_rows(task, MOST_ROWS)

        def predicted(some: tuple[Member, ...]) -> Array:
            return Ensemble(some, model.combine, model.calibration).predict(task.frame[rows])

        return cls(rows, [predicted(model.members[fold::folds]) for fold in range(folds)], predicted(model.members))


def some_rows(task: Task, most: int) -> NDArray[np.int64]:
    """Positions of so many rows at random, ascending."""
    return np.sort(np.random.default_rng(task.seed).permutation(len(task.y))[:most])
