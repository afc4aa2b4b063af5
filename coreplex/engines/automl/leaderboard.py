"""The models of one run, best first, and their names."""

from collections import Counter

import numpy as np

from coreplex.engines.automl import ensemble, metrics
from coreplex.engines.automl.clock import Clock
from coreplex.engines.automl.task import Task
from coreplex.engines.automl.validation import Finished
from coreplex.engines.scoring.ensemble import Member


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
        self.models.append(model)

    @property
    def ranked(self) -> list[Finished]:
        """Best first; of equals the one that came first."""
        return sorted(self.models, key=lambda m: -m.score(self.metric))

    @property
    def best(self) -> Finished | None:
        return self.ranked[0] if self.models else None

    def stack(self, task: Task, clock: Clock) -> Finished | None:
        """The greedy ensemble of all models so far, or None where one model alone is as good."""
        if len(self.models) < 2:
            return None
        rows = task.plan.judged
        y, metric = task.y[rows], self.metric
        predictions = [m.oof[rows] for m in self.models]
        function = metrics.function(task.kind, metric)
        weights = ensemble.select(
            predictions, y, lambda t, p: metrics.signed(metric, function(t, p)), seed=task.seed, over=lambda: clock.late
        )
        if np.count_nonzero(weights) < 2:
            return None
        parts = [
            Member(member.encoder, member.predictor, member.weight * float(w))
            for model, w in zip(self.models, weights, strict=True)
            if w > 0
            for member in model.members
        ]
        members = {m.name: round(float(w), 4) for m, w in zip(self.models, weights, strict=True) if w > 0}
        oof = np.full_like(self.models[0].oof, np.nan)
        oof[rows] = ensemble.blend(predictions, weights)
        name = self.name("StackedEnsemble")
        return Finished(name, "StackedEnsemble", None, tuple(parts), oof, 0.0, task, {"members": members}, "response")
