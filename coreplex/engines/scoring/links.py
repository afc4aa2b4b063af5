"""From raw scores to answers: the inverse link functions, for arrays and, without NumPy's overhead, for one row.

| link     | raw score (n, r)         | response (n, outputs)          |
|----------|--------------------------|--------------------------------|
| identity | the value                | the value                      |
| log      | logarithm of the value   | the value                      |
| logit    | log-odds of the 2nd class| probabilities of both classes  |
| softmax  | one score per class      | probability per class          |
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from coreplex.engines.encoding.steps import Floats

Link = Literal["identity", "log", "logit", "softmax"]
_FURTHEST = 700.0
"""exp(±700) is the edge of float64."""
_LEAST = 1e-15


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
