"""What a trained model is to the rest of the system: numbers in, raw scores out, the answers that its link makes of them, and
files that hold nothing but data.

| link     | raw score (n, r)         | response (n, outputs)          |
|----------|--------------------------|--------------------------------|
| identity | the value                | the value                      |
| log      | logarithm of the value   | the value                      |
| logit    | log-odds of the 2nd class| probabilities of both classes  |
| softmax  | one score per class      | probability per class          |

A predictor is immutable, safe to share between threads, uses one thread itself, and is the same class in the worker
that trained it and in the web process that serves it. It never pickles: `files` are the native text or JSON of a
booster, or plain arrays.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from coreplex.engines import learner_families
from coreplex.engines.encoding.steps import Floats
from coreplex.errors.tree import BadInput, Message

Link = Literal["identity", "log", "logit", "softmax"]
_FURTHEST = 700.0
"""exp(±700) is the edge of float64."""
_LEAST = 1e-15
Files = Mapping[str, bytes]


class Predictor(Protocol):
    """`raw` scores live in the space of `link`; `predict` is the response. r raw columns, k outputs."""

    @property
    def kind(self) -> str:
        """Its name in stored models (`learner_families`)."""
        ...

    @property
    def link(self) -> Link:
        """What the raw scores are."""
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
        raise BadInput(
            Message(
                "model_of_unknown_kind",
                "This server cannot read models of kind {kind!r}. It was made by a newer version.",
                kind=kind,
            )
        )
    try:
        made: Predictor = scores.from_files(files)
    except (KeyError, ValueError, TypeError, EOFError) as error:
        raise BadInput(
            Message(
                "model_of_kind_unreadable", "A {kind} model in this file cannot be read: {error}", kind=kind, error=str(error)
            )
        ) from error
    return made


def outputs(link: Link, raw_width: int) -> int:
    """Columns of the response for a raw score of `raw_width` columns."""
    return 2 if link == "logit" else raw_width


def respond(link: Link, raw: Floats) -> Floats:
    """(n, r) raw scores → (n, outputs) responses."""
    if link == "identity":
        return raw
    held = np.clip(raw, -_FURTHEST, _FURTHEST)
    if link == "log":
        return np.asarray(np.exp(held), dtype=np.float64)
    if link == "logit":
        positive = 1.0 / (1.0 + np.exp(-held[:, 0]))
        return np.column_stack([1.0 - positive, positive])
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)


def respond_row(link: Link, raw: Sequence[float]) -> Sequence[float]:
    """`respond` for one row of raw scores."""
    if link == "identity":
        return raw
    if link == "logit":
        positive = 1.0 / (1.0 + math.exp(-min(max(raw[0], -_FURTHEST), _FURTHEST)))
        return (1.0 - positive, positive)
    if link == "log":
        return [math.exp(min(max(score, -_FURTHEST), _FURTHEST)) for score in raw]
    highest = max(raw)
    powers = [math.exp(score - highest) for score in raw]
    total = sum(powers)
    return [power / total for power in powers]


def raw_of(link: Link, response: Floats) -> Floats:
    """The raw scores that would give these responses (softmax: centred logarithms). Probabilities are kept off 0 and 1."""
    if link == "identity":
        return response
    if link == "log":
        return np.asarray(np.log(np.maximum(response, _LEAST)), dtype=np.float64)
    held = np.clip(response, _LEAST, 1.0 - _LEAST)
    if link == "logit":
        return np.asarray(np.log(held[:, 1:] / held[:, :1]), dtype=np.float64)
    logs = np.log(held)
    return np.asarray(logs - logs.mean(axis=1, keepdims=True), dtype=np.float64)
