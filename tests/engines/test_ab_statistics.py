"""The statistics of A/B tests: what is promised at all looks together, what is found, and what they equal at one."""

from collections.abc import Callable
from math import log, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from coreplex.engines.sequential.mean_difference import TIGHTEST, difference, mean_interval, squared_error
from coreplex.engines.sequential.posterior import SLABS, credible_interval, posterior
from coreplex.engines.sequential.sample import Sample, UnitSums, of_units
from coreplex.engines.sequential.sample_ratio import CONCENTRATION, sample_ratio_p_value
from tests.benchmarks.ab_tests import METHODS, PLANTED, Case, Draw, baskets, first, measured, outliers, rate, revenue, tailed

Values = np.ndarray[tuple[int], np.dtype[np.float64]]


def sample(values: Values) -> Sample:
    return Sample(len(values), float(values.sum()), float((values * values).sum()))


@pytest.fixture
def pair() -> tuple[Values, Values]:
    draw = np.random.default_rng(2)
    return draw.normal(1.0, 2.5, 900), draw.normal(1.3, 2.0, 1400)


def test_a_difference_is_that_of_the_means_and_shrinks_to_it(pair: tuple[Values, Values]) -> None:
    a, b = map(sample, pair)
    told = difference(a, b, 0.95)
    assert told is not None
    assert told.estimate == pytest.approx(pair[1].mean() - pair[0].mean(), rel=1e-9)
    once = stats.ttest_ind(pair[1], pair[0], equal_var=False)
    assert told.p_value > once.pvalue, "many looks have a price"
    low, high = once.confidence_interval(0.95)
    assert told.lower < low < high < told.upper
    assert told.upper - told.lower < 2 * (high - low)


def test_nothing_is_said_while_a_few_units_have_nearly_all_values() -> None:
    """1,000 customers a side, of whom two have ordered 5,000 times each: their luck is not that of a thousand."""
    draw = np.random.default_rng(3)

    def side(values: Values, rate: float) -> Sample:
        sums = draw.binomial(values.astype(np.int64), rate).astype(float)
        moments = (values @ values, values @ sums, sums @ sums)
        return of_units(UnitSums(len(values), int(values.sum()), float(sums.sum()), *map(float, moments)))

    few = np.array([*[1.0] * 998, 5_000.0, 5_000.0])
    alike = np.full(1_000, 3.0)
    assert side(few, 0.5).effective_size < 3
    assert side(alike, 0.5).effective_size == pytest.approx(1_000)
    for one, other, said in ((few, few, False), (alike, few, False), (alike, alike, True)):
        a, b = side(one, 0.2), side(other, 0.8)
        assert (difference(a, b, 0.95) is not None) == (posterior(a, b, 0.95) is not None) == said


def test_the_p_value_is_where_the_interval_touches_nothing(pair: tuple[Values, Values]) -> None:
    """The mixture is tuned by the confidence: at the p-value of its own tuning the interval ends at 0."""
    a, b = map(sample, pair)
    told = difference(a, b, 0.95)
    assert told is not None
    mixed = (a.size + b.size) * (-2 * log(0.05) + log(-2 * log(0.05) + 1)) / TIGHTEST
    half = sqrt(a.variance / a.size + b.variance / b.size) * sqrt(2 * (mixed + 1) / mixed * log(sqrt(mixed + 1) / told.p_value))
    assert half == pytest.approx(abs(told.estimate), rel=1e-9)


def test_the_posterior_is_the_integral_over_its_prior(pair: tuple[Values, Values]) -> None:
    a, b = map(sample, pair)
    found = posterior(a, b, 0.95)
    assert found is not None
    raw, error = float(pair[1].mean() - pair[0].mean()), sqrt(a.variance / a.size + b.variance / b.size)
    spread = sqrt((a.variance + b.variance) / 2)

    grid = np.linspace(-2, 2, 400_001)
    density = np.mean([stats.norm.pdf(grid, 0, slab * spread) for slab in SLABS], axis=0) * stats.norm.pdf(raw, grid, error)

    def weighed(read: Callable[[Values], Values]) -> float:
        return float(integrate.trapezoid(read(grid) * density, grid))

    spike, slab = stats.norm.pdf(raw, 0, error) / 1.95, weighed(np.ones_like) * 0.95 / 1.95
    assert found.p_none == pytest.approx(spike / (spike + slab), rel=1e-6)
    share = 0.95 / 1.95 / (spike + slab)
    assert found.p_greater == pytest.approx(weighed(lambda value: 1.0 * (value > 0)) * share, rel=1e-5)
    assert found.loss_of_smaller == pytest.approx(weighed(lambda value: np.maximum(0.0, value)) * share, rel=1e-5)
    assert found.loss_of_greater == pytest.approx(weighed(lambda value: np.maximum(0.0, -value)) * share, rel=1e-4)
    assert found.estimate == pytest.approx(weighed(lambda value: value) / weighed(np.ones_like), rel=1e-6)
    low, high = found.interval(0.9)
    assert weighed(lambda value: 1.0 * ((low < value) & (value < high))) / weighed(np.ones_like) == pytest.approx(0.9, abs=1e-4)


def test_a_share_of_keys_is_held_against_a_mixture_of_shares() -> None:
    keys = np.array([430, 570])
    mixed = stats.dirichlet_multinomial.pmf(keys, [CONCENTRATION * 0.5, CONCENTRATION * 0.5], 1000)
    expected = stats.multinomial.pmf(keys, 1000, [0.5, 0.5]) / mixed
    assert sample_ratio_p_value(430, 570, 0.5) == pytest.approx(expected, rel=1e-9)
    assert sample_ratio_p_value(0, 0, 0.3) == 1
    assert sample_ratio_p_value(430, 570, 0.5) > stats.chisquare(keys).pvalue


def test_a_right_split_is_seldom_called_wrong_and_a_wrong_one_is_found() -> None:
    """By 20,000 keys, looked at after each 500: 48 to 52 is found, and 1 in 100 right splits may be called wrong."""
    for share, least, most in ((0.5, 0, 4), (0.52, 190, 200)):
        draw, found = np.random.default_rng(5), 0
        for _ in range(200):
            theirs = np.cumsum(draw.binomial(500, share, size=40))
            found += any(sample_ratio_p_value(500 * at - int(b), int(b), 0.5) < 0.01 for at, b in enumerate(theirs, 1))
        assert least <= found <= most


def test_single_sides_have_intervals_too(pair: tuple[Values, Values]) -> None:
    held, believed = mean_interval(sample(pair[0]), 0.95), credible_interval(sample(pair[0]), 0.95)
    assert held is not None
    assert believed is not None
    assert held[0] < believed[0] < pair[0].mean() < believed[1] < held[1]
    clicks = credible_interval(Sample(100, 7.0, 7.0), 0.9)
    assert clicks == pytest.approx(stats.beta(8, 94).ppf([0.05, 0.95]), rel=1e-9)
    assert (mean_interval(Sample(49, 1.0, 1.0), 0.9), credible_interval(Sample(49, 1.0, 1.0), 0.9)) == (None, None)


NULL = (Case("rates", 400, 0.5, rate(0.1)), Case("a small share", 400, 0.1, rate(0.02)), Case("a tail", 100, 0.2, tailed(1.0)))


@pytest.mark.parametrize("case", NULL, ids=[case.name for case in NULL])
def test_no_difference_seldom_has_a_winner_however_often_one_looks(case: Case) -> None:
    """The small version of `tests/benchmarks/ab_tests.py`, which holds 2,000 tests of each kind to one in twenty."""
    winners = {name: sum(winner != 0 for winner, _ in found) for name, found in measured(case, 100, 3).items()}
    assert winners["frequentist"] <= 8
    assert winners["bayesian"] <= 8
    assert winners["flat prior at each look"] > 15, "the looks are such that others fail"


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("draw", [revenue(0.02, 1.5), outliers], ids=["revenue", "outliers"])
def test_a_small_side_that_has_not_seen_the_large_values_is_not_sure(draw: Draw, share: float) -> None:
    """By the variance of each side alone the larger side wins every sixth of these tests, and every third."""
    case = Case("uneven", 800, share, draw, days=25)
    winners = {name: sum(winner != 0 for winner, _ in found) for name, found in measured(case, 60, 3).items()}
    assert winners["frequentist"] <= 3
    assert winners["bayesian"] <= 3


def test_the_floor_under_the_variance_changes_nothing_where_sides_are_of_one_size() -> None:
    draw = np.random.default_rng(6)
    a, b = sample(revenue(0.1, 1.0)(draw, 1000)), sample(revenue(0.1, 1.0, 1.5)(draw, 1000))
    assert squared_error(a, b) == pytest.approx(a.variance / 1000 + b.variance / 1000, rel=1e-12)
    small = sample(np.zeros(999) + draw.random(999))
    assert squared_error(small, b) > small.variance / 999 + b.variance / 1000
    assert squared_error(b, small) == squared_error(small, b)


def test_more_revenue_is_found_in_uneven_shares() -> None:
    case = Case("baskets, 20 % more", 6000, 0.1, baskets(), baskets(1.2), 20)
    for name, found in measured(case, 30, 1).items():
        assert sum(winner > 0 for winner, _ in found) >= 24, name


def unit_sums(values: Values, sizes: np.ndarray[Any, Any]) -> UnitSums:
    """Of units whose values lie one after another."""
    totals = np.add.reduceat(values, np.cumsum(sizes) - sizes)
    products, squares = float((totals * sizes).sum()), float((totals * totals).sum())
    return UnitSums(len(sizes), int(sizes.sum()), float(values.sum()), float((sizes * sizes).sum()), products, squares)


def test_the_mean_of_units_varies_as_their_number_does() -> None:
    """Against the jackknife over units; single values are themselves."""
    draw = np.random.default_rng(4)
    sizes = draw.poisson(4, 300) + 1
    values = (np.repeat(draw.random(300), sizes) > draw.random(int(sizes.sum()))).astype(float)
    found = of_units(unit_sums(values, sizes))
    assert (found.size, found.mean) == (300, pytest.approx(values.mean()))
    totals = np.add.reduceat(values, np.cumsum(sizes) - sizes)
    without = (values.sum() - totals) / (sizes.sum() - sizes)
    assert found.variance / found.size == pytest.approx(299 / 300 * ((without - without.mean()) ** 2).sum(), rel=0.02)
    assert of_units(unit_sums(values, sizes).complement()).mean == pytest.approx(1 - values.mean())
    single = of_units(unit_sums(values, np.ones(len(values), dtype=int)))
    assert single == sample(values)
    assert of_units(UnitSums(0, 0, 0.0, 0.0, 0.0, 0.0)) == Sample(0, 0.0, 0.0)


def test_customers_who_come_often_make_no_winner() -> None:
    """60 days of 20 new customers with 30 rows each, of a rate of their own: taken as rows they make one in every second test."""
    draw, by_unit, by_row = np.random.default_rng(9), 0, 0
    for _ in range(60):
        seen, rows = [], []
        sizes, sides = np.full(1200, 30), draw.random(1200) < 0.5
        rates = draw.beta(1, 3, 1200)
        values = (np.repeat(rates, sizes) > draw.random(36_000)).astype(float).reshape(1200, 30)
        for day in range(10, 61, 5):
            arms = [values[: day * 20][sides[: day * 20] == side] for side in (False, True)]
            a, b = (of_units(unit_sums(arm.ravel(), np.full(len(arm), 30))) for arm in arms)
            seen.append((a, b))
            rows.append((sample(arms[0].ravel()), sample(arms[1].ravel())))
        by_unit += first(METHODS["frequentist"], seen)[0] != 0 or first(METHODS["bayesian"], seen)[0] != 0
        by_row += first(METHODS["frequentist"], rows)[0] != 0
    assert by_unit <= 6
    assert by_row > 20


def test_a_planted_difference_is_found() -> None:
    for name, found in measured(PLANTED[0], 40, 1).items():
        assert sum(winner > 0 for winner, _ in found) >= 36, name


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(-1e100, 1e100), st.floats(0, 1e100)), min_size=2, max_size=2))
def test_no_numbers_are_too_odd(sides: list[tuple[int, float, float]]) -> None:
    a, b = (Sample(size, mean * size, (mean * mean + spread * spread) * size) for size, mean, spread in sides)
    for method in METHODS.values():
        assert first(method, [(a, b)])[0] in {-1, 0, 1}
    for one in (a, b):
        assert all(np.isfinite(end) for held in (mean_interval(one, 0.95), credible_interval(one, 0.95)) for end in held or ())
    told, found = difference(a, b, 0.95), posterior(a, b, 0.95)
    if told is not None and found is not None:
        numbers = (*told, found.p_none, found.p_greater, found.p_smaller, found.loss_of_greater, found.loss_of_smaller)
        assert np.isfinite((*numbers, found.estimate, *found.interval(0.95))).all()
