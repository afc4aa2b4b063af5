"""Leaves models out of a blend that is slow to answer, where its out-of-fold score is as good without them.

Backward elimination (ensemble pruning: Tsoumakas, Partalas, Vlahavas 2009), the most expensive model first. A linear layer is
fitted anew without the model and judged on rows it was not fitted on, where one model less to weigh is worth something too, so
there is no tolerance: with one of a standard error of the difference the loss of the digits rose by a tenth on new rows.
A blend that is quick enough stays as it is, and so do models that are a small part of its time.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.ensembles import selection, stacking
from coreplex.engines.automl.ensembles.stacking import Array, Blend
from coreplex.engines.automl.trial.cross_validation import Finished

QUICK = 1e-4
"""Seconds of CPU for a row that are little: 10,000 rows in one second."""
_SHARE = 0.1
"""Of the time of the blend: models that take less are not worth leaving out."""
_TIMED = 200


def pruned(
    found: Blend,
    predictions: list[Array],
    y: NDArray[np.generic],
    score: selection.Score,
    task: Task,
    seconds: Sequence[float],
    over: Callable[[], bool],
) -> Blend:
    """`found`, or the blend of fewer of its models. predictions: (n, k) of each of m models; y: (n,); score: more is better;
    `seconds` of each model for one row. Ends early when `over()`."""
    cost = np.asarray(seconds)
    for model in sorted(np.flatnonzero(found.weights), key=lambda one: -cost[one]):
        kept = np.flatnonzero(found.weights)
        total = float(cost[kept].sum())
        if len(kept) < 2 or total <= QUICK or cost[model] < _SHARE * total or over():
            return found
        rest = stacking.fewer(found, predictions, kept[kept != model], y, task)
        if rest is not None and score(y, rest.predicted) >= score(y, found.predicted):
            found = rest
    return found


def seconds_per_row(model: Finished) -> float:
    """CPU seconds that the members of a model take for a row, encoding not counted: other models share it."""
    one = model.members[0]
    matrix = one.encoder.transform(model.task.frame.head(_TIMED))
    return min(_timed(lambda: one.predictor.predict(matrix)) for _ in range(2)) / len(matrix) * len(model.members)


def _timed(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start
