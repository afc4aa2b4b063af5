"""Multilayer perceptrons: the forward pass of weights trained elsewhere (scikit-learn's `MLPClassifier`,
`MLPRegressor`)."""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring import archive
from coreplex.engines.scoring.predictor import Files, Link, Scoring

_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "relu": lambda values: np.maximum(values, 0.0),
    "tanh": np.tanh,
    "logistic": lambda values: 1.0 / (1.0 + np.exp(-np.clip(values, -700.0, 700.0))),
    "identity": lambda values: values,
}
_CHUNK = 4096
"""Rows at a time: keeps the hidden layers in the cache."""


class Mlp(Scoring):
    """`layers`: (weights (in, out), bias (out,)) from the input to the raw scores; `activation` between them."""

    kind = "mlp"

    def __init__(self, layers: Sequence[tuple[Any, Any]], activation: str, link: Link) -> None:
        if activation not in _ACTIVATIONS or not layers:
            raise ValueError(f"unknown activation {activation!r}, or no layers")
        self.layers = [(np.ascontiguousarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64)) for w, b in layers]
        sizes = [self.layers[0][0].shape[0], *(bias.shape[0] for _, bias in self.layers)]
        if [weights.shape for weights, _ in self.layers] != list(itertools.pairwise(sizes)):
            raise ValueError("the layers do not fit together")
        self.activation, self.link = activation, link
        self.width, self.raw_width = sizes[0], sizes[-1]

    @classmethod
    def of(cls, model: Any, *, centre: float = 0.0, scale: float = 1.0) -> "Mlp":
        """From a fitted scikit-learn MLP; `centre` and `scale` undo a standardised regression target."""
        links: dict[str, Link] = {"identity": "identity", "logistic": "logit", "softmax": "softmax", "exp": "log"}
        layers = list(zip(model.coefs_, model.intercepts_, strict=True))
        if model.out_activation_ != "identity" and (centre, scale) != (0.0, 1.0):
            raise ValueError("only a target trained with squared error can have been standardised")
        layers[-1] = (layers[-1][0] * scale, layers[-1][1] * scale + centre)
        return cls(layers, model.activation, links[model.out_activation_])

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r) raw scores."""
        chunks = [self._forward(matrix[at : at + _CHUNK]) for at in range(0, len(matrix), _CHUNK)]
        return np.vstack(chunks) if chunks else np.empty((0, self.raw_width))

    def _forward(self, hidden: Floats) -> Floats:
        activate = _ACTIVATIONS[self.activation]
        for weights, bias in self.layers[:-1]:
            hidden = activate(hidden @ weights + bias)
        weights, bias = self.layers[-1]
        return np.asarray(hidden @ weights + bias, dtype=np.float64)

    def files(self) -> dict[str, bytes]:
        """Activation and link, weights and bias of each layer."""
        head = {"activation": self.activation, "link": self.link, "layers": len(self.layers)}
        files = {"mlp.json": json.dumps(head).encode()}
        for index, (weights, bias) in enumerate(self.layers):
            files |= {f"weights{index}.npy": archive.dump_array(weights), f"bias{index}.npy": archive.dump_array(bias)}
        return files

    @classmethod
    def from_files(cls, files: Files) -> "Mlp":
        """From what `files` returned; `KeyError` or `ValueError` where that is no model."""
        head = json.loads(files["mlp.json"])
        if head["link"] not in ("identity", "log", "logit", "softmax"):
            raise ValueError(f"unknown link {head['link']!r}")
        pairs = range(int(head["layers"]))
        layers = [(archive.load_array(files[f"weights{i}.npy"]), archive.load_array(files[f"bias{i}.npy"])) for i in pairs]
        return cls(layers, head["activation"], head["link"])
