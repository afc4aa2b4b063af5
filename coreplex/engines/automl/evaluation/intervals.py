"""Prediction intervals of metrics: what each will be on a new holdout, from out-of-fold predictions.

The promise is for a holdout of a fifth as many rows as were judged, drawn as those were, and holds for nine such holdouts in ten.

Two samples are random, the judged rows (n) and the holdout (h), and the difference of a metric between the two varies as the
metric of one sample of m = 1 / (1/n + 1/h) rows does. So m rows are drawn from the judged ones, many times, each weighted by a
Poisson number (the m-out-of-n bootstrap: Bickel, Götze, van Zwet 1997; prediction by bootstrap: Stine 1985); the interval lies
between the quantiles. Rows that belong together (a group, neighbours in time) are drawn together. It is widened by what the
folds differ more than samples of their size would: that much depends on the training rows; and forward in time by what the next
stretch may differ from those judged (`forward`). Its better end is moved by what averaging the fold copies may gain. For the
leader of a leaderboard the rank metric's interval is moved by the optimism of being the one chosen (Tsamardinos et al. 2018:
choose on the drawn rows, look at the others).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import forward, metrics
from coreplex.engines.automl.evaluation.measures import Array, Measure, Predictions
from coreplex.engines.messages import MetricInterval

LEVEL = 0.9
HOLDOUT = 0.2
"""The holdout of the promise, as a share of the judged rows."""
_DRAWN = 0.93
"""What lies between the quantiles: a little more than is promised, for what no draw of the judged rows can show."""
_DRAWS = 200
_MOST_ROWS = 4_000
_MOST_CELLS = 4_000_000
_HALF = 0.5
_CHOICES = 60
_MOST_SHARE = 0.25
"""Of a percentage error, what its largest hundredth of rows may make."""


def intervals(
    judged: Predictions,
    measures: Mapping[str, Measure],
    per_fold: Sequence[metrics.Metrics],
    seed: int,
    *,
    shift: Mapping[str, float],
    gains: Mapping[str, float],
    later: bool = False,
) -> list[MetricInterval]:
    """One entry per defined metric that can be promised (MAPE not where values lie next to zero): metric, value, low, high,
    level, rows (that it is measured on), holdout_rows.

    `per_fold`: the metrics of each fold; `shift`: how much too good a metric is because of it the model was chosen; `gains`: how
    much better than out-of-fold it may be (`averaging`); `later`: the folds are stretches of time, the earliest first, and the
    holdout comes after them.
    """
    n = len(judged.y)
    holdout = max(round(HOLDOUT * n), 1)
    drawn = _sampled(judged, seed)
    rate = 1 / (1 / n + 1 / holdout) / len(drawn.y)
    weights = _weights(drawn.units, len(drawn.y), rate, _draws(drawn), seed)
    every, some = np.ones((1, n)), np.ones((1, len(drawn.y)))
    doubted, doubt = _doubted(drawn, weights, rate, seed) if judged.p.shape[1] > 1 else (drawn, weights)
    out = []
    for name, measure in measures.items():
        value = float(measure(judged, every)[0])
        if np.isfinite(value) and not (name == "mape" and _few_decide(judged)):
            here = value if drawn is judged else float(measure(drawn, some)[0])
            spread = measure(doubted, doubt) - here
            low, high = _quantiles(spread[np.isfinite(spread)], _excess(name, spread, per_fold, n, holdout))
            low, high = value - shift.get(name, 0.0) + low, value - shift.get(name, 0.0) + high
            if name in metrics.HIGHER_IS_BETTER:
                high += gains.get(name, 0.0)
            else:
                low -= gains.get(name, 0.0)
            if later:
                low, high = forward.widened(name, low, high, [fold[name] for fold in per_fold])
            low, high = _bounded(name, min(low, value), max(high, value))
            rows = n if name != "mape" else int((judged.y != 0).sum())
            out.append(_entry(name, value, low, high, rows, holdout))
    return out


def optimism(metric: str, measure: Measure, rivals: Sequence[Predictions], seed: int) -> float:
    """How much the best of `rivals` (the same rows, each one's predictions) owes to luck, in the metric's unit and direction.

    Rows are drawn with replacement; the one that is best on them is looked at on the rows left out; what it loses more than the
    mean of all that are ever best is the price of choosing. Where one is always best, nothing was chosen by luck.
    """
    if len(rivals) < 2:
        return 0.0
    rows = _rows(rivals[0], seed)
    if rows is not None:
        rivals = [rival.take(rows) for rival in rivals]
    first = rivals[0]
    draws = int(np.clip(_MOST_CELLS // (first.p.size * len(rivals)), 10, _CHOICES))
    drawn = _weights(first.units, len(first.y), 1.0, draws, seed)
    undrawn = (drawn == 0).astype(np.float64)
    sign = 1.0 if metric in metrics.HIGHER_IS_BETTER else -1.0
    inside = sign * np.array([measure(r, drawn) for r in rivals])
    outside = sign * np.array([measure(r, undrawn) for r in rivals])
    known = np.isfinite(inside).all(axis=0) & np.isfinite(outside).all(axis=0)
    if not known.any():
        return 0.0
    lost = (inside - outside)[:, known]
    chosen = inside[:, known].argmax(axis=0)
    contenders = lost[np.unique(chosen)].mean(axis=0)
    return sign * max(float((lost[chosen, np.arange(lost.shape[1])] - contenders).mean()), 0.0)


def scaled(entry: MetricInterval, rows: int) -> tuple[float, float]:
    """The promise for a holdout of `rows` rows: wider where there are fewer than it was made for, never narrower."""
    n, promised = entry["rows"], entry["holdout_rows"]
    ratio = max(np.sqrt((1 / rows + 1 / n) / (1 / promised + 1 / n)), 1.0)
    middle = entry["value"]
    wider = (middle - ratio * max(middle - entry["low"], 0.0), middle + ratio * max(entry["high"] - middle, 0.0))
    low, high = min(wider[0], entry["low"]), max(wider[1], entry["high"])
    return _bounded(entry["metric"], low, high)


def in_words(intervals: Sequence[MetricInterval], metric: str) -> str:
    """A metric with its interval, for the log: `0.91 (a new holdout of 200 rows: 0.87 to 0.94)`."""
    for entry in intervals:
        if entry["metric"] == metric:
            low, high = entry["low"], entry["high"]
            return f"{entry['value']:.5g} (a new holdout of {entry['holdout_rows']} rows: {low:.4g} to {high:.4g})"
    return "not defined"


def _doubted(judged: Predictions, weights: Array, rate: float, seed: int) -> tuple[Predictions, Array]:
    """The rows and their weights with half a row more that is decided wrongly, as surely as most are decided.

    Rows that were all decided rightly would promise that none ever is decided otherwise (Jeffreys' prior has the same half).
    """
    likeliest = judged.p.max(axis=1)
    middle = int(np.argsort(likeliest, kind="stable")[len(likeliest) // 2])
    other = int(np.argsort(judged.p[middle])[-2])
    y, p = np.append(judged.y, other), np.vstack([judged.p, judged.p[middle]])
    drawn = np.random.default_rng(seed + 2).poisson(_HALF * rate, len(weights))
    return Predictions(y, p, np.append(judged.predicted, judged.predicted[middle])), np.column_stack([weights, drawn])


def _few_decide(judged: Predictions) -> bool:
    """Whether values next to zero make the percentage error: one row more or less of them, and it is another number."""
    known = judged.y != 0
    y = judged.y[known].astype(np.float64)
    terms = np.sort(np.abs(y - judged.p[known, 0]) / np.abs(y))
    return bool(terms[-max(len(terms) // 100, 1) :].sum() > _MOST_SHARE * terms.sum())


def _entry(name: str, value: float, low: float, high: float, rows: int, holdout: int) -> MetricInterval:
    return {"metric": name, "value": value, "low": low, "high": high, "level": LEVEL, "rows": rows, "holdout_rows": holdout}


def _rows(judged: Predictions, seed: int) -> NDArray[np.int64] | None:
    """Positions of a sample where the rows are many; whole units where rows belong together. None: all."""
    n = len(judged.y)
    most = max(min(_MOST_ROWS, _MOST_CELLS // (_DRAWS * judged.p.shape[1])), 1_000)
    if n <= most:
        return None
    draw = np.random.default_rng(seed)
    if judged.units is None:
        return np.sort(draw.permutation(n)[:most])
    names, place = np.unique(judged.units, return_inverse=True)
    order = draw.permutation(len(names))
    sizes = np.bincount(place)[order]
    kept = np.zeros(len(names), dtype=bool)
    kept[order[: max(int(np.searchsorted(np.cumsum(sizes), most)), 2)]] = True
    return np.flatnonzero(kept[place])


def _sampled(judged: Predictions, seed: int) -> Predictions:
    rows = _rows(judged, seed)
    return judged if rows is None else judged.take(rows)


def _draws(judged: Predictions) -> int:
    return int(np.clip(_MOST_CELLS // max(judged.p.size, 1), 50, _DRAWS))


def _weights(units: NDArray[np.int64] | None, n: int, rate: float, draws: int, seed: int) -> Array:
    """(draws, n): how often each row is drawn, all rows of a unit alike."""
    draw = np.random.default_rng(seed + 1)
    if units is None:
        return draw.poisson(rate, (draws, n)).astype(np.float64)
    names, place = np.unique(units, return_inverse=True)
    return draw.poisson(rate, (draws, len(names)))[:, place].astype(np.float64)


def _excess(name: str, spread: Array, per_fold: Sequence[metrics.Metrics], n: int, holdout: int) -> float:
    """The variance between the folds beyond that of samples of their size."""
    values = [v for fold in per_fold if (v := fold[name]) is not None]
    if len(values) < 3:
        return 0.0
    size, drawn = n / len(per_fold), 1 / (1 / n + 1 / holdout)
    return max(float(np.var(values, ddof=1)) - float(np.nanvar(spread)) * drawn / size, 0.0)


def _quantiles(spread: Array, excess: float) -> tuple[float, float]:
    """Offsets below and above, each as long as its tail and the further variance together make it."""
    if not len(spread):
        return 0.0, 0.0
    low, high = np.quantile(spread, [(1 - _DRAWN) / 2, (1 + _DRAWN) / 2])
    further = 1.645**2 * excess
    return min(-float(np.sqrt(low**2 + further)), 0.0) if low < 0 else 0.0, float(np.sqrt(high**2 + further)) if high > 0 else 0.0


_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("auc", "aucpr", "accuracy", "balanced_accuracy", "f1", "mean_per_class_error"), (0.0, 1.0)),
    "mcc": (-1.0, 1.0),
    "r2": (-np.inf, 1.0),
}


def _bounded(name: str, low: float, high: float) -> tuple[float, float]:
    """Within what the metric can be; a loss is never below zero."""
    least, most = _RANGES.get(name, (0.0, np.inf))
    return float(np.clip(low, least, most)), float(np.clip(high, least, most))
