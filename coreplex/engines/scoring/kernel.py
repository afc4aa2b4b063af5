"""Kernel machines: weights of Gaussian bumps around landmarks, as a Nyström approximation leaves them."""

import json

import numpy as np
from numpy.typing import ArrayLike

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring import archive
from coreplex.engines.scoring.predictor import Files, Link, Scoring

_CHUNK = 256
"""Rows at a time: their distances to all landmarks stay in the processor's cache."""


class Kernel(Scoring):
    """raw = k(row, landmarks) @ weights + bias with k(x, c) = exp(-gamma |x - c|²). landmarks: (m, width), weights: (m, r)."""

    kind = "kernel"

    def __init__(self, landmarks: ArrayLike, gamma: float, weights: ArrayLike, bias: ArrayLike, link: Link) -> None:
        self.landmarks = np.ascontiguousarray(landmarks, dtype=np.float64)
        self.gamma = float(gamma)
        self.weights = np.ascontiguousarray(weights, dtype=np.float64)
        self.bias = np.atleast_1d(np.asarray(bias, dtype=np.float64))
        self.link = link
        self.width, self.raw_width = self.landmarks.shape[1], self.weights.shape[1]
        if self.weights.shape[0] != len(self.landmarks) or self.bias.shape != (self.raw_width,) or not self.gamma > 0:
            raise ValueError("landmarks, weights and bias do not fit together")
        self._doubled = np.ascontiguousarray(2.0 * self.gamma * self.landmarks.T)
        self._squares = self.gamma * np.square(self.landmarks).sum(axis=1)

    def features(self, matrix: Floats) -> Floats:
        """(n, m) the kernel between rows and landmarks."""
        power: Floats = matrix @ self._doubled  # and in place from here: the memory is what takes the time
        power -= self._squares
        power -= self.gamma * np.square(matrix).sum(axis=1)[:, None]
        np.minimum(power, 0.0, out=power)
        return np.exp(power, out=power)

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        chunks = [self.features(matrix[at : at + _CHUNK]) @ self.weights + self.bias for at in range(0, len(matrix), _CHUNK)]
        return np.vstack(chunks) if chunks else np.empty((0, self.raw_width))

    def files(self) -> dict[str, bytes]:
        """Link and gamma, landmarks in single precision, weights, bias."""
        return {
            "kernel.json": json.dumps({"link": self.link, "gamma": self.gamma}).encode(),
            "landmarks.npy": archive.dump_array(self.landmarks.astype(np.float32)),
            "weights.npy": archive.dump_array(self.weights),
            "bias.npy": archive.dump_array(self.bias),
        }

    @classmethod
    def from_files(cls, files: Files) -> "Kernel":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        head = json.loads(files["kernel.json"])
        if head["link"] not in ("identity", "log", "logit", "softmax"):
            raise ValueError(f"unknown link {head['link']!r}")
        landmarks, weights, bias = (archive.load_array(files[f"{name}.npy"]) for name in ("landmarks", "weights", "bias"))
        return cls(landmarks, float(head["gamma"]), weights, bias, head["link"])
