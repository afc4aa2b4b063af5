"""Shares of columns in the answers: chance is not taken for drift, and one row beyond all sense breaks nothing."""

import numpy as np

from coreplex.engines.drift.attribution import Attribution, AttributionStatus, compare
from coreplex.engines.explain.attribution import summed


def attribution(sizes: np.ndarray) -> Attribution:
    return Attribution.of(len(sizes), summed(("flag", "amount"), sizes))


def drawn(draw: np.random.Generator, rows: int) -> np.ndarray:
    """Sizes of a column of two values, and of one with heavy tails."""
    return np.column_stack([draw.choice([0.4, 0.6], rows), draw.lognormal(-1.0, 1.0, rows)])


def test_chance_is_not_taken_for_drift() -> None:
    """Of 200 rows beside 2,000 of the same. The share of a column that hardly varies moves with the other's tail."""
    draw = np.random.default_rng(0)
    found = [compare(attribution(drawn(draw, 2_000)), attribution(drawn(draw, 200))).status for _ in range(200)]
    assert found.count(AttributionStatus.drift) <= 10


def test_the_few_rows_of_heavy_tails_are_not_taken_for_drift_and_a_change_is() -> None:
    """100 rows hold few of the rare large contributions, or none: by their own variance 20 % of them would have drifted."""
    draw = np.random.default_rng(0)
    names, scales = tuple("abcdef"), np.linspace(1, 3, 6)

    def heavy(rows: int, tail: float, last: float = 1.0) -> Attribution:
        return Attribution.of(rows, summed(names, draw.lognormal(0.0, tail, (rows, 6)) * scales * [1, 1, 1, 1, 1, last]))

    same = [compare(heavy(2_000, 1.5), heavy(100, 1.5)).status for _ in range(200)]
    assert same.count(AttributionStatus.drift) <= 20
    changed = [compare(heavy(2_000, 1.0), heavy(200, 1.0, 1.6)).status for _ in range(50)]
    assert changed.count(AttributionStatus.drift) >= 43


def test_one_row_beyond_all_sense_breaks_nothing() -> None:
    sizes = drawn(np.random.default_rng(0), 200)
    sizes[0] = [np.nan, 1e300]
    sizes[1, 1] = np.inf
    parts = summed(("flag", "amount"), sizes)
    assert all(np.isfinite([one["mean"], one["std_error"]]).all() for one in parts)
    assert Attribution.of(1, [{"feature": "flag", "mean": None, "std_error": None}]).means == {"flag": (0.0, 0.0)}
