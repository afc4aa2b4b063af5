"""Whether a model answers by other columns than in training: the shares that columns have in its answers, then and now.

A ranking is compared by the NDCG of the live order under the shares of training, as SageMaker Clarify does (Järvelin & Kekäläinen
2002); single columns by the difference of their shares, beyond chance and large enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEAST_ROWS = 100
FALSE_DISCOVERIES = 0.02
"""Less than of windows: scores of few rows with heavy tails are not normal, and more than 5 % would be taken for drift."""
SHARE_FLOOR = 0.02
"""The least change of a share that is drift."""


class AttributionStatus(StrEnum):
    insufficient_data = "insufficient_data"
    stable = "stable"
    drift = "drift"


@dataclass(frozen=True)
class Attribution:
    """Of n rows by column the mean size of its contribution, and its standard error."""

    rows: int
    means: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, rows: int, features: Sequence[Mapping[str, Any]]) -> "Attribution":
        """Of what `coreplex.engines.explain.attribution` returns; null, which JSON has for what it cannot say, counts nothing."""
        return cls(rows, {one["feature"]: (float(one["mean"] or 0.0), float(one["std_error"] or 0.0)) for one in features})

    @classmethod
    def joined(cls, parts: Sequence["Attribution"], counts: Sequence[int]) -> "Attribution":
        """Of samples of several days, each counting as much as the rows it was drawn from."""
        names, total, means = {name for part in parts for name in part.means}, sum(counts), {}
        for name in names:
            found = [(count / total, *part.means.get(name, (0.0, 0.0))) for part, count in zip(parts, counts, strict=True)]
            error = np.sqrt(sum((weight * noise) ** 2 for weight, _, noise in found))
            means[name] = (sum(weight * mean for weight, mean, _ in found), float(error))
        return cls(sum(part.rows for part in parts), means)


@dataclass(frozen=True)
class FeatureAttribution:
    """`…_share`: of a column in all contributions, 0 to 1; `…_rank`: from 1."""

    feature: str
    baseline_share: float
    share: float
    baseline_rank: int
    rank: int
    adjusted_p_value: float
    drifted: bool


@dataclass(frozen=True)
class AttributionDrift:
    """`ndcg`: 1 where the order is that of training; `distance`: total variation of the shares, 0 to 1."""

    status: AttributionStatus
    ndcg: float | None
    distance: float | None
    features: list[FeatureAttribution]


def compare(baseline: Attribution, live: Attribution) -> AttributionDrift:
    """The columns' shares now beside those of training, those that changed most first."""
    if min(baseline.rows, live.rows) < LEAST_ROWS or not baseline.means:
        return AttributionDrift(AttributionStatus.insufficient_data, None, None, [])
    names = sorted(baseline.means)
    (before, before_error), (now, now_error) = (_shares(one, names) for one in (baseline, live))
    difference, noise = now - before, _noise((baseline.rows, live.rows), (before_error, now_error))
    scores = np.divide(np.abs(difference), noise, out=np.zeros_like(noise), where=noise > 0)
    adjusted = stats.false_discovery_control(2 * stats.norm.sf(scores))
    ranks = [_ranks(one) for one in (before, now)]
    found = [
        FeatureAttribution(
            *(name, float(before[at]), float(now[at]), int(ranks[0][at]), int(ranks[1][at]), float(adjusted[at])),
            drifted=bool(adjusted[at] <= FALSE_DISCOVERIES and abs(difference[at]) >= SHARE_FLOOR),
        )
        for at, name in enumerate(names)
    ]
    found.sort(key=lambda one: (-abs(one.share - one.baseline_share), one.feature))
    status = AttributionStatus.drift if any(one.drifted for one in found) else AttributionStatus.stable
    return AttributionDrift(status, ndcg(before, now), float(np.abs(difference).sum() / 2), found)


def ndcg(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Normalised discounted cumulative gain of the order of `found` under the gains `expected`, both (d,); 0 to 1."""
    discounts = 1.0 / np.log2(np.arange(len(expected)) + 2)
    ideal = float(np.sort(expected)[::-1] @ discounts)
    gained = float(expected[np.argsort(-found, kind="stable")] @ discounts)
    return gained / ideal if ideal > 0 else 1.0


def _shares(one: Attribution, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(d,) shares of columns in all contributions, and their standard errors."""
    means, errors = np.array([one.means.get(name, (0.0, 0.0)) for name in names]).T
    total = means.sum()
    return (means / total, errors / total) if total > 0 else (means, errors)


def _noise(rows: Sequence[int], errors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """(d,) standard error of the difference of two samples' shares where nothing has changed: of the variance of both together.

    A few rows that happen to hold none of the rare large contributions have a small variance of their own, and would be found to
    differ from those that do.
    """
    variance = sum(count * (count * error**2) for count, error in zip(rows, errors, strict=True)) / sum(rows)
    return np.asarray(np.sqrt(variance * sum(1 / count for count in rows)))


def _ranks(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    order = np.argsort(-shares, kind="stable")
    ranks = np.empty(len(shares), dtype=np.int64)
    ranks[order] = np.arange(1, len(shares) + 1)
    return ranks
