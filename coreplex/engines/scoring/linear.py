"""Linear, logistic, softmax and log-linear models: a matrix of weights and a bias; on sparse matrices, what training judges."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring import archive
from coreplex.engines.scoring.predictor import Files, Link, Scoring, respond


class Linear(Scoring):
    """raw = matrix @ weights + bias. `centre` (the mean training row) is where contributions are measured from."""

    kind = "linear"
    method = "linear"

    def __init__(self, weights: ArrayLike, bias: ArrayLike, link: Link, centre: ArrayLike | None = None) -> None:
        self.weights = np.ascontiguousarray(weights, dtype=np.float64)
        self.bias = np.atleast_1d(np.asarray(bias, dtype=np.float64))
        if self.weights.ndim == 1:
            self.weights = self.weights[:, None]
        self.link = link
        self.width, self.raw_width = self.weights.shape
        self.centre = np.zeros(self.width) if centre is None else np.asarray(centre, dtype=np.float64)
        if self.bias.shape != (self.raw_width,) or self.centre.shape != (self.width,):
            raise ValueError("weights, bias and centre do not fit together")

    def raw(self, matrix: Floats) -> Floats:
        # Summed in one order whatever the number of rows, so that a row alone and in a batch gives the same bits.
        """(n, width) → (n, r) raw scores."""
        return np.einsum("nw,wr->nr", matrix, self.weights) + self.bias

    def raw_row(self, row: Sequence[float]) -> Sequence[float]:
        """The r raw scores of one encoded row of `width` floats."""
        scores: list[float] = (np.array(row) @ self.weights + self.bias).tolist()
        return scores

    def contributions(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r, width + 1), the base value last."""
        parts = (matrix - self.centre)[:, None, :] * self.weights.T[None]
        base = np.broadcast_to(self.centre @ self.weights + self.bias, (len(matrix), self.raw_width))
        return np.concatenate([parts, base[:, :, None]], axis=2)

    def files(self) -> dict[str, bytes]:
        """Link, weights, bias, centre."""
        return {
            "linear.json": json.dumps({"link": self.link}).encode(),
            "weights.npy": archive.dump_array(self.weights),
            "bias.npy": archive.dump_array(self.bias),
            "centre.npy": archive.dump_array(self.centre),
        }

    @classmethod
    def from_files(cls, files: Files) -> "Linear":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        link = json.loads(files["linear.json"])["link"]
        if link not in ("identity", "log", "logit", "softmax"):
            raise ValueError(f"unknown link {link!r}")
        weights, bias, centre = (archive.load_array(files[f"{name}.npy"]) for name in ("weights", "bias", "centre"))
        return cls(weights, bias, link, centre)


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
