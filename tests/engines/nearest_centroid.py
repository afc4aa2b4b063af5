"""A whole learner family in one module: the nearest mean of a class, on dense columns. `test_learner_families` registers it."""

from collections.abc import Iterator

import numpy as np

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import Array, Params, Problem, Sample, Trained
from coreplex.engines.automl.families.family import Algorithm, Candidate, Family, Placed, Space, Traits, log_uniform
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring import archive
from coreplex.engines.scoring.predictor import Files, Scoring


class Centroids(Scoring):
    """raw = -sharpness · |x - centroid|² per class. centroids: (k, width)."""

    kind = "nearest_centroid"
    link = "softmax"

    def __init__(self, centroids: Array, sharpness: float) -> None:
        self.centroids, self.sharpness = centroids, sharpness
        self.raw_width, self.width = centroids.shape

    def raw(self, matrix: Floats) -> Floats:
        return -self.sharpness * np.square(matrix[:, None, :] - self.centroids).sum(axis=2)

    def files(self) -> dict[str, bytes]:
        return {
            "centroids.npy": archive.dump_array(self.centroids),
            "sharpness.npy": archive.dump_array(np.array([self.sharpness])),
        }

    @classmethod
    def from_files(cls, files: Files) -> "Centroids":
        return cls(archive.load_array(files["centroids.npy"]), float(archive.load_array(files["sharpness.npy"])[0]))


def fit(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    means = np.array([train.x[train.y == code].mean(axis=0) for code in range(problem.outputs)])
    return Trained(Centroids(means, float(params["sharpness"])), 1)


def portfolio(table: Traits) -> Iterator[Placed]:
    yield Placed(Candidate("NearestCentroid", FAMILY, {"sharpness": 1.0}), 0.01)


FAMILY = Family(
    key="nearest_centroid",
    algorithms=(Algorithm("NearestCentroid", ("rocchio",)),),
    fit=fit,
    portfolio=portfolio,
    kinds=("multiclass",),
    space=Space({"sharpness": log_uniform(0.1, 10.0)}),
)
