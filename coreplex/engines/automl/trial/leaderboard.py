"""Finished models: what each says of the rows that judged it, and the leaderboard that ranks them and blends the best."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl import stacking
from coreplex.engines.automl.budget import Clock
from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.evaluation.measures import Predictions
from coreplex.engines.automl.evaluation.metrics import Metrics
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.options.engine_registry import BASELINE, STACKED
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.ensemble import Combine, Member

Array = NDArray[np.float64]
_CALIBRATION = 0.03
_TIMED = 200
"""Rows by which a model is timed."""


@dataclass(frozen=True)
class Finished:
    """A trained and judged model. `oof`: (n, k), NaN for rows that no fold judged."""

    name: str
    algo: str
    candidate: Candidate | None
    members: tuple[Member, ...]
    oof: Array
    seconds: float
    task: Task
    parameters: dict[str, object] = field(default_factory=dict)
    combine: Combine = "raw"
    calibration: Calibration | None = None
    cut: bool = False
    """Whether the clock, or the most rounds allowed, ended a fold that was still getting better."""

    @cached_property
    def decision(self) -> metrics.Decision | None:
        """Two classes: from which probability on the second is predicted, and what that says of the judged rows."""
        task = self.task
        if task.kind != "binary":
            return None
        rows = task.plan.validated
        parts = [np.searchsorted(rows, fold.valid) for fold in task.plan.folds]
        return metrics.decide(task.y[rows].astype(np.int64), self.oof[rows, 1], task.aim, parts, task.seed)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """(n,) class codes as the model decides, for all rows of the task; of no meaning for rows that no fold judged."""
        if self.decision is None:
            return metrics.decided(self.oof)
        predicted = np.zeros(len(self.oof), dtype=np.int64)
        predicted[self.task.plan.validated] = self.decision.predicted
        return predicted

    @cached_property
    def metrics(self) -> Metrics:
        """All metrics over the rows that were judged."""
        return self._evaluated(self.task.plan.validated)

    @cached_property
    def cv_metrics(self) -> dict[str, dict[str, float]]:
        """Mean and deviation over the folds."""
        return metrics.spread(self.per_fold)

    @cached_property
    def per_fold(self) -> list[Metrics]:
        """All metrics over the rows of each fold."""
        return [self._evaluated(fold.valid) for fold in self.task.plan.folds]

    def scores(self, metric: str) -> list[float | None]:
        """A metric of each fold."""
        return [fold[metric] for fold in self.per_fold]

    @property
    def predictions(self) -> Predictions:
        """The validated rows with their out-of-fold predictions."""
        task, rows = self.task, self.task.plan.validated
        units = None if task.plan.units is None else task.plan.units[rows]
        if len(rows) == len(task.y):  # nothing is copied: of many classes predictions are large, and many models are compared
            return Predictions(task.y, self.oof, self.predicted, units)
        return Predictions(task.y[rows], self.oof[rows], self.predicted[rows], units)

    def _evaluated(self, rows: NDArray[np.int64]) -> Metrics:
        task = self.task
        return metrics.evaluate(task.kind, task.y[rows], self.oof[rows], predicted=self.predicted[rows], quantile=task.quantile)

    def without_predictions(self, task: Task) -> "Finished":
        """The same with its metrics kept and its out-of-fold predictions, and the rows they are of, let go."""
        kept = {"metrics": self.metrics, "cv_metrics": self.cv_metrics}
        slim = replace(self, oof=self.oof[:0], task=task)
        vars(slim).update(kept)
        return slim

    @property
    def learned(self) -> int:
        """Training rows of a fold; of the last one, where the clock left fewer to it."""
        whole = max(len(fold.train) for fold in self.task.plan.folds)
        return cast(int, self.parameters.get("sampled_rows", whole))

    def score(self, metric: str) -> float:
        """More is better."""
        return metrics.signed(metric, self.metrics[metric])

    def seconds_per_row(self) -> float:
        """CPU seconds that its members take for a row, encoding not counted: other models share it."""
        one = self.members[0]
        matrix = one.encoder.transform(self.task.frame.head(_TIMED))
        return min(_timed(lambda: one.predictor.predict(matrix)) for _ in range(2)) / len(matrix) * len(self.members)


def _timed(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


class Leaderboard:
    """Collects finished models and ranks them by one metric."""

    def __init__(self, metric: str, *, engine: str = "native", prefix: str = "") -> None:
        self.metric = metric
        self.models: list[Finished] = []
        self._suffix = "AutoML" if engine == "native" else f"AutoML_{engine}"
        self._prefix = prefix
        self._numbers: Counter[str] = Counter()

    def name(self, algo: str) -> str:
        """The next free name of a family, as in `GBM_1_AutoML`."""
        self._numbers[algo] += 1
        return f"{self._prefix}{algo}_{self._numbers[algo]}_{self._suffix}"

    def release(self, algo: str) -> None:
        """Give the last number of a family back: its model came to nothing."""
        self._numbers[algo] -= 1

    def add(self, model: Finished) -> None:
        """Predictions of models that no ensemble would choose from are let go."""
        self.models.append(model)
        for late in sorted((m for m in self.trained if len(m.oof)), key=lambda m: -m.score(self.metric))[stacking.TOP :]:
            self.models[self.models.index(late)] = late.without_predictions(late.task)

    def remove(self, name: str) -> None:
        """Take a model off that cannot be stored."""
        self.models = [model for model in self.models if model.name != name]

    @property
    def ranked(self) -> list[Finished]:
        """Best first; of equals the one that came first, and the baseline after all that are as good."""
        return sorted(self.models, key=lambda m: (-m.score(self.metric), m.algo == BASELINE))

    @property
    def trained(self) -> list[Finished]:
        """The models of candidates, in the order they came: neither baseline nor ensemble."""
        return [m for m in self.models if m.candidate is not None]

    @property
    def best(self) -> Finished | None:
        """The leader, None while there is no model."""
        return self.ranked[0] if self.models else None

    def stack(self, task: Task, clock: Clock) -> Finished | None:
        """The blend of all models trained on the task so far, or None where one model alone is as good."""
        models = [m for m in self.trained if m.task is task and len(m.oof)]
        if len(models) < 2:
            return None
        rows = task.plan.validated
        started = time.perf_counter()
        predictions, y, score = [m.oof[rows] for m in models], task.y[rows], self._smooth(task)
        found = stacking.blend(predictions, y, score, task, lambda: clock.late)
        if np.count_nonzero(found.weights) > 1:
            costs = [m.seconds_per_row() if w > 0 else 0.0 for m, w in zip(models, found.weights, strict=True)]
            found = stacking.pruned(found, predictions, y, score, task, costs, lambda: clock.late)
        if np.count_nonzero(found.weights) < 2:
            return None
        chosen = [(model, float(w)) for model, w in zip(models, found.weights, strict=True) if w > 0]
        parts = [Member(part.encoder, part.predictor, part.weight * w) for model, w in chosen for part in model.members]
        oof = np.full_like(models[0].oof, np.nan)
        oof[rows] = found.predicted
        return Finished(
            self.name(STACKED),
            STACKED,
            None,
            tuple(parts),
            oof,
            time.perf_counter() - started,
            task,
            {"members": {model.name: round(w, 4) for model, w in chosen}},
            found.combine,
            found.calibration,
        )

    def _smooth(self, task: Task) -> stacking.Score:
        """What the selection climbs: the metric, and for those that see only ranks or hits a little log-likelihood beside it.

        It decides between equals, of which there are many, for the better calibrated blend.
        """
        function = metrics.function(task.kind, self.metric, task.quantile)
        if not task.classification or self.metric == "logloss":
            return lambda y, p: metrics.signed(self.metric, function(y, p))
        return lambda y, p: metrics.signed(self.metric, function(y, p)) - _CALIBRATION * metrics.logloss(y.astype(np.int64), p)
