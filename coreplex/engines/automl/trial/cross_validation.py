"""One configuration on all folds: out-of-fold predictions, the model that made them, and what it cost.

With exchangeable folds the fold copies together are the model (bagging, as AutoGluon does it): no second training,
and a better one than a refit where it was measured. A holdout or forward-in-time plan fits on all rows afterwards:
boosters of a forward plan as copies that stop on a random part, everything else once, for the rounds the folds found.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.evaluation import metrics, threshold
from coreplex.engines.automl.evaluation.metrics import Metrics
from coreplex.engines.automl.evaluation.predictions import Predictions
from coreplex.engines.automl.families.base import Problem
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.trial.costs import HOPELESS, LEAST_ROWS, LENIENCE, Costs, fits_after, waves
from coreplex.engines.automl.trial.fitting import Fitted, Fitting
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.ensemble import Combine, Member

Array = NDArray[np.float64]


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
    def decision(self) -> threshold.Decision | None:
        """Two classes: from which probability on the second is predicted, and what that says of the judged rows."""
        task = self.task
        if task.kind != "binary":
            return None
        rows = task.plan.validated
        parts = [np.searchsorted(rows, fold.valid) for fold in task.plan.folds]
        return threshold.decide(task.y[rows].astype(np.int64), self.oof[rows, 1], task.aim, parts, task.seed)

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


class Abandoned(Exception):
    """The clock or the caller ended the run in the middle of a model; what it had is thrown away."""


class TooSlow(Exception):
    """Even on the fewest rows the folds cannot be done by the deadline."""


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
    least: int = LEAST_ROWS,
    doing: Callable[[str], None] = lambda message: None,
) -> Finished:
    """Fit and judge one candidate, on at most `rows` training rows per fold.

    Where the first folds were slower than thought, the next ones get fewer rows, `least` or more. Between two folds, raises
    `Abandoned` when `abandon()` says so, and `TooSlow` when even those take too long, unless it is to `insist`. `costs` learns
    what encoding and fits take, `doing` is told where it is.
    """
    task, fitting = matrices.task, Fitting.of(candidate, matrices, problem, deadline, rows, costs)
    started = time.perf_counter()
    count, workers, done = len(task.plan.folds), matrices.memory.workers, list[Fitted]()
    # What is fitted on all rows costs as much as a fold, and comes out of the same time.
    bag, after = task.plan.bag and candidate.family.bagged, waves(fits_after(task, candidate), workers)
    while len(done) < count:
        if abandon():
            raise Abandoned
        first, turns = len(done), waves(count - len(done), workers) + after
        if done and not insist:
            searched = candidate.family.trials * done[0].seconds
            expected = (time.perf_counter() - started - searched) / waves(first, workers) * turns
            fitting = fitting.at_most(_affordable(fitting.rows, done[-1].learned, expected, deadline.left, least))
        # The first fold of a candidate that settles something settles it for the others.
        settles = candidate.family.trials and not done
        numbers = range(first, min(first + (1 if settles else workers), count))
        doing(f"{name}: fold {' and '.join(str(number + 1) for number in numbers)} of {count}")
        done += fitting.side_by_side(numbers, turns, done[0].trained.rounds if done and candidate.family.trials else None)
    trained = [one.trained for one in done]
    rounds = int(np.median([one.rounds for one in trained]))
    if not bag:
        if abandon():
            raise Abandoned
        doing(f"{name}: fitted on all rows")
        members, rounds = _final(candidate, matrices, problem, deadline, rounds, fitting.rows)
    else:
        members = [member for one in done for member in one.trained.members(one.encoder, 1.0 / count)]
    oof = np.full((len(task.y), task.outputs), np.nan)
    for fold, one in zip(task.plan.folds, done, strict=True):
        oof[fold.valid] = one.predicted
    sampled = [{"sampled_rows": one.learned, "of_rows": one.whole} for one in done if one.asked < one.whole]
    parameters = {**candidate.params, "rounds": rounds, "folds": count, **trained[0].notes, **(sampled[-1] if sampled else {})}
    cut = any(one.cut or one.rounds >= candidate.params.get("rounds", np.inf) for one in trained)
    seconds = time.perf_counter() - started
    return Finished(name, candidate.algo, candidate, tuple(members), oof, seconds, task, parameters, cut=cut)


def _affordable(rows: int | None, learned: int, expected: float, left: float, least: int) -> int | None:
    """Training rows of the next folds: as before, or fewer than were `learned` from where all that is `expected` (seconds) is
    much longer than is left. Raises `TooSlow` where they would be fewer than `least`, unless there never were more."""
    if expected <= LENIENCE * left:
        return rows
    fewer = int(learned * left / expected)
    if fewer >= least:
        return fewer
    if learned > least or expected > HOPELESS * left:
        raise TooSlow
    return rows


def refitted(model: Finished, matrices: Matrices, problem: Problem, deadline: Deadline) -> Finished:
    """A model of a candidate, judged as before, whose members are fitted on all rows."""
    assert model.candidate is not None
    rounds = cast(int, model.parameters["rounds"])
    started = time.perf_counter()
    members, rounds = _final(model.candidate, matrices, problem, deadline, rounds, model.candidate.at_most(None))
    parameters = {**model.parameters, "rounds": rounds}
    seconds = model.seconds + time.perf_counter() - started
    return replace(model, members=tuple(members), parameters=parameters, seconds=seconds)


def _final(
    candidate: Candidate, matrices: Matrices, problem: Problem, deadline: Deadline, rounds: int, rows: int | None
) -> tuple[list[Member], int]:
    """The members fitted on all rows: boosters of a forward plan as copies that stop on a random part of the rows, everything
    else once, for the rounds its folds found; and the rounds they took.

    Rounds that forward folds find are of fewer rows and of a time that was different: of ten boosters on sensor readings and on
    house prices the copies were better than a fit for the median in eight, by 0.5 to 16 %, and worse in two, by 1 and 3 %.
    """
    plan = matrices.task.plan
    if plan.final_folds and candidate.family.booster:
        first, count = len(plan.folds), len(plan.final_folds)
        workers, done = matrices.memory.workers, list[Fitted]()
        fitting = Fitting.of(candidate, matrices, problem, deadline, rows)
        for start in range(0, count, workers):
            numbers = range(first + start, first + min(start + workers, count))
            done += fitting.side_by_side(numbers, waves(count - start, workers))
        made = [member for one in done for member in one.trained.members(one.encoder, 1.0 / count)]
        return made, int(np.median([one.trained.rounds for one in done]))
    sides = matrices.everything(candidate.encoding, rows)
    one = candidate.family.fit(sides.train, None, problem, candidate.params, deadline, max(rounds, 1))
    return one.members(sides.encoder), rounds
