"""What every learner is given and gives back: arrays in, a predictor without pickle out, and an end in time.

A learner never sees a frame, a file or the rows it will be judged on, except the validation part that stops it early.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.evaluation.metrics import logloss, mse
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.residual import ResidualEncoder
from coreplex.engines.encoding.sparse import SparseEncoder
from coreplex.engines.encoding.steps import TaskKind
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.lightgbm import LightGbm, rescaled
from coreplex.engines.scoring.linear import Linear, SparseLinear
from coreplex.engines.scoring.predictor import Link, Predictor

Array = NDArray[np.float64]
Params = Mapping[str, Any]
AnyEncoder = Encoder | SparseEncoder | ResidualEncoder
LINKS: Mapping[TaskKind, Link] = {"binary": "logit", "multiclass": "softmax", "regression": "identity"}


@dataclass(frozen=True)
class Sample:
    """Rows of one side of a fold. x: (n, width) float64, a sparse matrix for models of words; y: (n,) class codes or values;
    weights: (n,) or None."""

    x: Array
    y: NDArray[np.generic]
    weights: Array | None = None
    categorical: tuple[int, ...] = ()
    start: Array | None = None
    """(n,) values that boosting starts from, where a linear model stands under the trees."""


@dataclass(frozen=True)
class Problem:
    """What is learned and how it is stopped. `outputs`: number of classes, 1 for regression."""

    kind: TaskKind
    outputs: int
    seed: int
    threads: int = 1
    distribution: str = "AUTO"
    alpha: float = 0.5
    power: float = 1.5
    stopping_metric: str = "AUTO"
    patience: float = 1.0


@dataclass(frozen=True)
class Trained:
    """A fitted model and how many rounds it took, for a second fit without a validation part.

    `cut` says that the deadline ended it. `notes` hold what was chosen on the validation part (a penalty).
    """

    predictor: Predictor | SparseLinear
    rounds: int
    cut: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    def predict(self, sample: Sample) -> Array:
        """(n, k) probabilities or (n, 1) values."""
        found = self.predictor.predict(sample.x)
        return found if sample.start is None else found + sample.start[:, None]

    def members(self, encoder: AnyEncoder, weight: float = 1.0) -> list[Member]:
        """The model as it is stored and served, with the encoder of its training rows; together they weigh `weight`."""
        if isinstance(encoder, SparseEncoder):
            assert isinstance(self.predictor, SparseLinear)
            served, weights, centre = encoder.served(self.predictor.slopes, self.predictor.centre)
            return [Member(served, Linear(weights, self.predictor.bias, self.predictor.link, centre), weight)]
        assert not isinstance(self.predictor, SparseLinear)
        if isinstance(encoder, ResidualEncoder):
            # Members are averaged, and these two add up: each is doubled.
            assert isinstance(self.predictor, LightGbm)
            trees = LightGbm(rescaled(self.predictor.text, 2.0, 0.0))
            ridge = Linear(2.0 * encoder.weights, 2.0 * encoder.bias, "identity", encoder.centre)
            return [Member(encoder.trees, trees, weight / 2), Member(encoder.dense, ridge, weight / 2)]
        return [Member(encoder, self.predictor, weight)]


class Learner(Protocol):
    """Fit on `train`; stop early on `valid` when there is one, after `rounds` when not; be done by the deadline."""

    def __call__(
        self, train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
    ) -> Trained: ...


def loss(predictor: Predictor | SparseLinear, valid: Sample, problem: Problem) -> float:
    """What learners that watch it themselves make small: the mean squared error of numbers, the log-loss of classes."""
    p = predictor.predict(valid.x)
    if problem.kind == "regression":
        return mse(np.asarray(valid.y, dtype=np.float64), p)
    return logloss(np.asarray(valid.y, dtype=np.int64), p)


class EarlyStopping:
    """Early stopping and the deadline in one: told the loss after each round, says when to stop, knows the best round.

    `rising`: what is told is no loss: more is better.
    """

    def __init__(self, patience: int, deadline: Deadline, *, rising: bool = False) -> None:
        self.patience = patience
        self.deadline = deadline
        self.rising = rising
        self.best: float | None = None
        self.best_round = 0
        self.cut = False
        self._slowest = 0.0
        self._left = deadline.left

    @classmethod
    def boosting(cls, problem: Problem, params: Params, deadline: Deadline, *, rising: bool) -> Self:
        """Of a booster: its own `patience`, as much longer as the run asks for."""
        patience = max(int(params.get("patience", 50) * problem.patience), 5) if problem.patience > 0 else 0
        return cls(patience, deadline, rising=rising)

    def stop(self, round_: int, loss: float | None) -> bool:
        """`round_` counts from 1; `loss` is None without a validation part. True ends the training."""
        if loss is None:
            self.best_round = round_
        elif np.isfinite(loss) and (self.best is None or (loss > self.best if self.rising else loss < self.best)):
            self.best, self.best_round = loss, round_
        left = self.deadline.left
        self._slowest = max(0.9 * self._slowest, self._left - left if np.isfinite(left) else 0.0)
        self._left = left
        # Another round as slow as the slowest lately would end too late.
        self.cut = left <= self._slowest
        return self.cut or (loss is not None and self.patience > 0 and round_ - self.best_round >= self.patience)
