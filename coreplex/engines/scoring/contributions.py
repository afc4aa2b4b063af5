"""Contributions of each source column to the raw scores of a handful of rows: Shapley values, exact or sampled.

Exact where the model is a weighted sum in the space that is explained (one booster, a bag averaged raw, linear
models): TreeSHAP of the boosters (Lundberg et al. 2020), weights × deviation for linear ones. Everything else by
permutation sampling of Shapley values over background rows (Štrumbelj & Kononenko 2014) with mirrored permutations
(Mitchell et al. 2022), with standard errors. Each answer carries its residual: raw score − (base value +
contributions). Says nothing about causes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.bundle import Label
from coreplex.engines.scoring.ensemble import Ensemble
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import Column

if TYPE_CHECKING:
    from coreplex.engines.child import Report

_EVALUATIONS = 2_000
"""Rows scored for one sampled explanation, at least one mirrored pair of permutations whatever it costs."""
_BATCH_CELLS = 4_000_000
_MOST_BACKGROUND_CELLS = 20_000
_LONGEST_TEXT = 500


@dataclass(frozen=True)
class Explained:
    """n rows, r raw scores, d source columns."""

    method: str
    """tree_shap, linear or sampling."""
    contributions: Floats
    """(n, r, d)."""
    base: Floats
    """(r,)."""
    raw: Floats
    """(n, r)."""
    error: Floats | None = None
    """(n, r, d) standard errors, for sampling."""

    @property
    def residual(self) -> Floats:
        """(n, r) what the contributions leave unexplained: rounding, or a fault."""
        return np.asarray(self.raw - self.base - self.contributions.sum(axis=2), dtype=np.float64)


Contributions = TypedDict(
    "Contributions",
    {
        "contributions": list[dict[str, Any]],
        "others": float,
        "base_value": float,
        "raw_score": float,
        "residual": float,
        "method": str,
        "space": str,
        "class": Label,
    },
    total=False,
)
"""`contributions`: [{feature, value, contribution, std_error?}]; `std_error` when they were sampled."""


def contributions(scorer: Scorer, rows: Sequence[Mapping[str, Any]], top: int | None = 5, seed: int = 0) -> list[Contributions]:
    """Per row what the columns add to the raw score, the strongest `top` first (None: all), the rest as `others`.

    base_value + contributions + others + residual = raw_score, the log-odds of `class` for two classes, the score of the
    predicted class for more, the value for regression (`space` names the link).
    """
    matrices, _ = scorer.encoded(rows)
    if scorer.ensemble.method is not None:
        found = exact(scorer.ensemble, matrices, scorer.features)
    else:
        found = sampled(scorer.ensemble, matrices, scorer.background, scorer.features, seed)
    residual = found.residual
    return [_contribution(scorer, found, residual, number, row, top) for number, row in enumerate(rows)]


def _contribution(
    scorer: Scorer, found: Explained, residual: Floats, number: int, row: Mapping[str, Any], top: int | None
) -> Contributions:
    several = found.raw.shape[1] > 1
    column = int(found.raw[number].argmax()) if several else 0
    parts = found.contributions[number, column]
    order = np.argsort(-np.abs(parts), kind="stable")[: None if top is None else max(top, 0)]
    kept = parts[order]
    errors = None if found.error is None else found.error[number, column].tolist()
    listed: list[dict[str, Any]] = []
    for index, part in zip(order.tolist(), kept.tolist(), strict=True):
        name = scorer.features[index]
        item = {"feature": name, "value": as_json(row.get(name)), "contribution": part}
        if errors is not None and math.isfinite(errors[index]):
            item["std_error"] = errors[index]
        listed.append(item)
    answer: Contributions = {
        "contributions": listed,
        "others": float(parts.sum() - kept.sum()),
        "base_value": float(found.base[column]),
        "raw_score": float(found.raw[number, column]),
        "residual": float(residual[number, column]),
        "method": found.method,
        "space": scorer.ensemble.link,
    }
    if scorer.classes:
        answer["class"] = scorer.classes[column if several else 1]
    return answer


def run(request: dict[str, Any], _report: "Report") -> dict[str, Any]:
    """`contributions` in a child process: `{bundle, sha256, rows, top}` → `{contributions}`, one entry per row."""
    scorer = Scorer.load(request["bundle"], request["sha256"])
    return {"contributions": contributions(scorer, request["rows"], request["top"])}


def as_json(value: Any) -> Any:
    """A value of a row as JSON can carry it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def exact(ensemble: Ensemble, matrices: Sequence[Floats], features: Sequence[str]) -> Explained:
    """The members' own contributions, weighted and gathered by source column. `matrices`: (n, width) per encoder; `features`: d
    source columns."""
    raw = ensemble.raw(matrices)
    cells, width = raw.size, len(features)
    total, base = np.zeros(cells * width), np.zeros(cells)
    slope, offset = 1.0, 0.0
    if ensemble.calibration is not None and ensemble.calibration.affine:
        slope, offset = ensemble.calibration.slope, ensemble.calibration.offset
    starts = np.arange(0, cells * width, width)[:, None] if width else np.zeros((cells, 1), dtype=np.int64)
    sources = [starts + _places(tuple(encoder.sources), tuple(features)) for encoder in ensemble.encoders]
    for member, place, weight in zip(ensemble.members, ensemble.places, ensemble.weights, strict=True):
        parts = member.predictor.contributions(matrices[place]).reshape(cells, -1)
        parts = weight * slope * parts
        total += np.bincount(sources[place].ravel(), parts[:, :-1].ravel(), len(total))
        base += parts[:, -1]
    one = base[: raw.shape[1]] + offset if len(raw) else np.zeros(raw.shape[1])  # every row has the same
    return Explained(ensemble.method or "tree_shap", total.reshape(*raw.shape, width), one, raw)


def sampled(
    ensemble: Ensemble,
    matrices: Sequence[Floats],
    background: Sequence[Floats],
    features: Sequence[str],
    seed: int = 0,
    evaluations: int = _EVALUATIONS,
) -> Explained:
    """Shapley values of n rows (`matrices`: (n, width) per encoder) against b others (`background`: (b, width)), from about
    `evaluations` scored rows each: random orders in which the columns of a background row become those of the row explained."""
    raw = ensemble.raw(matrices)
    orders, rows = _orders(len(features), len(background[0]), evaluations, seed)
    start = ensemble.raw([matrix[rows] for matrix in background])
    values = np.empty((*raw.shape, len(features)))
    error = np.empty_like(values)
    sources = [places(encoder.sources, features) for encoder in ensemble.encoders]
    for number in range(len(raw)):
        own = [matrix[number] for matrix in matrices]
        values[number], error[number] = _walks(ensemble, own, [b[rows] for b in background], sources, orders)
    return Explained("sampling", values, start.mean(axis=0), raw, error)


def _orders(width: int, rows: int, evaluations: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(2p, d) each order followed by its mirror image, and the background row of each."""
    pairs = max(1, evaluations // (2 * (width + 1)))
    rng = np.random.default_rng(seed)
    forward = np.array([rng.permutation(width) for _ in range(pairs)], dtype=np.int64)
    chosen = np.concatenate([rng.permutation(rows) for _ in range(-(-pairs // rows))])[:pairs]
    return np.stack([forward, forward[:, ::-1]], axis=1).reshape(2 * pairs, width), np.repeat(chosen, 2)


def places(sources: Sequence[str], features: Sequence[str]) -> NDArray[np.int64]:
    """(width,) the source column of each encoded column, as an index into `features`."""
    order = {name: index for index, name in enumerate(features)}
    return np.array([order[source] for source in sources], dtype=np.int64)


_places = lru_cache(maxsize=256)(places)


def _walks(
    ensemble: Ensemble,
    own: Sequence[Floats],
    background: Sequence[Floats],
    sources: Sequence[NDArray[np.int64]],
    orders: NDArray[np.int64],
) -> tuple[Floats, Floats]:
    """(r, d) mean contribution over all orders and its standard error over the mirrored pairs."""
    count, width = orders.shape
    rank = np.argsort(orders, axis=1)
    steps = np.arange(width + 1)
    batch = max(1, _BATCH_CELLS // ((width + 1) * sum(map(len, sources))))
    found = []
    for at in range(0, count, batch):
        # taken[w, s, f]: in walk w after s steps, feature f already has the value of the row explained.
        taken = rank[at : at + batch, None, :] < steps[None, :, None]
        mixed = [
            np.where(taken[:, :, place], row, rest[at : at + batch, None, :]).reshape(-1, len(place))
            for row, rest, place in zip(own, background, sources, strict=True)
        ]
        scores = ensemble.raw(mixed).reshape(taken.shape[0], width + 1, -1)
        found.append(np.take_along_axis(np.diff(scores, axis=1), rank[at : at + batch, :, None], axis=1))
    deltas = np.concatenate(found)
    pairs = deltas.reshape(count // 2, 2, width, -1).mean(axis=1)
    spread = pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs)) if len(pairs) > 1 else np.full(pairs.shape[1:], np.nan)
    return pairs.mean(axis=0).T, spread.T


def background_of(frame: pl.DataFrame, columns: Sequence[Column], rows: int = 100, seed: int = 0) -> tuple[dict[str, Any], ...]:
    """Rows of training for `Manifest.background`, as JSON; fewer when there are very many columns."""
    names = [column.name for column in columns if column.name in frame.columns]
    most = max(5, min(rows, _MOST_BACKGROUND_CELLS // max(len(names), 1), frame.height))
    chosen = np.sort(np.random.default_rng(seed).permutation(frame.height)[:most])
    return tuple(
        {name: _plain(value) for name, value in row.items()} for row in frame.select(names)[chosen].iter_rows(named=True)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, int) else str(value)
