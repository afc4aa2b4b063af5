"""What a trained model is to the rest of the system: numbers in, scores out, and files that hold nothing but data.

A predictor is immutable, safe to share between threads, uses one thread itself, and is the same class in the worker
that trained it and in the web process that serves it. It never pickles: `files` are the native text or JSON of a
booster, or plain arrays.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from coreplex.engines import learner_families
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.links import Link, outputs, respond
from coreplex.errors.tree import BadInput

Files = Mapping[str, bytes]


class Predictor(Protocol):
    """`raw` scores live in the space of `link`; `predict` is the response. r raw columns, k outputs."""

    @property
    def kind(self) -> str:
        """Its name in stored models (`learner_families`)."""
        ...

    @property
    def link(self) -> Link:
        """What the raw scores are (`links`)."""
        ...

    @property
    def width(self) -> int:
        """Encoded columns it expects."""
        ...

    @property
    def raw_width(self) -> int:
        """r: raw scores of a row."""
        ...

    @property
    def outputs(self) -> int:
        """k: classes, or 1 for regression."""
        ...

    @property
    def method(self) -> str | None:
        """How `contributions` are computed ("tree_shap", "linear"), None when there is no exact way."""
        ...

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r)."""
        ...

    def raw_row(self, row: Sequence[float]) -> Sequence[float]:
        """The raw scores of one encoded row: the hot path."""
        ...

    def predict(self, matrix: Floats) -> Floats:
        """(n, width) → (n, k): probabilities per class, or (n, 1) values."""
        ...

    def contributions(self, matrix: Floats) -> Floats:
        """(n, r, width + 1): what each encoded column adds to the raw score, the base value last; they sum to `raw`."""
        ...

    def files(self) -> dict[str, bytes]:
        """Name → bytes, all that `from_files` of its class needs."""
        ...


class Scoring:
    """What every predictor does the same way."""

    kind: str
    link: Link
    width: int
    raw_width: int
    method: str | None = None

    @property
    def outputs(self) -> int:
        """k: classes, or 1 for a number."""
        return outputs(self.link, self.raw_width)

    def raw(self, matrix: Floats) -> Floats:
        """(n, width) → (n, r); each predictor has its own."""
        raise NotImplementedError

    def raw_row(self, row: Sequence[float]) -> Sequence[float]:
        """The r raw scores of one encoded row of `width` floats."""
        scores: list[float] = self.raw(np.array([row], dtype=np.float64))[0].tolist()
        return scores

    def predict(self, matrix: Floats) -> Floats:
        """(n, width) → (n, k): probabilities per class, or (n, 1) values."""
        return respond(self.link, self.raw(matrix))

    def contributions(self, matrix: Floats) -> Floats:
        """There are none that are exact, unless a predictor has its own."""
        raise NotImplementedError(f"{self.kind} has no exact contributions")


def from_files(kind: str, files: Files) -> Predictor:
    """The predictor of `kind` from its files; BadInput when they are not what they should be."""
    # The module is imported here: a web process that serves LightGBM models should not pay for loading the other libraries.
    scores = learner_families.predictor(kind)
    if scores is None:
        raise BadInput(f"This server cannot read models of kind {kind!r}. It was made by a newer version.")
    try:
        made: Predictor = scores.from_files(files)
    except (KeyError, ValueError, TypeError, EOFError) as error:
        raise BadInput(f"A {kind} model in this file cannot be read: {error}") from error
    return made
