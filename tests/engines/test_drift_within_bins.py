"""Quantiles and the earth mover's distance of bins: between their ends by rank, and exact where a bin holds one value."""

import numpy as np
import pytest
from scipy import stats

from coreplex.engines.drift import distances
from coreplex.engines.drift.bins import NumberBins, Numbers
from coreplex.engines.drift.layout import Counts, Feature
from coreplex.engines.drift.summary import spread, summary
from coreplex.engines.tabular.schema import Column, ColumnType


def _counted(bins: NumberBins, values: Numbers) -> Counts:
    return np.bincount(bins.place(values), minlength=bins.size)


def binned(values: Numbers) -> tuple[Feature, NumberBins]:
    bins = NumberBins.fit(values)
    return Feature("x", "number", bins, tuple(_counted(bins, values).tolist()), Column("x", ColumnType.float, "float64")), bins


@pytest.mark.parametrize("seed", range(5))
def test_figures_of_a_wide_outer_bin_are_nearer_than_its_end(seed: int) -> None:
    chance = np.random.default_rng(seed)
    feature, bins = binned(chance.exponential(size=5_000))
    before, after = chance.exponential(size=2_000), 1.6 * chance.exponential(size=2_000)
    expected, actual = _counted(bins, before), _counted(bins, after)
    edges = np.array(bins.edges)
    found, true = summary(feature, actual).p95, float(np.quantile(after, 0.95))
    assert found is not None
    assert abs(found - true) < abs(edges[np.searchsorted(edges, true)] - true)
    positions, apart = np.array([edges[0], *edges, edges[-1]]), stats.wasserstein_distance(before, after)
    ends = distances.wasserstein(positions, expected[:-1], actual[:-1])
    ranks = distances.wasserstein(positions, expected[:-1], actual[:-1], spread(feature))
    assert ends is not None
    assert ranks is not None
    assert abs(ranks - apart) < 0.6 * abs(ends - apart)


def test_figures_of_one_value_a_bin_are_exact() -> None:
    chance = np.random.default_rng(0)
    feature, _ = binned(chance.poisson(20, size=5_000).astype(float))
    assert not spread(feature).any()


def test_what_lies_beyond_training_has_no_figure_but_how_much_it_is() -> None:
    """As after a change of the unit. A quantile that training saw keeps its figure; the distance is a lower bound."""
    weights = np.random.default_rng(0).normal(3_000, 400, size=1_000)
    feature, bins = binned(weights)
    for factor, place in ((453.6, 1.0), (1 / 453.6, 0.0)):
        half = summary(feature, _counted(bins, np.concatenate([weights, factor * weights[:800]])))
        assert half.outside_rate == pytest.approx(800 / 1_800)
        assert (half.p05 is None, half.median is None, half.p95 is None) == (not place, False, bool(place))
        whole = summary(feature, _counted(bins, factor * weights))
        assert (whole.p05, whole.median, whole.p95, whole.outside_rate) == (None, None, None, 1.0)
        edges, moved = np.array(bins.edges), _counted(bins, factor * weights)[:-1]
        far = distances.wasserstein(
            np.array([edges[0], *edges, edges[-1]]), np.array(feature.counts)[:-1], moved, spread(feature)
        )
        assert far is not None
        assert 0 < far < stats.wasserstein_distance(weights, factor * weights)
