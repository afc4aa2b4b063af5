"""Error rates compared at every look: what is promised, and how soon it speaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from coreplex.engines.sequential.error_rates import least_increase, rate_bounds


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.001, 0.2))
def test_the_bounds_hold_the_rate_that_was_seen(errors: int, right: int, alpha: float) -> None:
    lower, upper = rate_bounds(errors, errors + right, alpha)
    seen = errors / (errors + right) if errors + right else 0.5
    assert 0 <= lower <= seen <= upper <= 1


@pytest.mark.parametrize(("errors", "requests"), [(0, 0), (0, 40), (3, 40), (40, 40), (500, 100_000)])
def test_they_are_where_prior_over_posterior_is_one_over_alpha(errors: int, requests: int) -> None:
    for end in rate_bounds(errors, requests, 0.025):
        if 0 < end < 1:
            assert beta.pdf(end, 1 + errors, 1 + requests - errors) == pytest.approx(0.025, rel=1e-5)
    assert rate_bounds(0, 0, 0.025) == (0.0, 1.0)


def test_counts_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="5 errors of 4 requests"):
        rate_bounds(5, 4, 0.05)


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2])
def test_no_difference_seldom_stops_a_canary(rate: float) -> None:
    """200 rollouts of 2,000 requests, looked at after each twentieth: at most 10 may stop, 5 in 100."""
    draw = np.random.default_rng(7)
    stopped = 0
    for _ in range(200):
        taken = draw.random(2000) < 0.25
        failed = draw.random(2000) < rate
        for end in range(20, 2001, 20):
            candidate, baseline = taken[:end], ~taken[:end]
            counts = [(int((failed[:end] & arm).sum()), int(arm.sum())) for arm in (baseline, candidate)]
            if least_increase(counts[0], counts[1], 0.95) > 0:
                stopped += 1
                break
    assert stopped <= 10


@pytest.mark.parametrize(
    ("baseline", "candidate"), [((0, 950), (50, 50)), ((0, 100_000), (50, 5_050)), ((10, 1_000), (50, 250)), ((0, 0), (50, 50))]
)
def test_fifty_failures_are_enough(baseline: tuple[int, int], candidate: tuple[int, int]) -> None:
    least = least_increase(baseline, candidate, 0.95)
    assert least > 0 or baseline == (0, 0), "of a baseline that nobody asked nothing is known"
