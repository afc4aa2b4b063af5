"""Prediction intervals of a metric for the next stretch of time, from its values on stretches that were validated forward in
time.

Each stretch is one draw of what changed meanwhile, which no resampling of its rows shows. So under a forward split a promise also
covers the prediction interval of one more score of the same kind (normal scores of unknown variance: Hahn & Meeker, Statistical
Intervals, 1991, ch. 4), and, where the scores follow a straight line, that of its next point. Losses differ by factors, so their
logarithms are taken.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from coreplex.engines.automl.evaluation import metrics
from coreplex.errors.tree import Message

_LEVEL = 0.95
"""Of the prediction: stretches are not quite independent of each other, and nine in ten are promised."""
_LEAST = 3
_SMALL, _FURTHEST = 0.01, 10.0
"""Of the largest loss: lesser ones count as so much, since a perfect stretch has a logarithm without end, and so many times it
is the most that is promised."""
_FACTOR, _DISTANCE = 0.15, 0.04
"""Deviations between stretches worth a word: of the logarithm of a loss, of any other metric."""


def widened(name: str, low: float, high: float, scores: Sequence[float | None]) -> tuple[float, float]:
    """An interval that also covers the next score after these, in order of time; as it is where they are too few."""
    values = _values(name, scores)
    if len(values) < _LEAST:
        return low, high
    ends = [_next(values), *([_next_on_line(values)] if _line(values) else [])]
    first, last = min(end[0] for end in ends), max(end[1] for end in ends)
    if _loss(name, scores):
        first, last = float(np.exp(first)), float(np.exp(min(last, values.max() + np.log(_FURTHEST))))
    return min(low, first), max(high, last)


def doubts(name: str, scores: Sequence[float | None]) -> Message | None:
    """What to say where the scores of stretches, in order of time, get worse, or differ much; None where they do neither."""
    values = _values(name, scores)
    if len(values) < _LEAST:
        return None
    line, spread = _line(values), float(np.std(values, ddof=1))
    worse = line is not None and (line < 0) == (name in metrics.HIGHER_IS_BETTER)
    if not worse and spread < (_FACTOR if _loss(name, scores) else _DISTANCE):
        return None
    shown = ", ".join(f"{score:.3g}" for score in scores if score is not None)
    how = "it gets worse with time" if worse else "it differs much from one to the next"
    return Message(
        "scores_differ_in_time",
        "Judged on {count} stretches of time after what was learned from, {metric} was {scores}, the earliest first: {how}. "
        "What comes next may be off by as much, for which the promised interval is widened. Train again as new rows come in.",
        count=len(values),
        metric=name,
        scores=shown,
        how=how,
    )


def _values(name: str, scores: Sequence[float | None]) -> NDArray[np.float64]:
    known = np.array([score for score in scores if score is not None and np.isfinite(score)])
    return np.log(np.maximum(known, _SMALL * known.max())) if len(known) and _loss(name, scores) else known


def _loss(name: str, scores: Sequence[float | None]) -> bool:
    """Whether it is a loss above zero."""
    return name not in metrics.HIGHER_IS_BETTER and all(score is None or score > 0 for score in scores)


def _next(values: NDArray[np.float64]) -> tuple[float, float]:
    n = len(values)
    reach = _quantile(n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(values.mean() - reach), float(values.mean() + reach)


def _fit(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Slope of the straight line of least squares, the deviation around it, and the sum of squared places."""
    place = np.arange(len(values)) - (len(values) - 1) / 2
    squares = float(place @ place)
    slope = float(place @ values) / squares
    rest = values - values.mean() - slope * place
    return slope, float(np.sqrt(rest @ rest / (len(values) - 2))), squares


def _line(values: NDArray[np.float64]) -> float | None:
    """The slope of scores that follow a straight line; None where chance may have put them so (a t test of one in twenty)."""
    if len(values) <= _LEAST:
        return None
    slope, deviation, squares = _fit(values)
    return slope if abs(slope) > _quantile(len(values) - 2) * deviation / np.sqrt(squares) else None


def _next_on_line(values: NDArray[np.float64]) -> tuple[float, float]:
    n, (slope, deviation, squares) = len(values), _fit(values)
    middle = values.mean() + slope * (n + 1) / 2
    reach = _quantile(n - 2) * deviation * np.sqrt(1 + 1 / n + ((n + 1) / 2) ** 2 / squares)
    return float(middle - reach), float(middle + reach)


def _quantile(freedom: int) -> float:
    """Of Student's distribution, between whose two lies `_LEVEL`."""
    return float(special.stdtrit(freedom, (1 + _LEVEL) / 2))
