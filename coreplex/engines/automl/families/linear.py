"""Generalised linear models on scaled, one-hot encoded columns: logistic, softmax, ridge, elastic net.

A path of penalties from strong to weak, the best on the validation part wins; the clock is asked between the steps.
Leaves as weights.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import LINKS, Array, Params, Problem, Sample, Trained, loss
from coreplex.engines.automl.families.family import Algorithm, Candidate, Family, Placed, Traits
from coreplex.engines.scoring.linear import Linear

_CLASSIFIER_PATH = (0.003, 0.03, 0.3, 3.0)
_RIDGE_PATH = (300.0, 30.0, 3.0, 0.3, 0.003)
_STEPS, _HEAVY = 20, 10_000_000
_NET_PATH = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)


@dataclass(frozen=True)
class _Weights:
    coefficients: Array
    intercept: Array


def fit(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One linear model. `rounds` is the step of the path to end at; without it and without `valid`, the middle."""
    best: tuple[float, int, _Weights] | None = None
    centre = train.x.mean(axis=0)
    last = rounds or (len(_path(problem, params)) + 1) // 2
    cut = False
    for step, weights in enumerate(_steps(train, problem, params, deadline), start=1):
        lost = loss(_export(weights, problem, centre), valid, problem) if valid is not None else -step
        if np.isfinite(lost) and (best is None or lost < best[0]):
            best = (lost, step, weights)
        worse = best is not None and step - best[1] >= 2
        cut = deadline.passed
        if worse or cut or (valid is None and step >= last):
            break
    assert best is not None
    _, step, weights = best
    return Trained(_export(weights, problem, centre), step, cut, {"penalty": _path(problem, params)[step - 1]})


def _path(problem: Problem, params: Params) -> tuple[float, ...]:
    if "path" in params:
        return tuple(params["path"])
    if problem.kind != "regression":
        return _CLASSIFIER_PATH
    return _NET_PATH if params.get("l1_ratio") else _RIDGE_PATH


def _steps(train: Sample, problem: Problem, params: Params, deadline: Deadline) -> Iterator[_Weights]:
    # scikit-learn is imported where it is used: the first model of a run does not wait for it.
    from sklearn.exceptions import ConvergenceWarning

    # For good: what is set for a while is set for all threads, and folds are fitted side by side.
    warnings.simplefilter("ignore", ConvergenceWarning)
    return (_regression if problem.kind == "regression" else _classification)(train, problem, params, deadline)


def _classification(train: Sample, problem: Problem, params: Params, deadline: Deadline) -> Iterator[_Weights]:
    from sklearn.linear_model import LogisticRegression

    steps = _STEPS if train.x.size < _HEAVY else _STEPS // 4
    model = LogisticRegression(C=1.0, tol=1e-3, max_iter=steps, warm_start=True, random_state=problem.seed)
    for strength in _path(problem, params):
        model.set_params(C=strength)
        # A few iterations at a time, so that the clock is asked often enough.
        for _ in range(300 // steps):
            model.fit(train.x, train.y, train.weights)
            if int(np.max(model.n_iter_)) < steps or deadline.passed:
                break
        yield _spread(model.coef_, model.intercept_, model.classes_, problem)


def _spread(coef: Array, intercept: Array, seen: NDArray[np.int64], problem: Problem) -> _Weights:
    """Weights for all classes; a class that this fold did not see gets almost no probability."""
    if problem.kind == "binary":
        return _Weights(coef.copy(), intercept.copy())
    if len(seen) == 2:
        coef, intercept = np.vstack([-coef / 2, coef / 2]), np.concatenate([-intercept / 2, intercept / 2])
    coefficients = np.zeros((problem.outputs, coef.shape[1]))
    constants = np.full(problem.outputs, float(intercept.min()) - 12.0)
    coefficients[seen], constants[seen] = coef, intercept
    return _Weights(coefficients, constants)


def _regression(train: Sample, problem: Problem, params: Params, deadline: Deadline) -> Iterator[_Weights]:
    from sklearn.linear_model import ElasticNet, Ridge

    y = np.asarray(train.y, dtype=np.float64)
    scale = float(y.std()) or 1.0
    centre = float(y.mean())
    ratio = params.get("l1_ratio")
    for strength in _path(problem, params):
        model = (
            ElasticNet(alpha=strength, l1_ratio=ratio, max_iter=500, tol=1e-3, random_state=problem.seed)
            if ratio
            else Ridge(alpha=strength, random_state=problem.seed)
        )
        model.fit(train.x, (y - centre) / scale, train.weights)
        yield _Weights(np.atleast_2d(model.coef_ * scale), np.atleast_1d(model.intercept_ * scale + centre))


def _export(weights: _Weights, problem: Problem, centre: Array) -> Linear:
    return Linear(weights.coefficients.T, weights.intercept, LINKS[problem.kind], centre)


def portfolio(table: Traits) -> Iterator[Placed]:
    """Hard to beat where rows are few or effects add up, and the most different member of all."""
    quick = 1 if table.many_classes else None  # trees cost as much as there are classes
    yield Placed(LINEAR, 0.4 if table.very_many_levels else 1 if table.small else 2, quick)
    if table.kind == "regression":
        yield Placed(SPARSE, 99 if not table.small else 2.4 if table.many_levels else 3.5)


GLM = Algorithm("GLM", ("linear", "lrl1", "lrl2"), place=0)
FAMILY = Family(
    key="linear", algorithms=(GLM,), fit=fit, portfolio=portfolio, modules=("sklearn.linear_model",), seconds_per_unit=1e-9
)
LINEAR = Candidate("GLM", FAMILY)
# Drops columns that do not matter.
SPARSE = Candidate("GLM", FAMILY, {"l1_ratio": 0.7})
