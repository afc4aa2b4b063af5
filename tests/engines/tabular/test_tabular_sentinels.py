"""Sentinels are named with the numbers behind them; values that only lie at an end, repeat or are rare are not."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coreplex.engines.tabular.profile.numeric_profile import find_sentinels
from tests.engines.tabular.judged import judge

SEEDS = range(3)
Shapes = Iterator[tuple[str, np.ndarray]]


def clean(draw: np.random.Generator, n: int) -> Shapes:
    """Columns of every honest shape: heavy tails, caps, zeros, ladders of prices, scales, years, dates."""

    def pick(values: list[float], falling: float = 1.0) -> np.ndarray:
        weights = 1 / np.arange(1, len(values) + 1) ** falling
        return draw.choice(values, n, p=weights / weights.sum())

    yield "normal", draw.normal(50, 10, n)
    yield "temperatures", draw.normal(6, 6, n).round()
    yield "lognormal", draw.lognormal(3, 1.5, n).round(2)
    yield "pareto", ((draw.pareto(1.2, n) + 1) * 5).astype(int) * 100
    yield "cauchy", draw.standard_cauchy(n).round(1)
    yield "zipf", np.minimum(draw.zipf(1.8, n), 10**9)
    yield "rare counts", draw.poisson(0.2, n)
    yield "zero-inflated counts", draw.poisson(4, n) * (draw.random(n) < 0.2)
    yield "zero-inflated amounts", np.where(draw.random(n) < 0.7, 0, draw.integers(500, 20_000, n))
    yield "ages, capped", np.clip(draw.normal(65, 18, n), 18, 90).astype(int)
    yield "incomes, capped near their tail", np.clip(draw.lognormal(10.5, 0.7, n), 0, 99_999).astype(int)
    yield "hours", np.clip(draw.normal(40, 12, n), 1, 99).astype(int)
    yield "prices", pick([4.99, 9.99, 14.99, 19.99, 29.99, 49.99, 99.99, 199.99])
    yield "plans", pick([19, 29, 49, 99, 199, 299, 499, 999])
    yield "donations", pick([10, 20, 50, 5, 100, 250, 500, 1000])
    yield "stars", draw.integers(1, 6, n)
    yield "levels", pick([1, 2, 3, 4, 8])
    yield "powers", 2 ** draw.integers(0, 10, n)
    yield "terms", pick([12, 24, 36, 48, 60, 120, 180, 240, 360], 0)
    yield "signs", draw.choice([-1, 1], n)
    yield "moves", draw.choice([-1, 0, 1], n, p=[0.05, 0.9, 0.05])
    yield "years", draw.integers(1950, 2024, n)
    yield "two heaps", np.where(draw.random(n) < 0.1, draw.normal(1000, 5, n), draw.normal(20, 5, n)).round()
    yield "births", np.datetime64("1940-01-01") + draw.integers(0, 25_000, n)
    yield "months", (np.datetime64("2015-01") + draw.integers(0, 96, n)).astype("datetime64[D]")


def planted(draw: np.random.Generator, n: int) -> Shapes:
    """The same kind of columns with a sentinel in a tenth of the cells; its text is the name."""
    day = np.datetime64("2015-01-01") + draw.integers(0, 3000, n)
    for name, values in (
        ("-200", draw.gamma(2, 1.5, n).round(1)),
        ("-200", draw.normal(15, 9, n).round(1)),
        ("-200", draw.gamma(1.5, 150, n).round()),
        ("-999", np.where(draw.random(n) < 0.7, 0, draw.gamma(1, 4, n)).round(1)),
        ("999", np.clip(draw.normal(45, 18, n), 0, 100).astype(int)),
        ("99999", np.where(draw.random(n) < 0.9, 0, draw.gamma(2, 4000, n)).astype(int)),
        ("-1", draw.gamma(2, 90, n).astype(int) + 1),
        ("9", draw.integers(1, 6, n)),
        ("99", draw.integers(1, 11, n)),
        ("9999-12-31", day),
        ("1900-01-01", day),
        ("1970-01-01", day),
    ):
        code = np.datetime64(name) if name.count("-") == 2 else float(name)
        found = values.astype(float) if values.dtype.kind == "f" else values
        yield name, np.where(np.arange(n) % 10 == 3, code, found).astype(found.dtype)


def sure(values: np.ndarray) -> list[str]:
    return [one["value"] for one in find_sentinels(pl.Series(values).sort()) if one["sure"]]


@pytest.mark.parametrize("n", [60, 1000, 20_000])
def test_honest_columns_raise_no_alarm(n: int) -> None:
    alarms = {name: found for seed in SEEDS for name, v in clean(np.random.default_rng(seed), n) if (found := sure(v))}
    assert alarms == {}


@pytest.mark.parametrize("n", [100, 1000, 20_000])
def test_sentinels_are_found(n: int) -> None:
    missed = [name for seed in SEEDS for name, v in planted(np.random.default_rng(seed), n) if sure(v) != [name]]
    # A long tail of a hundred rows may have a gap as wide.
    assert len(missed) <= (2 if n == 100 else 0), missed


def test_an_issue_has_the_numbers(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "co": np.where(np.arange(600) % 6 == 0, -200, draw.gamma(2, 1.5, 600).round(1)),
            "answer": np.where(np.arange(600) % 20 == 0, 8 + np.arange(600) // 20 % 2, draw.integers(1, 6, 600)),
            # Low values have a wide tail here: the code alone would prove nothing.
            "signal": np.where(np.arange(600) % 6 == 0, -200, draw.normal(1100, 260, 600).round().clip(60)),
            "until": [dt.date(9999, 12, 31) if i % 3 else dt.date(2020, 1, 1) + dt.timedelta(i) for i in range(600)],
            "amount": draw.lognormal(3, 1, 600),
        }
    )
    found = {name: issue for (kind, name), issue in judge(tmp_path, frame)[1].items() if kind == "sentinel_values"}
    assert {name: issue["evidence"]["counts"] for name, issue in found.items()} == {
        "co": {"-200": 100},
        "answer": {"8": 15, "9": 15},
        "signal": {"-200": 100},
        "until": {"9999-12-31": 400},
    }
    assert found["answer"]["evidence"]["others"] == {"min": "1", "max": "5"}
    assert found["until"]["evidence"]["others"]["min"] == "2020-01-01"
    assert (found["co"]["affected_rows"], found["co"]["evidence"]["values"]) == (100, ["-200"])
    assert "-200 (100), far outside the rest" in found["co"]["message"]
    assert ("outliers", "signal") not in judge(tmp_path, frame)[1], "said once"


def test_what_is_marked_is_no_sentinel_any_more(tmp_path: Path) -> None:
    data = "x,y\n" + "".join(f"{-200 if i % 7 == 0 else i % 40},{i % 3}\n" for i in range(300))
    assert ("sentinel_values", "x") in judge(tmp_path, data)[1]
    facts, issues = judge(tmp_path, data, missing={"x": ["-200"]})
    assert ("sentinel_values", "x") not in issues
    assert (facts["x"]["min"], facts["x"]["missing_count"]) == (0, 43)
