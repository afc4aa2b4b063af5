"""One candidate on several folds, side by side, each fold on a thread of its own.

The libraries that learn let the interpreter go while they work, and folds do not wait for each other, where the threads of one
booster meet several times a tree: two boosters of 48,000 rows take 0.64 s side by side on two idle cores and 0.92 s beside a busy
process, one after the other on two threads each 0.84 s and 2.6 s.
"""

import importlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import AnyEncoder, Array, Problem, Trained
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.trial.costs import Costs
from coreplex.engines.automl.trial.matrices import Matrices


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
    """How the folds of one candidate are fitted. `rows`: the most training rows of a fold; `costs` learns what they take."""

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
    ) -> "Fitting":
        """The same once libraries are loaded and words counted; `rows`: the most training rows of a fold, None for all."""
        _prepare(candidate, matrices, deadline)
        return cls(candidate, matrices, problem, deadline, candidate.at_most(rows), costs)

    def at_most(self, rows: int | None) -> "Fitting":
        """The same with so many training rows for the next folds."""
        return replace(self, rows=rows)

    def side_by_side(self, numbers: Sequence[int], turns: int, rounds: int | None = None) -> list[Fitted]:
        """Fit these folds at a time, in the part of the time left that one of so many `turns` has.

        Raises the error of the first that failed, after all have ended.
        """
        done = _fitted(lambda number: self._fold(number, turns, rounds), numbers)
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


def _fitted(fold: Callable[[int], Fitted], numbers: Sequence[int]) -> list[Fitted]:
    """All these folds, on threads of this process, one each: nowhere else is it decided where the folds of a candidate are
    fitted."""
    if len(numbers) == 1:
        return [fold(numbers[0])]
    with ThreadPoolExecutor(len(numbers)) as pool:
        begun = [pool.submit(fold, number) for number in numbers]
    return [one.result() for one in begun]


def _prepare(candidate: Candidate, matrices: Matrices, deadline: Deadline) -> None:
    """Import what a family needs and count words, which is done once and is no cost of a fit: the deadline moves by as much."""
    before = deadline.left
    for module in candidate.family.modules:
        importlib.import_module(module)
    matrices.prepare(candidate.encoding)
    deadline.moment += max(0.0, before - deadline.left)
