"""Compares what a model was asked and answered in a window of time with a baseline: each feature, and the whole.

A feature has `drifted` when two things agree: a test that chance does not pass (Benjamini & Hochberg 1995 over all features, so
that of windows in which nothing has changed at most one in twenty shows any), and a size that matters (`FLOORS`), so that a
million rows do not make a trifle drift. The PSI, beyond what chance gives, only says how much.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from scipy import stats

from coreplex.engines.drift import distances
from coreplex.engines.drift.bins import LevelBins, NumberBins
from coreplex.engines.drift.distances import NOTHING, Test
from coreplex.engines.drift.layout import Counts, Feature, Layout, Part, distance
from coreplex.engines.drift.summary import Summary, spread, summary

FALSE_DISCOVERIES = 0.05
LEAST_ROWS = 30
DISTRIBUTION_FLOOR, RANK_FLOOR, SHARE_FLOOR = 0.05, 0.03, 0.02
"""What is the least drift: a distance of distributions (Kolmogorov-Smirnov, or total variation beyond chance), how far from one
half the chance is to lie above an expected value, and a change of a share of the rows (missing, never seen)."""
DRIFT_PSI = 0.25
"""From which on drift is more than a warning, unless another is asked for."""
COARSE = 10
"""Groups of bins of numbers in which the PSI is taken."""
TOP_LEVELS = 20


class DriftStatus(StrEnum):
    insufficient_data = "insufficient_data"
    stable = "stable"
    warning = "warning"
    drift = "drift"


@dataclass
class FeatureDrift:
    """How a feature's values lie now beside the baseline. Figures are None where there is nothing to compare. Those of answers
    beside training are beyond what its folds differ by (`Feature.floor`), but for `psi`.

    `psi`: as the textbook has it, of `coarse` bins; `psi_beyond_chance`: by how much more than chance gives it is that of those.
    `p_value`: of all its tests together (Bonferroni); `adjusted_p_value`: over all features.
    """

    feature: Feature
    baseline: Summary
    current: Summary
    psi: float | None = None
    psi_beyond_chance: float | None = None
    ks: Test = NOTHING
    mann_whitney: Test = NOTHING
    chi_square: Test = NOTHING
    wasserstein: float | None = None
    jensen_shannon: float | None = None
    missing: Test = NOTHING
    unseen: Test = NOTHING
    variation: float = 0.0
    """Total variation of categories beyond chance."""
    p_value: float | None = None
    adjusted_p_value: float | None = None
    drifted: bool = False
    reasons: list[str] = field(default_factory=list)
    """What has drifted: distribution, missing, unseen."""


@dataclass
class Drift:
    """Of a whole window."""

    status: DriftStatus
    overall_psi: float | None
    """The largest `psi_beyond_chance`."""
    baseline_rows: int
    current_rows: int
    inputs: list[FeatureDrift]
    answers: list[FeatureDrift]


def compare(layout: Layout, expected: Counts | None, actual: Counts, threshold: float = DRIFT_PSI) -> Drift:
    """The window's counts beside those of the baseline, or of training where `expected` is None; both (size,).

    `threshold`: the PSI beyond chance from which on drift is more than a warning.
    """
    found = [_compared(part, None if expected is None else part.of(expected), part.of(actual)) for part in layout.parts]
    current, before = (max((getattr(one, side).rows for one in found), default=0) for side in ("current", "baseline"))
    enough = min(current, before) >= LEAST_ROWS
    if enough:
        _judge(found)
    inputs, answers = found[: len(layout.inputs)], found[len(layout.inputs) :]
    values = [one.psi_beyond_chance for one in found if one.psi_beyond_chance is not None]
    return Drift(_status(found, threshold, enough=enough), max(values, default=None), before, current, inputs, answers)


def towards(feature: Feature, expected: Counts, actual: Counts) -> Counts:
    """(size,) what is expected, moved to the actual counts by as much as these may lie apart (`Feature.floor`): what is left of a
    distance is beyond that."""
    rows, others = int(expected.sum()), int(actual.sum())
    if not (feature.floor and rows and others):
        return expected
    apart = distance(feature, expected, actual)
    share = min(feature.floor / apart, 1.0) if apart else 0.0
    moved: Counts = np.rint(expected + share * (actual * (rows / others) - expected)).astype(np.int64)
    return moved


def _status(found: Sequence[FeatureDrift], threshold: float, *, enough: bool) -> DriftStatus:
    if not enough:
        return DriftStatus.insufficient_data
    drifted = [one.psi_beyond_chance or 0.0 for one in found if one.drifted]
    if not drifted:
        return DriftStatus.stable
    return DriftStatus.drift if max(drifted) >= threshold else DriftStatus.warning


def _compared(part: Part, window: Counts | None, actual: Counts) -> FeatureDrift:
    """The counts beside those of another window, or of training where that is None."""
    feature, bins = part.feature, part.feature.bins
    baseline = np.array(feature.counts, dtype=np.int64) if window is None else window
    expected = towards(feature, baseline, actual) if window is None else baseline
    made = FeatureDrift(feature, summary(feature, baseline), summary(feature, actual))
    rows = int(expected.sum()), int(actual.sum())
    gone = int(expected[bins.missing]), int(actual[bins.missing])
    made.missing = distances.shares_differ((gone[0], rows[0]), (gone[1], rows[1]))
    there = np.arange(bins.size) != bins.missing
    if isinstance(bins, NumberBins):
        _numbers(made, bins, expected[there], actual[there])
    else:
        _levels(made, bins, expected[there], actual[there])
        made.unseen = _unseen(bins, expected[there], actual[there], trained=window is None)
    if feature.kind != "moment":
        made.psi = distances.psi(*coarse(feature, baseline, actual))
        made.psi_beyond_chance = distances.psi_beyond_chance(*coarse(feature, expected, actual))
    _test(made)
    return made


def _numbers(made: FeatureDrift, bins: NumberBins, expected: Counts, actual: Counts) -> None:
    made.ks = distances.kolmogorov_smirnov(expected, actual)
    made.mann_whitney = distances.mann_whitney(expected, actual)
    if bins.edges:  # what is below or above counts as lying at the end: how far it lies beyond was not counted
        positions = np.array([bins.edges[0], *bins.edges, bins.edges[-1]])
        made.wasserstein = distances.wasserstein(positions, expected, actual, spread(made.feature))


def _levels(made: FeatureDrift, bins: LevelBins, expected: Counts, actual: Counts) -> None:
    rare = np.arange(len(expected)) >= len(bins.levels)
    table = distances.joined(expected, actual, rare)
    made.chi_square = distances.chi_square(table)
    made.variation = distances.variation_beyond_chance(*table)
    made.jensen_shannon = distances.jensen_shannon(expected, actual)


def _unseen(bins: LevelBins, expected: Counts, actual: Counts, *, trained: bool) -> Test:
    """Whether what training never saw comes more often than training tells by what it saw once; beside a window, where it is
    counted, too, more or less often."""
    if bins.others is None:
        return NOTHING
    rows, found = int(expected.sum()), (int(actual[bins.unseen]), int(actual.sum()))
    if not trained:
        return distances.shares_differ((int(expected[bins.unseen]), rows), found)
    return distances.unseen_exceeds(bins.once, bins.twice(expected), rows, found)


def _test(made: FeatureDrift) -> None:
    """The p-value of all tests of a feature. Of moments only what is missing is tested: they always move on."""
    tests = [made.missing, made.unseen]
    if made.feature.kind != "moment":
        tests += [made.ks, made.mann_whitney, made.chi_square]
    values = [test.p_value for test in tests if test.p_value is not None]
    if values:
        made.p_value = min(1.0, len(values) * min(values))


def _judge(found: Sequence[FeatureDrift]) -> None:
    tested = [one for one in found if one.p_value is not None]
    if not tested:
        return
    adjusted = stats.false_discovery_control([one.p_value for one in tested])
    for one, value in zip(tested, adjusted.tolist(), strict=True):
        one.adjusted_p_value = value
        one.reasons = _reasons(one) if value <= FALSE_DISCOVERIES else []
        one.drifted = bool(one.reasons)


def _reasons(one: FeatureDrift) -> list[str]:
    """What of a feature that chance does not explain is large enough, and by itself not chance."""
    moved = _large(one.ks, one.ks.statistic or 0.0, DISTRIBUTION_FLOOR)
    moved |= _large(one.mann_whitney, abs((one.mann_whitney.statistic or 0.5) - 0.5), RANK_FLOOR)
    moved |= _large(one.chi_square, one.variation, DISTRIBUTION_FLOOR)
    found = {
        "distribution": moved and one.feature.kind != "moment",
        "missing": _large(one.missing, one.missing.statistic or 0.0, SHARE_FLOOR),
        "unseen": _large(one.unseen, one.unseen.statistic or 0.0, SHARE_FLOOR),
    }
    return [name for name, there in found.items() if there]


def _large(test: Test, size: float, floor: float) -> bool:
    return size >= floor and test.p_value is not None and test.p_value <= FALSE_DISCOVERIES


def coarse(feature: Feature, expected: Counts, actual: Counts) -> tuple[Counts, Counts]:
    """Both with few bins, the last that of what is missing: numbers in groups of about as many expected rows each, of categories
    the commonest expected ones and the rest."""
    order = groups(feature, expected)
    size = int(order.max()) + 1
    first, second = (np.bincount(order, weights=counts, minlength=size).astype(np.int64) for counts in (expected, actual))
    return first, second


def groups(feature: Feature, expected: Counts) -> Counts:
    """(size,) group of each bin, as `coarse` joins them."""
    bins = feature.bins
    there = np.delete(expected, bins.missing)
    if isinstance(bins, NumberBins):
        before = np.cumsum(there) - there / 2
        order = np.minimum((before / max(int(there.sum()), 1) * COARSE).astype(np.int64), COARSE - 1)
    else:
        order = np.full(len(there), TOP_LEVELS, dtype=np.int64)
        ranked = np.argsort(-there[: len(bins.levels)], kind="stable")[:TOP_LEVELS]
        order[ranked] = np.arange(len(ranked))
    _, order = np.unique(order, return_inverse=True)
    return np.append(order, order.max() + 1 if len(order) else 0)
