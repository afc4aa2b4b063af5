"""A linear model on Gaussian bumps around landmarks: a kernel machine by the Nyström method (Williams & Seeger 2001).

Smooth where trees make steps, and quick: landmarks are the centres of clusters (Zhang, Tsang & Kwok 2008), the kernel between
rows and landmarks is whitened, and the path of penalties of the linear models runs on the result. The width of the bumps is
relative to the median distance between two rows.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families import linear
from coreplex.engines.automl.families.base import Array, Params, Problem, Sample, Trained
from coreplex.engines.automl.families.family import Candidate, Family, Load, Placed, Space, Traits, log_uniform
from coreplex.engines.automl.families.mlp import DEEP_LEARNING
from coreplex.engines.scoring.kernel import Kernel
from coreplex.engines.scoring.linear import Linear

LANDMARKS = 500
ROWS = 12_000
"""Training rows at most: rows times landmarks are held."""
_DISTANCES, _ITERATIONS = 500, 5
_LEAST_EIGENVALUE = 1e-6
_PATHS = {True: (0.3, 3.0, 30.0, 300.0), False: (30.0, 3.0, 0.3, 0.03, 0.003)}
"""Of a classifier the inverse penalties, of a regression the penalties, strong ones first."""


def fit(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One machine. `params`: width (2 is twice as flat), path. `rounds` is the step of the path to end at."""
    landmarks = _landmarks(train.x, problem.seed)
    plain = Kernel(landmarks, _gamma(train.x, params, problem.seed), np.zeros((len(landmarks), 1)), 0.0, "identity")
    values, vectors = np.linalg.eigh(plain.features(plain.landmarks))
    kept = values > _LEAST_EIGENVALUE * values[-1]
    whitening = vectors[:, kept] / np.sqrt(values[kept])
    seen, judged = (
        None if side is None else replace(side, x=plain.features(side.x) @ whitening, categorical=()) for side in (train, valid)
    )
    assert seen is not None
    found = linear.fit(seen, judged, problem, {"path": _PATHS[problem.kind != "regression"], **params}, deadline, rounds)
    assert isinstance(found.predictor, Linear)
    weights, bias, link = whitening @ found.predictor.weights, found.predictor.bias, found.predictor.link
    return replace(found, predictor=Kernel(plain.landmarks, plain.gamma, weights, bias, link))


def _landmarks(x: Array, seed: int) -> Array:
    """(m, width) centres of clusters, or the different rows where they are few; in single precision as they are stored."""
    different = np.unique(x.astype(np.float32), axis=0)
    if len(different) > LANDMARKS:
        # Imported where it is used: the first model of a run does not wait for scikit-learn.
        from sklearn.cluster import KMeans

        found = KMeans(LANDMARKS, init="random", n_init=1, max_iter=_ITERATIONS, random_state=seed).fit(x)
        different = found.cluster_centers_.astype(np.float32)
    return np.asarray(different, dtype=np.float64)


def _gamma(x: Array, params: Params, seed: int) -> float:
    """One over the median squared distance of two rows, times what the candidate asks for."""
    rows = x[np.random.default_rng(seed).permutation(len(x))[:_DISTANCES]]
    squares = np.square(rows).sum(axis=1)
    distances = (squares[:, None] + squares - 2.0 * rows @ rows.T)[np.triu_indices(len(rows), 1)]
    median = float(np.median(distances)) if len(distances) else 0.0
    return 1.0 / (float(params.get("width", 1.0)) * max(median, 1e-6))


def portfolio(table: Traits) -> Iterator[Placed]:
    """The best single model of several tables of a few hundred or thousand rows. The flat one is between that and a linear
    model."""
    yield Placed(KERNEL, 2 if table.small else 5)
    yield Placed(FLAT_KERNEL, 4 if table.small else 12)


def _multiplications(_params: Params, load: Load) -> float:
    rows = min(load.rows, ROWS)
    landmarks = min(rows, LANDMARKS)
    return float(landmarks * rows * (10 * load.width + 2 * landmarks + 240 * load.outputs))


FAMILY = Family(
    key="kernel",
    algorithms=(DEEP_LEARNING,),
    fit=fit,
    portfolio=portfolio,
    space=Space({"width": log_uniform(0.3, 20.0)}, weight=0.1),
    most_rows=ROWS,
    modules=("sklearn.cluster", "sklearn.linear_model"),
    work=_multiplications,
    seconds_per_unit=1e-9,
)
KERNEL = Candidate("DeepLearning", FAMILY, {"width": 1.5})
FLAT_KERNEL = Candidate("DeepLearning", FAMILY, {"width": 8.0})
