"""Linear models on sparse columns, mostly hashed words: logistic and softmax regression by AdaGrad in small batches, ridge.

A pass over 14,000 texts and 35 classes takes a fifth of a second, where L-BFGS needs a hundred of them: each batch changes the
weights of its own words only (Duchi, Hazan, Singer 2011), with one sum of squared gradients per word for all classes; stopping
early is the only penalty there. Of very many words most say nothing, and together they drown those that do, so words are screened
one by one before (`screening`). Which screen, and how strong a fit (a path of rates, of penalties of the ridge): what is best on
the validation part.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import lsqr

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import LINKS, Array, Params, Problem, Sample, Trained, loss
from coreplex.engines.automl.families.family import Candidate, Family, Load, Placed, Traits
from coreplex.engines.automl.families.linear import GLM
from coreplex.engines.automl.families.screening import relative_weights, screening
from coreplex.engines.scoring.linear import SparseLinear
from coreplex.engines.scoring.predictor import Link, respond

_RATES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
_PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
_START = 3
"""The place on the path from which both sides are tried: right for most tables."""
_PASSES = 2
_SMALL_BATCH, _BATCH, _STEPS = 16, 128, 100
"""Rows of a batch: a hundredth of them all, within bounds. A handful of steps would be long ones, and overshoot."""
_SCREENS = (0.0, 2.0, 3.0, 4.0)
"""Standard errors that the dependence on a column must exceed; 0: all columns as they are."""
_ORDER = (2, 1, 3, 0)
"""In which screens are tried: quick ones first."""
_ITERATIONS = 40
_FLOOR = 1e-6
_PER_ENTRY = 4
"""What finding the weights of an entry costs, in outputs that it adds to."""
_REACH = 30.0
"""A first step moves the answer of a row by the rate times the sum of its entries. Above this sum, which a few columns of texts
have, rates are lowered in proportion: of fifty columns, steps for one would throw the model about."""
Weights = NDArray[np.float32]
Fitted = Callable[[int], SparseLinear]


def fit(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One linear model. `rounds`: the screen and the place on the path to take, numbered through from 1; without it the best on
    the validation part, or the usual one."""
    regression = problem.kind == "regression"
    path = tuple(params.get("path", _PENALTIES if regression else _RATES))
    usual = min(_START + 1, len(path))
    centre, part = _centre(train.x), lru_cache(maxsize=1)(screening(train, problem))

    def fitted(step: int) -> SparseLinear:
        screen, place = divmod(step - 1, len(path))
        own = part(_SCREENS[screen])
        if regression:
            model = _ridge(own.train, path[place])
        else:
            model = _descend(_data(own.train, problem), _slower(own.train) * path[place], problem.seed, deadline)
        return replace(model, slopes=own.widened(model.slopes, len(centre)), centre=centre)

    if rounds is None and valid is not None:
        best, model = _searched(usual, len(path), fitted, lambda one: loss(one, valid, problem), deadline)
    else:
        best = min(rounds or usual, len(_SCREENS) * len(path))
        model = fitted(best)
    screen, place = divmod(best - 1, len(path))
    name = "penalty" if regression else "rate"
    return Trained(model, best, deadline.passed, {name: path[place], "least_z": _SCREENS[screen]})


def _searched(
    usual: int, length: int, fitted: Fitted, loss: Callable[[SparseLinear], float], deadline: Deadline
) -> tuple[int, SparseLinear]:
    """The best step and its model: the best screen at the `usual` place of a path of so many, then the best place."""
    tried = list[tuple[float, int, SparseLinear]]()
    for screen in _ORDER:
        model = fitted(screen * length + usual)
        if tried and deadline.passed:  # it was not finished
            break
        tried.append((loss(model), screen * length + usual, model))
    _, step, model = min(tried, key=itemgetter(0))
    if deadline.passed:
        return step, model
    start = step - usual
    return _climbed(step, model, range(start + 1, start + length + 1), fitted, loss, deadline)


def _climbed(
    first: int, model: SparseLinear, path: range, fitted: Fitted, loss: Callable[[SparseLinear], float], deadline: Deadline
) -> tuple[int, SparseLinear]:
    """The best step of the path and its model: from `first` in the direction that is better, as long as it is."""
    least, best = loss(model), first
    for direction in (-1, 1):
        step = first + direction
        while step in path and best in (first, step - direction):
            other = fitted(step)
            if deadline.passed:  # it was not finished
                return best, model
            if not (found := loss(other)) < least:
                break
            least, best, model, step = found, step, other, step + direction
        if best != first:
            break
    return best, model


def _ridge(train: Sample, penalty: float) -> SparseLinear:
    """Least squares around the mean by LSQR (Paige, Saunders 1982), whose few iterations are a penalty as well."""
    y = np.asarray(train.y, dtype=np.float64)
    weights = relative_weights(train)
    mean, roots = float(np.average(y, weights=weights)), np.sqrt(weights)
    x = sparse.csr_array(train.x).multiply(roots[:, None]).tocsr()
    slopes = lsqr(x, roots * (y - mean), damp=float(np.sqrt(penalty)), iter_lim=_ITERATIONS)[0]
    return SparseLinear(slopes.astype(np.float32)[:, None], np.array([mean]), "identity", _centre(train.x))


@dataclass(frozen=True)
class _Data:
    """x: (n, width) sparse float32; y: (n, k) 0 or 1; weights: (n, 1), one on average; start: (k,) the bias of the prior."""

    x: sparse.csr_array
    y: Weights
    weights: Weights
    start: Weights
    link: Link


def _data(train: Sample, problem: Problem) -> _Data:
    weights = relative_weights(train)
    several = problem.kind == "multiclass"
    y = np.equal(np.asarray(train.y)[:, None], np.arange(problem.outputs) if several else [1])
    shares = np.clip(np.average(y, axis=0, weights=weights), 1e-4, 1 - 1e-4)
    start = np.log(shares) if several else np.log(shares / (1 - shares))
    x = sparse.csr_array(train.x).astype(np.float32, copy=False)
    y, counted, start = (part.astype(np.float32) for part in (y, weights[:, None], start))
    return _Data(x, y, counted, start, LINKS[problem.kind])


def _slower(train: Sample) -> float:
    """By what the rates are lowered."""
    return min(_REACH * train.x.shape[0] / max(float(abs(train.x).sum()), 1.0), 1.0)


def _centre(x: sparse.csr_array) -> Array:
    return np.asarray(x.mean(axis=0), dtype=np.float64).ravel()


def _descend(data: _Data, rate: float, seed: int, deadline: Deadline) -> SparseLinear:
    """The model after a few passes over the rows; after one, whatever the deadline: half a pass is no model."""
    width, outputs = data.x.shape[1], data.y.shape[1]
    slopes, squares = np.zeros((width, outputs), np.float32), np.full((width, 1), _FLOOR, np.float32)
    bias, bias_squares = data.start.copy(), np.full(outputs, _FLOOR, np.float32)
    seen = 0
    for rows, own, x in _batches(data.x, seed):
        inside = slopes[own]
        response = respond(data.link, x @ inside + bias)[:, -outputs:]
        wrong = (response - data.y[rows]) * data.weights[rows] / np.float32(len(rows))
        gradient = x.T @ wrong
        squares[own] += (gradient * gradient).mean(axis=1, keepdims=True)
        slopes[own] = inside - np.float32(rate) * gradient / np.sqrt(squares[own])
        total = wrong.sum(axis=0)
        bias_squares += total * total
        bias -= np.float32(0.1 * rate) * total / np.sqrt(bias_squares)
        seen += len(rows)
        if seen >= len(data.y) and deadline.passed:
            break
    return SparseLinear(slopes, bias.astype(np.float64), data.link, _centre(data.x))


def _batches(x: sparse.csr_array, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], sparse.csr_array]]:
    """Rows, the columns that are not zero in them, and those rows and columns of `x`."""
    draw, (n, width) = np.random.default_rng(seed), x.shape
    hit, place = np.zeros(width, dtype=bool), np.zeros(width, dtype=np.int32)
    size = int(np.clip(n // _STEPS, _SMALL_BATCH, _BATCH))
    for _ in range(_PASSES):
        order = draw.permutation(n)
        mixed = x[order]
        for at in range(0, n, size):
            ends = mixed.indptr[at : at + size + 1]
            inside = slice(ends[0], ends[-1])
            # What np.unique gives, without sorting.
            hit[mixed.indices[inside]] = True
            own = np.flatnonzero(hit)
            hit[own], place[own] = False, np.arange(len(own))
            part = (mixed.data[inside], place[mixed.indices[inside]], ends - ends[0])
            yield order[at : at + size], own, sparse.csr_array(part, shape=(len(ends) - 1, len(own)))


def portfolio(table: Traits) -> Iterator[Placed]:
    """Where a table has texts, nothing else reads them as well or as fast. Trees cost as much as there are classes, and words are
    cheap."""
    if table.texts:
        yield Placed(SPARSE_LINEAR, -1 if table.many_classes else 0.05, None if table.texts_sparse_only else 0)


def _additions(_params: Params, load: Load) -> float:
    return float(load.rows * load.entries * (load.outputs + _PER_ENTRY))


FAMILY = Family(
    key="sparse_linear",
    algorithms=(GLM,),
    fit=fit,
    portfolio=portfolio,
    encoding="sparse",
    bagged=False,  # fitted once more instead: as good as the mean of five linear models, and a fifth as large
    trials=5,  # the rounds are one of a few, and each costs a whole fit
    work=_additions,
    seconds_per_unit=1e-8,
)
SPARSE_LINEAR = Candidate("GLM", FAMILY)
