"""How right answers were, once the outcomes are known: the metrics of the leaderboard, of rows as the inference log has them.

    judge = Judge.of("classification", ["no", "yes"])        # of a model: `problem_type`, `classes`
    rows = judge.rows(outputs, outcomes)                     # outputs as served, outcomes as posted; None where unknown
    judge.metrics(rows)                                      # {"auc": 0.91, "accuracy": …}; of part of them: rows.take(places)
    better(name, 0.8, 0.9)                                   # whether 0.9 is better than 0.8: by the metric's direction

Rows without an answer or an outcome are left out, and those answered with a class that is none of the model's. An outcome that
is a class the model does not know counts in the accuracy: the answer was wrong. All other metrics are of the rows whose class it
knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.evaluation.measures import FURTHER, Measure, Predictions
from coreplex.engines.automl.evaluation.metrics import HIGHER_IS_BETTER, Metrics
from coreplex.engines.performance.spelling import spelled

Array = NDArray[np.float64]
Task = Literal["binary", "multiclass", "regression"]
Output = Mapping[str, Any]
"""An answer as it is served and logged: `prediction`, and of classes `probabilities` by their spelling."""


class Figure(NamedTuple):
    """A metric and its standard error, both in its unit; None where there is none."""

    value: float | None
    error: float | None = None


Figures = dict[str, Figure]


@dataclass(frozen=True)
class Rows:
    """n rows with answer and outcome. y: (n,) class codes, -1 for a class the model does not know, or values; p: (n, k)
    probabilities or (n, 1) values; predicted: (n,) class codes as answered; places: (n,) where they were in what was given."""

    y: NDArray[np.generic]
    p: Array
    predicted: NDArray[np.int64]
    places: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, some: NDArray[Any]) -> "Rows":
        """Some of them. some: (n,) of bool, or positions."""
        return Rows(self.y[some], self.p[some], self.predicted[some], self.places[some])

    @property
    def unknown(self) -> int:
        """How many outcomes are a class that the model does not know."""
        return int((self.y == -1).sum()) if self.y.dtype == np.int64 else 0


@dataclass(frozen=True)
class Judge:
    """Of the answers of one model, and of others that answer the same question. `classes`: as it has them, none of a number;
    `quantile`: the level a model of a quantile predicts."""

    task: Task
    classes: tuple[Any, ...] = ()
    quantile: float | None = None

    @classmethod
    def of(cls, problem_type: str, classes: Sequence[Any], quantile: float | None = None) -> "Judge":
        """Of a model's `problem_type` (classification or regression) and its classes."""
        if problem_type == "regression":
            return cls("regression", (), quantile)
        return cls("binary" if len(classes) == 2 else "multiclass", tuple(classes))

    @cached_property
    def measures(self) -> Mapping[str, Measure]:
        """The metrics there are, by name: those of the leaderboard, and of classes three more."""
        return metrics.of_task(self.task, self.quantile) | ({} if self.task == "regression" else FURTHER)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the metrics there are."""
        return tuple(self.measures)

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """By spelling the number of each class."""
        return {spelled(label): code for code, label in enumerate(self.classes)}

    def answers(self, outputs: Sequence[Output]) -> tuple[Array, NDArray[np.int64]]:
        """(n, k) probabilities or (n, 1) values, and (n,) the classes that were answered (zeros of numbers), of n answers."""
        if self.task == "regression":
            values = np.array([float(one["prediction"]) for one in outputs], dtype=np.float64)
            return values[:, None], np.zeros(len(outputs), dtype=np.int64)
        predicted = np.array([self.codes.get(spelled(one["prediction"]), -1) for one in outputs], dtype=np.int64)
        return self._probabilities(outputs), predicted

    def _probabilities(self, outputs: Sequence[Output]) -> Array:
        p = np.zeros((len(outputs), len(self.classes)))
        for row, one in zip(p, outputs, strict=True):
            for label, value in one["probabilities"].items():
                if (code := self.codes.get(spelled(label))) is not None:
                    row[code] = value
        return p

    def outcomes(self, said: Sequence[Any]) -> NDArray[np.generic]:
        """(n,) class codes, -1 where the model does not know the class, or values."""
        if self.task == "regression":
            return np.array([float(one) for one in said], dtype=np.float64)
        return np.array([self.codes.get(spelled(one), -1) for one in said], dtype=np.int64)

    def rows(self, outputs: Sequence[Output | None], outcomes: Sequence[Any]) -> Rows:
        """Those with answer and outcome, of n outputs and n outcomes as the log has them."""
        both = [place for place, one in enumerate(outputs) if self._is_judged(one, outcomes[place])]
        p, predicted = self.answers([out for place in both if (out := outputs[place]) is not None])
        return Rows(self.outcomes([outcomes[place] for place in both]), p, predicted, np.array(both, dtype=np.int64))

    def is_answer(self, output: Output | None) -> bool:
        """Whether it is an answer of such a model."""
        answer = None if output is None else output.get("prediction")
        if output is None or answer is None:
            return False
        return _is_number(answer) if self.task == "regression" else "probabilities" in output and spelled(answer) in self.codes

    def _is_judged(self, output: Output | None, outcome: Any) -> bool:
        return self.is_answer(output) and outcome is not None and (self.task != "regression" or _is_number(outcome))

    def metrics(self, rows: Rows) -> Metrics:
        """All metrics by name; None for one that is not defined on these rows, all of them without any."""
        if not len(rows):
            return dict.fromkeys(self.names)
        known = rows.take(rows.y != -1) if rows.unknown else rows
        found: Metrics = dict.fromkeys(self.names)
        if len(known):
            judged, every = Predictions(known.y, known.p, known.predicted), np.ones((1, len(known)))
            with np.errstate(over="ignore", invalid="ignore"):  # of numbers as far as they go: those metrics are not defined
                found = {name: defined(measure(judged, every)[0]) for name, measure in self.measures.items()}
        if rows.unknown:
            found["accuracy"] = float((rows.predicted == rows.y).mean())
        return found

    def metric(self, name: str, rows: Rows) -> float | None:
        """One metric; None where it is not defined on these rows. KeyError for a name that is none of `names`."""
        return self.metrics(rows)[name]

    def figures(self, rows: Rows) -> Figures:
        """All metrics by name, each with its standard error where there is one."""
        return {
            name: Figure(value, value if value is None else self.error(name, rows)) for name, value in self.metrics(rows).items()
        }

    def error(self, name: str, rows: Rows) -> float | None:
        """The standard error of a metric on these rows, in its unit: the jackknife over twenty random groups (Tukey 1958).
        None with fewer than forty rows, or where a group more or less leaves it undefined."""
        known = rows.take(rows.y != -1) if rows.unknown and name != "accuracy" else rows
        if len(known) < 2 * _GROUPS:
            return None
        group = np.random.default_rng(len(known)).permutation(len(known)) % _GROUPS
        weights = (group[None, :] != np.arange(_GROUPS)[:, None]).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.measures[name](Predictions(known.y, known.p, known.predicted), weights)
            spread = float(np.sqrt((_GROUPS - 1) / _GROUPS * np.square(values - values.mean()).sum()))
        return defined(spread)


_GROUPS = 20


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


HIGHER = HIGHER_IS_BETTER | set(FURTHER)
"""Metrics of which more is better; of the others less is."""


def defined(value: float) -> float | None:
    """The value of a metric; None where it is not defined."""
    return float(value) if isfinite(value) else None


def better(name: str, one: float, other: float) -> bool:
    """Whether the other value of a metric is better."""
    return other > one if name in HIGHER else other < one


def worse_by(name: str, before: float, now: float) -> float:
    """By how much a metric has become worse, in its unit; below zero where it has become better."""
    return before - now if name in HIGHER else now - before
