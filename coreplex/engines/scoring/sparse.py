"""A linear model on a sparse matrix: what training judges. What is served are its weights inside the steps of an encoder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.links import Link, respond


@dataclass(frozen=True)
class SparseLinear:
    """slopes: (width, k) float32; bias: (k,); centre: (width,) the mean training row."""

    slopes: NDArray[np.float32]
    bias: Floats
    link: Link
    centre: Floats

    def raw(self, matrix: sparse.csr_array) -> Floats:
        """(n, width) sparse → (n, k) raw scores."""
        return np.asarray(matrix @ self.slopes + self.bias, dtype=np.float64)

    def predict(self, matrix: sparse.csr_array) -> Floats:
        """(n, width) sparse → responses: probabilities per class, or (n, 1) values."""
        return respond(self.link, self.raw(matrix))
