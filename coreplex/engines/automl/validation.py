"""One configuration on all folds: out-of-fold predictions, the model that made them, and what it cost.

With exchangeable folds the fold copies together are the model (bagging, as AutoGluon does it): no second training,
and a better one than a refit where it was measured. A holdout or forward-in-time plan fits once more on all rows, for
the rounds the folds found.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl import metrics, threshold
from coreplex.engines.automl.clock import Deadline
from coreplex.engines.automl.costs import Costs
from coreplex.engines.automl.judged import Judged
from coreplex.engines.automl.learners import lightgbm, linear, mlp, words, xgboost
from coreplex.engines.automl.learners.base import Learner, Problem, Trained
from coreplex.engines.automl.matrices import Matrices
from coreplex.engines.automl.metrics import Metrics
from coreplex.engines.automl.portfolio import Candidate
from coreplex.engines.automl.task import Task
from coreplex.engines.scoring.ensemble import Combine, Member

Array = NDArray[np.float64]
_TOO_SLOW = 3.0
"""So many times the time that is left the remaining folds may seem to take, after those that are done."""
LEARNERS: dict[str, Learner] = {
    "lightgbm": lightgbm.fit,
    "xgboost": xgboost.fit,
    "linear": linear.fit,
    "mlp": mlp.fit,
    "words": words.fit,
}


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

    @cached_property
    def decision(self) -> threshold.Decision | None:
        """Two classes: from which probability on the second is said, and what that says of the judged rows."""
        task = self.task
        if task.kind != "binary":
            return None
        rows = task.plan.judged
        parts = [np.searchsorted(rows, fold.valid) for fold in task.plan.folds]
        return threshold.decide(task.y[rows].astype(np.int64), self.oof[rows, 1], task.aim, parts, task.seed)

    @cached_property
    def said(self) -> NDArray[np.int64]:
        """(n,) class codes as the model decides, for all rows of the task; of no meaning for rows that no fold judged."""
        if self.decision is None:
            return metrics.decided(self.oof)
        said = np.zeros(len(self.oof), dtype=np.int64)
        said[self.task.plan.judged] = self.decision.said
        return said

    @cached_property
    def metrics(self) -> Metrics:
        """All metrics over the rows that were judged."""
        return self._judged(self.task.plan.judged)

    @cached_property
    def cv_metrics(self) -> dict[str, dict[str, float]]:
        """Mean and deviation over the folds."""
        return metrics.spread(self.per_fold)

    @cached_property
    def per_fold(self) -> list[Metrics]:
        """All metrics over the rows of each fold."""
        return [self._judged(fold.valid) for fold in self.task.plan.folds]

    @property
    def judged(self) -> Judged:
        """The judged rows as error bars want them."""
        task, rows = self.task, self.task.plan.judged
        units = None if task.plan.units is None else task.plan.units[rows]
        if len(rows) == len(task.y):  # nothing is copied: of many classes predictions are large, and many models are compared
            return Judged(task.y, self.oof, self.said, units)
        return Judged(task.y[rows], self.oof[rows], self.said[rows], units)

    def _judged(self, rows: NDArray[np.int64]) -> Metrics:
        task = self.task
        return metrics.evaluate(task.kind, task.y[rows], self.oof[rows], said=self.said[rows], quantile=task.quantile)

    def settled(self, task: Task) -> "Finished":
        """The same with its metrics kept and its out-of-fold predictions, and the rows they are of, let go."""
        kept = {"metrics": self.metrics, "cv_metrics": self.cv_metrics}
        slim = replace(self, oof=self.oof[:0], task=task)
        vars(slim).update(kept)
        return slim

    def score(self, metric: str) -> float:
        """More is better."""
        return metrics.signed(metric, self.metrics[metric])


class Abandoned(Exception):
    """The clock or the caller ended the run in the middle of a model; what it had is thrown away."""


class TooSlow(Exception):
    """The first folds took so long that the rest cannot be done by the deadline; the costs have learned from them."""


def cross_validate(
    name: str,
    candidate: Candidate,
    matrices: Matrices,
    problem: Problem,
    deadline: Deadline,
    *,
    rows: int | None = None,
    costs: Costs | None = None,
    abandon: Callable[[], bool] = lambda: False,
    insist: bool = True,
    doing: Callable[[str], None] = lambda message: None,
) -> Finished:
    """Fit and judge one candidate, on at most `rows` training rows per fold.

    Between two folds, raises `Abandoned` when `abandon()` says so, and `TooSlow` when the deadline cannot be kept, unless
    it is to `insist`. `costs` learns what encoding and fits take, `doing` is told where it is.
    """
    task = matrices.task
    learner = LEARNERS[candidate.family]
    started = time.perf_counter()
    oof = np.full((len(task.y), task.outputs), np.nan)
    members: list[Member] = []
    trained: list[Trained] = []
    sample: dict[str, int] = {}
    count = len(task.plan.folds)
    # A refit costs as much as a fold, and comes out of the same time.
    bag = task.plan.bag and candidate.bagged
    pieces = count if bag else count + 1
    for number, fold in enumerate(task.plan.folds):
        if abandon():
            raise Abandoned
        doing(f"{name}: fold {number + 1} of {count}")
        if number and not insist and deadline.left * _TOO_SLOW < (time.perf_counter() - started) / number * (pieces - number):
            raise TooSlow
        sides = matrices.fold(candidate.encoding, number, rows, costs)
        rounds = trained[0].rounds if trained and candidate.settled else None
        assert sides.valid is not None
        part, began = deadline.part(pieces - number), time.perf_counter()
        one = learner(sides.train, sides.valid, problem, candidate.params, part, rounds)
        if costs is not None:
            costs.learn(candidate, task, len(sides.train.y), part.asked, sides.train.x.shape[1], time.perf_counter() - began)
        oof[fold.valid] = one.predict(sides.valid)
        members += one.members(sides.encoder, 1.0 / count)
        if sides.asked < sides.whole:
            sample = {"sampled_rows": len(sides.train.y), "of_rows": sides.whole}
        trained.append(one)
    rounds = int(np.median([t.rounds for t in trained]))
    if not bag:
        if abandon():
            raise Abandoned
        doing(f"{name}: fitted on all rows")
        members = _refit(candidate, matrices, problem, deadline, rounds, rows)
    parameters = {**candidate.params, "rounds": rounds, "folds": count, **trained[0].notes, **sample}
    return Finished(name, candidate.algo, candidate, tuple(members), oof, time.perf_counter() - started, task, parameters)


def refitted(model: Finished, matrices: Matrices, problem: Problem, deadline: Deadline) -> Finished:
    """A model of a candidate, judged as before, whose one member is fitted on all rows for the rounds its folds found."""
    assert model.candidate is not None
    rounds = cast(int, model.parameters["rounds"])
    started = time.perf_counter()
    members = _refit(model.candidate, matrices, problem, deadline, rounds, None)
    return replace(model, members=tuple(members), seconds=model.seconds + time.perf_counter() - started)


def _refit(
    candidate: Candidate, matrices: Matrices, problem: Problem, deadline: Deadline, rounds: int, rows: int | None
) -> list[Member]:
    sides = matrices.everything(candidate.encoding, rows)
    one = LEARNERS[candidate.family](sides.train, None, problem, candidate.params, deadline, max(rounds, 1))
    return one.members(sides.encoder)
