"""Importance of each source column of a model, and SHAP values, over a sample of rows.

Importance is the mean size of the exact contributions where there are such; for models without them it is how much
worse the model gets when a column is shuffled (Breiman 2001; loss: logarithmic or squared), with the deviation over
repeats, and SHAP values are sampled for a few rows. The method is always named, the time always bounded. Importance
is of the model, not of the world.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.contributions import Explained, as_json, exact, places, sampled
from coreplex.engines.scoring.ensemble import Ensemble
from coreplex.engines.scoring.scorer import Scorer

_REPEATS = 5
_SHOWN_ROWS = 50
_SHOWN_FEATURES = 50
_SAMPLED_ROWS = 20
_SLICE = 20
_LEAST_ROWS = 20
_FIRST_PASS_SECS = 1.0
"""Every column should be shuffled once, also when the budget of a short run is a fraction of this."""


def explain(
    scorer: Scorer, frame: pl.DataFrame, target: NDArray[Any] | None, seed: int = 0, *, budget_secs: float = 10.0
) -> dict[str, Any]:
    """Explain a model on `frame` (a few hundred rows). `target`: (n,) class numbers or values, for shuffling only.

    Returns JSON-ready `method`, `feature_importance` (falling; `percentage` of the total, 0 to 100; for shuffling also
    `std`; null, and last, for a column there was no time to shuffle) and `shap`: `method`, `features`, `mean_abs`,
    `base_value`, `sample` [{values, contributions}], `max_residual`, `space`, `rows`. A model that uses no column has a `note`.
    """
    end = time.monotonic() + max(budget_secs, 0.1)
    ensemble, features, matrices = scorer.ensemble, scorer.features, scorer.ensemble.encode(frame)
    if ensemble.method is not None:
        shap = _exact(ensemble, matrices, features, end)
        importance, spread, method = _mean_size(shap), None, shap.method
    else:
        middle = time.monotonic() + 0.6 * max(budget_secs, 0.1)
        importance, spread = _shuffled(ensemble, matrices, features, target, seed, middle)
        method = "permutation"
        shap = _sampled(scorer, matrices, seed, end)
    return {
        "method": method,
        "feature_importance": _ranked(features, importance, spread),
        "shap": _shap(scorer, shap, frame),
        **({} if features else {"note": "This model uses no column: it answers the same for every row."}),
    }


def _exact(ensemble: Ensemble, matrices: Sequence[Floats], features: Sequence[str], end: float) -> Explained:
    """As many rows as there is time for, in slices."""
    slices = []
    for at in range(0, max(len(matrices[0]), 1), _SLICE):
        slices.append(exact(ensemble, [matrix[at : at + _SLICE] for matrix in matrices], features))
        if time.monotonic() > end:
            break
    return _joined(slices)


def _joined(slices: Sequence[Explained]) -> Explained:
    first = slices[0]
    errors = [part.error for part in slices if part.error is not None]
    return Explained(
        first.method,
        np.concatenate([part.contributions for part in slices]),
        first.base,
        np.concatenate([part.raw for part in slices]),
        np.concatenate(errors) if errors else None,
    )


def _sampled(scorer: Scorer, matrices: Sequence[Floats], seed: int, end: float) -> Explained:
    ensemble, features = scorer.ensemble, scorer.features
    rows = [matrix[:_SAMPLED_ROWS] for matrix in matrices]
    slices = []
    for at in range(max(len(rows[0]), 1)):
        one = [matrix[at : at + 1] for matrix in rows]
        slices.append(sampled(ensemble, one, scorer.background, features, seed, evaluations=600))
        if time.monotonic() > end:
            break
    return _joined(slices)


def _mean_size(shap: Explained) -> Floats:
    """(d,) mean absolute contribution over rows and raw scores."""
    sizes = np.abs(shap.contributions)
    return np.asarray(sizes.mean(axis=(0, 1)) if len(sizes) else sizes.sum(axis=(0, 1)), dtype=np.float64)


def _shuffled(
    ensemble: Ensemble,
    matrices: Sequence[Floats],
    features: Sequence[str],
    target: NDArray[Any] | None,
    seed: int,
    end: float,
) -> tuple[Floats, Floats]:
    """(d,) mean rise of the loss and its deviation over repeats, NaN for columns there was no time for.

    The sample shrinks until one repeat should fit the time.
    """
    began = time.monotonic()
    first_end = max(end, began + _FIRST_PASS_SECS)
    wanted = ensemble.respond(ensemble.raw(matrices))
    cost = (time.monotonic() - began) / max(len(wanted), 1)
    affordable = int((first_end - time.monotonic()) / max(cost * (len(features) + 1), 1e-9))
    rows = min(len(wanted), max(affordable, _LEAST_ROWS))
    kept, wanted = [matrix[:rows].copy() for matrix in matrices], wanted[:rows]
    truth = None if target is None else np.asarray(target)[:rows]
    baseline = _loss(wanted, truth, wanted)
    sources = [places(encoder.sources, features) for encoder in ensemble.encoders]
    rises = np.full((_REPEATS, len(features)), np.nan)
    rng = np.random.default_rng(seed)
    for repeat in range(_REPEATS):
        order = rng.permutation(rows)
        for index in range(len(features)):
            if (repeat or index) and time.monotonic() > (end if repeat else first_end):
                return _mean_and_spread(rises)
            response = ensemble.respond(_raw_shuffled(ensemble, kept, [np.flatnonzero(own == index) for own in sources], order))
            rises[repeat, index] = _loss(response, truth, wanted) - baseline
    return _mean_and_spread(rises)


def _mean_and_spread(rises: Floats) -> tuple[Floats, Floats]:
    """Over the repeats that each column got."""
    counts = np.sum(~np.isnan(rises), axis=0)
    mean = np.where(counts > 0, np.nansum(rises, axis=0) / np.maximum(counts, 1), np.nan)
    variance = np.nansum((rises - mean) ** 2, axis=0) / np.maximum(counts - 1, 1)
    return mean, np.where(counts > 1, np.sqrt(variance), np.nan)


def _raw_shuffled(
    ensemble: Ensemble, matrices: Sequence[Floats], columns: Sequence[NDArray[np.int64]], order: NDArray[np.int64]
) -> Floats:
    """Raw scores with some columns shuffled, in place and back: the matrices may be wide."""
    saved = [matrix[:, own] for matrix, own in zip(matrices, columns, strict=True)]
    for matrix, own, values in zip(matrices, columns, saved, strict=True):
        matrix[:, own] = values[order]
    raw = ensemble.raw(matrices)
    for matrix, own, values in zip(matrices, columns, saved, strict=True):
        matrix[:, own] = values
    return raw


def _loss(response: Floats, truth: NDArray[Any] | None, wanted: Floats) -> float:
    """Logarithmic loss of classes, squared error of values; without the truth, the distance from the model's own answers."""
    if truth is None:
        return float(np.mean((response - wanted) ** 2))
    if response.shape[1] == 1:
        return float(np.mean((response[:, 0] - truth) ** 2))
    chosen = response[np.arange(len(truth)), truth.astype(np.int64)]
    return float(-np.mean(np.log(np.maximum(chosen, 1e-15))))


def _ranked(features: Sequence[str], importance: Floats, spread: Floats | None) -> list[dict[str, Any]]:
    """Shuffling a useless column may help by chance: that is no importance, so below zero counts as zero.

    A column that was not measured says so: null is not zero.
    """
    held = np.maximum(importance, 0.0)
    highest, total = float(np.nanmax(held, initial=0.0)) or 1.0, float(np.nansum(held)) or 1.0
    rows = []
    for index in np.argsort(-held, kind="stable"):
        size = _finite(held[index])
        row: dict[str, Any] = {
            "feature": features[index],
            "importance": size,
            "relative_importance": None if size is None else size / highest,
            "percentage": None if size is None else 100.0 * size / total,
        }
        if spread is not None:
            row["std"] = _finite(spread[index])
        rows.append(row)
    return rows


def _mean_error(errors: Floats) -> float | None:
    """None where no row had two walks to differ."""
    known = errors[~np.isnan(errors)]
    return float(known.mean()) if len(known) else None


def _shap(scorer: Scorer, shap: Explained, frame: pl.DataFrame) -> dict[str, Any]:
    """The parts of the answer that a chart needs: at most 50 rows and the 50 strongest columns."""
    sizes = _mean_size(shap)
    order = np.argsort(-sizes, kind="stable")[:_SHOWN_FEATURES]
    features = [scorer.features[index] for index in order]
    shown = min(len(shap.raw), _SHOWN_ROWS)
    # One column of raw scores per row: that of the class predicted, or the only one.
    column = shap.raw[:shown].argmax(axis=1) if shap.raw.shape[1] > 1 else np.zeros(shown, dtype=np.int64)
    records = frame[:shown].to_dicts()
    sample = [
        {
            "values": [as_json(records[row].get(name)) for name in features],
            "contributions": shap.contributions[row, column[row], order].tolist(),
        }
        | ({"class": scorer.classes[column[row]]} if shap.raw.shape[1] > 1 else {})
        for row in range(shown)
    ]
    base = shap.base.tolist()
    return {
        "method": shap.method,
        "space": scorer.ensemble.link,
        "features": features,
        "mean_abs": sizes[order].tolist(),
        "base_value": base[0] if len(base) == 1 else base,
        "sample": sample,
        "max_residual": float(np.abs(shap.residual).max(initial=0.0)),
        "rows": len(shap.raw),
        **({} if shap.error is None else {"mean_std_error": _mean_error(shap.error)}),
    }


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
