"""Contributions of each source column to the raw scores of a handful of rows: Shapley values, exact or sampled.

Exact where the model is a weighted sum in the space that is explained (one booster, a bag averaged raw, linear
models): TreeSHAP of the boosters (Lundberg et al. 2020), weights × deviation for linear ones. Everything else by
permutation sampling of Shapley values over background rows (Štrumbelj & Kononenko 2014) with mirrored permutations
(Mitchell et al. 2022), with standard errors. Each answer carries its residual: raw score − (base value +
contributions). Says nothing about causes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring.ensemble import Ensemble

_EVALUATIONS = 2_000
"""Rows scored for one sampled explanation, at least one mirrored pair of permutations whatever it costs."""
_BATCH_CELLS = 4_000_000


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


def explain_rows(
    ensemble: Ensemble, matrices: Sequence[Floats], background: Sequence[Floats], features: Sequence[str], seed: int = 0
) -> Explained:
    """The exact contributions where there are such, else sampled ones. `matrices` and `background`: rows encoded, one matrix
    (n, width) or (b, width) per encoder of `ensemble`; `features`: d source columns in order."""
    if ensemble.method is not None:
        return exact(ensemble, matrices, features)
    return sampled(ensemble, matrices, background, features, seed)


def exact(ensemble: Ensemble, matrices: Sequence[Floats], features: Sequence[str]) -> Explained:
    """The members' own contributions, weighted and gathered by source column. `matrices`: (n, width) per encoder; `features`: d
    source columns."""
    raw = ensemble.raw(matrices)
    total = np.zeros((len(features), *raw.shape))
    base = np.zeros(raw.shape)
    slope, offset = 1.0, 0.0
    if ensemble.calibration is not None and ensemble.calibration.affine:
        slope, offset = ensemble.calibration.slope, ensemble.calibration.offset
    sources = [places(encoder.sources, features) for encoder in ensemble.encoders]
    for member, place, weight in zip(ensemble.members, ensemble.places, ensemble.weights, strict=True):
        parts = member.predictor.contributions(matrices[place])
        np.add.at(total, sources[place], weight * slope * parts[:, :, :-1].transpose(2, 0, 1))
        base += weight * slope * parts[:, :, -1]
    mean = base.mean(axis=0) + offset if len(raw) else np.zeros(raw.shape[1])
    return Explained(ensemble.method or "tree_shap", total.transpose(1, 2, 0), mean, raw)


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
