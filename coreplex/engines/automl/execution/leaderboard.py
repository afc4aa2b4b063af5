"""The models of one run, best first, and their names."""

import time
from collections import Counter

import numpy as np

from coreplex.engines.automl.budget import Clock
from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.ensembles import pruning, selection, stacking
from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.options.engine_registry import BASELINE, STACKED
from coreplex.engines.automl.trial.cross_validation import Finished
from coreplex.engines.scoring.ensemble import Member

_CALIBRATION = 0.03


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
        for late in sorted((m for m in self.trained if len(m.oof)), key=lambda m: -m.score(self.metric))[selection.TOP :]:
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
            costs = [pruning.seconds_per_row(m) if w > 0 else 0.0 for m, w in zip(models, found.weights, strict=True)]
            found = pruning.pruned(found, predictions, y, score, task, costs, lambda: clock.late)
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

    def _smooth(self, task: Task) -> selection.Score:
        """What the selection climbs: the metric, and for those that see only ranks or hits a little log-likelihood beside it.

        It decides between equals, of which there are many, for the better calibrated blend.
        """
        function = metrics.function(task.kind, self.metric, task.quantile)
        if not task.classification or self.metric == "logloss":
            return lambda y, p: metrics.signed(self.metric, function(y, p))
        return lambda y, p: metrics.signed(self.metric, function(y, p)) - _CALIBRATION * metrics.logloss(y.astype(np.int64), p)
