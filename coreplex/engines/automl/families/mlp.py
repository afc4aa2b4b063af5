"""A small neural network (DeepLearning): scikit-learn's multilayer perceptron, one epoch at a time.

Epoch by epoch because its own early stopping would take rows away and know no clock. Leaves as layers of weights.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import LINKS, Array, EarlyStopping, Params, Problem, Sample, Trained, loss
from coreplex.engines.automl.families.family import Algorithm, Candidate, Family, Load, Placed, Space, Traits, log_uniform
from coreplex.engines.scoring.mlp import Mlp


def fit(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One network. `params`: hidden (tuple of widths), alpha, learning_rate, batch, rounds (epochs), patience."""
    target, centre, scale = _scaled(train, problem)
    model = _model(problem, params, len(train.y))
    extra: dict[str, Any] = {"classes": np.arange(problem.outputs)} if problem.kind != "regression" else {}
    watch = EarlyStopping(int(params.get("patience", 8)) if problem.patience > 0 else 0, deadline)
    best: Mlp | None = None
    for epoch in range(1, (rounds or int(params.get("rounds", 100))) + 1):
        model.partial_fit(train.x, target, sample_weight=train.weights, **extra)
        predictor = _export(model, problem, centre, scale)
        done = watch.stop(epoch, loss(predictor, valid, problem) if valid is not None else None)
        if watch.best_round == epoch or best is None:
            best = predictor
        if done:
            break
    assert best is not None
    return Trained(best, max(watch.best_round, 1), watch.cut)


def _scaled(train: Sample, problem: Problem) -> tuple[Array, float, float]:
    if problem.kind != "regression":
        return np.asarray(train.y, dtype=np.int64), 0.0, 1.0
    y = np.asarray(train.y, dtype=np.float64)
    centre, scale = float(y.mean()), float(y.std()) or 1.0
    return (y - centre) / scale, centre, scale


def _model(problem: Problem, params: Params, n: int) -> Any:
    # Imported here: the first model of a run does not wait for scikit-learn.
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    make = MLPRegressor if problem.kind == "regression" else MLPClassifier
    return make(
        hidden_layer_sizes=tuple(params.get("hidden", (64, 32))),
        alpha=float(params.get("alpha", 1e-3)),
        learning_rate_init=float(params.get("learning_rate", 2e-3)),
        batch_size=int(np.clip(n // 400, min(params.get("batch", 128), max(n // 8, 8)), 4_096)),
        random_state=problem.seed,
    )


def _export(model: Any, problem: Problem, centre: float, scale: float) -> Mlp:
    weights, biases = [w.copy() for w in model.coefs_], [b.copy() for b in model.intercepts_]
    weights[-1], biases[-1] = weights[-1] * scale, biases[-1] * scale + centre
    return Mlp(list(zip(weights, biases, strict=True)), "relu", LINKS[problem.kind])


def portfolio(table: Traits) -> Iterator[Placed]:
    """Smooth surfaces, where trees make steps."""
    yield Placed(NETWORK, 6 if table.small else 7)
    yield Placed(WIDE_NETWORK, 11 if table.small else 13)


def _multiplications(params: Params, load: Load) -> float:
    layers = (load.width, *params.get("hidden", (64, 32)), load.outputs)
    return float(load.rounds * load.rows * sum(a * b for a, b in itertools.pairwise(layers)))


DEEP_LEARNING = Algorithm("DeepLearning", ("mlp", "deep_learning", "neural_network"), place=5)
FAMILY = Family(
    key="mlp",
    algorithms=(DEEP_LEARNING,),
    fit=fit,
    portfolio=portfolio,
    space=Space(
        {
            "hidden": lambda draw: tuple([int(2 ** draw.integers(4, 9))] * int(draw.integers(1, 3))),
            "alpha": log_uniform(1e-5, 0.3),
            "learning_rate": log_uniform(4e-4, 8e-3),
            "batch": lambda draw: int(2 ** draw.integers(5, 10)),
        },
        {"rounds": 120, "patience": 10},
        weight=0.1,
    ),
    modules=("sklearn.neural_network",),
    work=_multiplications,
    seconds_per_unit=0.8e-9,
    clocked=True,
    fair_rounds=lambda params: min(12, int(params.get("rounds", 12))),
)
NETWORK = Candidate("DeepLearning", FAMILY, {"hidden": (96, 48), "alpha": 1e-3, "learning_rate": 2e-3, "batch": 128})
WIDE_NETWORK = Candidate("DeepLearning", FAMILY, {"hidden": (256,), "alpha": 1e-2, "learning_rate": 1e-3, "batch": 256})
