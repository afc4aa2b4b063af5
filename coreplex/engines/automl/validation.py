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

from coreplex.engines.automl import metrics
from coreplex.engines.automl.clock import Deadline
from coreplex.engines.automl.learners import lightgbm, linear, mlp, xgboost
from coreplex.engines.automl.learners.base import Learner, Problem
from coreplex.engines.automl.matrices import Matrices
from coreplex.engines.automl.portfolio import Candidate
from coreplex.engines.automl.task import Task
from coreplex.engines.scoring.ensemble import Combine, Member

Array = NDArray[np.float64]
LEARNERS: dict[str, Learner] = {
    "lightgbm": lightgbm.fit,
    "xgboost": xgboost.fit,
    "linear": linear.fit,
    "mlp": mlp.fit,
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
    def metrics(self) -> metrics.Metrics:
        """All metrics over the rows that were judged."""
        rows = self.task.plan.judged
        return metrics.evaluate(self.task.kind, self.task.y[rows], self.oof[rows])

    @cached_property
    def cv_metrics(self) -> dict[str, dict[str, float]]:
        """Mean and deviation over the folds."""
        task = self.task
        return metrics.spread([metrics.evaluate(task.kind, task.y[f.valid], self.oof[f.valid]) for f in task.plan.folds])

    def score(self, metric: str) -> float:
        """More is better."""
        return metrics.signed(metric, self.metrics[metric])


class Abandoned(Exception):
    """The clock or the caller ended the run in the middle of a model; what it had is thrown away."""


def cross_validate(
    name: str,
    candidate: Candidate,
    matrices: Matrices,
    problem: Problem,
    deadline: Deadline,
    *,
    abandon: Callable[[], bool] = lambda: False,
) -> Finished:
    """Fit and judge one candidate. Raises `Abandoned` when `abandon()` says so between two folds."""
    task = matrices.task
    learner = LEARNERS[candidate.family]
    started = time.perf_counter()
    oof = np.full((len(task.y), task.outputs), np.nan)
    members, trained = [], []
    count = len(task.plan.folds)
    # A refit costs as much as a fold, and comes out of the same time.
    pieces = count if task.plan.bag else count + 1
    for number, fold in enumerate(task.plan.folds):
        if abandon():
            raise Abandoned
        sides = matrices.fold(candidate.encoding, number)
        one = learner(sides.train, sides.valid, problem, candidate.params, deadline.part(pieces - number))
        assert sides.valid is not None
        oof[fold.valid] = one.predictor.predict(sides.valid.x)
        members.append(Member(sides.encoder, one.predictor, 1.0 / count))
        trained.append(one)
    rounds = int(np.median([t.rounds for t in trained]))
    if not task.plan.bag:
        if abandon():
            raise Abandoned
        members = [_refit(candidate, matrices, problem, deadline, rounds)]
    parameters = {**candidate.params, "rounds": rounds, "folds": count, **trained[0].notes}
    return Finished(name, candidate.algo, candidate, tuple(members), oof, time.perf_counter() - started, task, parameters)


def refitted(model: Finished, matrices: Matrices, problem: Problem, deadline: Deadline) -> Finished:
    """A model of a candidate, judged as before, whose one member is fitted on all rows for the rounds its folds found."""
    assert model.candidate is not None
    rounds = cast(int, model.parameters["rounds"])
    started = time.perf_counter()
    member = _refit(model.candidate, matrices, problem, deadline, rounds)
    return replace(model, members=(member,), seconds=model.seconds + time.perf_counter() - started)


def _refit(candidate: Candidate, matrices: Matrices, problem: Problem, deadline: Deadline, rounds: int) -> Member:
    sides = matrices.everything(candidate.encoding)
    one = LEARNERS[candidate.family](sides.train, None, problem, candidate.params, deadline, max(rounds, 1))
    return Member(sides.encoder, one.predictor)
