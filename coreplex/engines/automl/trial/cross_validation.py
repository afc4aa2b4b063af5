"""One configuration on all folds: out-of-fold predictions, the model that made them, and what it cost.

With exchangeable folds the fold copies together are the model (bagging, as AutoGluon does it): no second training,
and a better one than a refit where it was measured. A holdout or forward-in-time plan fits on all rows afterwards where there
is time: boosters of a forward plan as copies that stop on a random part, everything else once, for the rounds the folds found.

Folds are fitted side by side, each on a thread of its own. The libraries that learn let the interpreter go while they work, and
folds do not wait for each other, where the threads of one booster meet several times a tree: two boosters of 48,000 rows take
0.64 s side by side on two idle cores and 0.92 s beside a busy process, one after the other on two threads each 0.84 s and 2.6 s.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Self, cast

import numpy as np

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import AnyEncoder, Array, Problem, Trained
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.trial.costs import HOPELESS, LEAST_ROWS, LENIENCE, Costs, fits_after, waves
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.scoring.ensemble import Member

_MOST_ROUNDS = 0.8
"""A fit on all rows that the clock ended counts from this share of its rounds on: it learns from more rows than a fold."""


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
            affordable = _affordable(fitting.rows, done[-1].learned, expected, deadline.left, least)
            fitting = replace(fitting, rows=affordable)
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
    final = None if bag else _final(candidate, matrices, problem, deadline, rounds, fitting.rows)
    members, rounds = final or ([one for fold in done for one in fold.trained.members(fold.encoder, 1.0 / count)], rounds)
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
    """A model of a candidate, judged as before, whose members are fitted on all rows where there is time for it."""
    assert model.candidate is not None
    rounds = cast(int, model.parameters["rounds"])
    started = time.perf_counter()
    final = _final(model.candidate, matrices, problem, deadline, rounds, model.candidate.at_most(None))
    if final is None:
        return model
    members, rounds = final
    parameters = {**model.parameters, "rounds": rounds}
    seconds = model.seconds + time.perf_counter() - started
    return replace(model, members=tuple(members), parameters=parameters, seconds=seconds)


def _final(
    candidate: Candidate, matrices: Matrices, problem: Problem, deadline: Deadline, rounds: int, rows: int | None
) -> tuple[list[Member], int] | None:
    """The members fitted on all rows: boosters of a forward plan as copies that stop on a random part of the rows, everything
    else once, for the rounds its folds found; and the rounds they took.

    None where the clock ended every fit long before those rounds: what the folds were judged by is better than first trees.

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
        kept = [one for one in done if not _cut_short(one.trained, rounds)]
        made = [member for one in kept for member in one.trained.members(one.encoder, 1.0 / len(kept))]
        return (made, int(np.median([one.trained.rounds for one in kept]))) if kept else None
    sides = matrices.everything(candidate.encoding, rows)
    one = candidate.family.fit(sides.train, None, problem, candidate.params, deadline, max(rounds, 1))
    return None if _cut_short(one, rounds) else (one.members(sides.encoder), rounds)


def _cut_short(fit: Trained, rounds: int) -> bool:
    return fit.cut and fit.rounds < _MOST_ROUNDS * rounds


@dataclass(frozen=True)
class Fitted:
    """A fitted fold, what it says of the rows that judge, and what the fit took."""

    trained: Trained
    encoder: AnyEncoder
    predicted: Array
    learned: int
    """Training rows."""
    asked: int
    whole: int
    """Training rows that were asked for, and that there are."""
    width: int
    rounds: int
    """How often the clock was looked at."""
    seconds: float
    """Of one fit, where the rounds were found by several."""


@dataclass(frozen=True)
class Fitting:
    """How the folds of one candidate are fitted. `rows`: the most training rows of a fold, None for all; `costs` learns what they
    take."""

    candidate: Candidate
    matrices: Matrices
    problem: Problem
    deadline: Deadline
    rows: int | None
    costs: Costs | None

    @classmethod
    def of(
        cls,
        candidate: Candidate,
        matrices: Matrices,
        problem: Problem,
        deadline: Deadline,
        rows: int | None,
        costs: Costs | None = None,
    ) -> Self:
        """The same once the libraries of the family are loaded and words counted, which is done once and is no cost of a fit: the
        deadline moves by as much."""
        before = deadline.left
        for module in candidate.family.modules:
            importlib.import_module(module)
        matrices.prepare(candidate.encoding)
        deadline.moment += max(0.0, before - deadline.left)
        return cls(candidate, matrices, problem, deadline, candidate.at_most(rows), costs)

    def side_by_side(self, numbers: Sequence[int], turns: int, rounds: int | None = None) -> list[Fitted]:
        """Fit these folds at a time, in the part of the time left that one of so many `turns` has.

        Raises the error of the first that failed, after all have ended.
        """
        if len(numbers) == 1:
            done = [self._fold(numbers[0], turns, rounds)]
        else:
            with ThreadPoolExecutor(len(numbers)) as pool:
                begun = [pool.submit(self._fold, number, turns, rounds) for number in numbers]
            done = [one.result() for one in begun]
        if self.costs is not None:
            for one in done:
                self.costs.learn(self.candidate, self.matrices.task, one.learned, one.rounds, one.width, one.seconds)
        return done

    def _fold(self, number: int, turns: int, rounds: int | None) -> Fitted:
        sides = self.matrices.fold(self.candidate.encoding, number, self.rows, self.costs)
        assert sides.valid is not None
        fits = 1 if rounds else 1 + self.candidate.family.trials
        part, began = self.deadline.part((turns - 1) / fits + 1), time.perf_counter()
        one = self.candidate.family.fit(sides.train, sides.valid, self.problem, self.candidate.params, part, rounds)
        seconds, looked = (time.perf_counter() - began) / fits, part.times_asked
        learned, width = sides.train.x.shape
        return Fitted(one, sides.encoder, one.predict(sides.valid), learned, sides.asked, sides.whole, width, looked, seconds)
