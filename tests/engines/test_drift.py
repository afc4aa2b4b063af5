"""Counts in frozen bins: where values lie, that counts add up, and what two vectors of them say, against SciPy."""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from coreplex.engines.drift import distances, latency
from coreplex.engines.drift import layout as layouts
from coreplex.engines.drift.bins import LevelBins, NumberBins, bins_of
from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.evidence import ALPHA, Evidence
from coreplex.engines.drift.layout import Feature, Layout
from coreplex.engines.drift.window import DriftStatus, compare
from coreplex.engines.tabular.schema import Column, ColumnType

FLOATS = st.floats(allow_nan=True, allow_infinity=False, width=32)
COUNTS = st.lists(st.integers(0, 200), min_size=3, max_size=40)


@given(st.lists(FLOATS, max_size=300), st.lists(FLOATS, min_size=1))
def test_a_number_lies_between_the_edges_of_its_bin(trained: list[float], asked: list[float]) -> None:
    bins = NumberBins.fit(np.array(trained, dtype=np.float64))
    assert bins_of(bins.to_json()) == bins
    ends = [-np.inf, *([np.nextafter(bins.edges[0], -np.inf)] if bins.edges else [-np.inf]), *bins.edges, np.inf]
    for value, place in zip(asked, bins.place(np.array(asked)).tolist(), strict=True):
        if np.isnan(value):
            assert place == bins.missing
        else:
            assert ends[place] < value <= ends[place + 1] or (not bins.edges and place == 1)


def test_what_training_saw_is_neither_below_nor_above_nor_new() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=5_000), rng.integers(0, 9, 500).astype(float), np.zeros(10)):
        bins = NumberBins.fit(values)
        counts = np.bincount(bins.place(values), minlength=bins.size)
        assert counts[0] == counts[bins.size - 2] == counts[bins.missing] == 0
        assert counts.sum() == len(values)
        if len(np.unique(values)) > 64:
            assert counts[1:-2].max() < 1.5 * len(values) / 64
    words = [f"w{number}" for number in range(300) for _ in range(number + 1)]
    levels = LevelBins.fit({word: words.count(word) for word in set(words)})
    assert set(levels.place(words).tolist()) == set(range(256)), "255 of their own, and one for the rest"
    assert levels.place(["other", None]).tolist() == [levels.unseen, levels.missing]
    assert bins_of(levels.to_json()) == levels


TABLE = pl.DataFrame(
    {
        "amount": [1.5, 2.0, None, 8.0] * 30,
        "age": [20, 30, 40, 50] * 30,
        "city": ["Bern", "Genf", "Bern", None] * 30,
        "member": [True, False, True, None] * 30,
        "since": ["2026-01-01", "2026-02-01", "2026-03-01", None] * 30,
        "text": ["a b c", "d", None, "a"] * 30,
    }
).with_columns(pl.col("since").str.to_date())
KINDS = {
    "amount": (ColumnType.float, "float64"),
    "age": (ColumnType.integer, "int64"),
    "city": (ColumnType.categorical, "string"),
    "member": (ColumnType.boolean, "bool"),
    "since": (ColumnType.datetime, "date"),
    "text": (ColumnType.text, "string"),
}


@pytest.fixture(scope="module")
def counter() -> RowCounter:
    inputs = layouts.of_table(TABLE, [Column(name, *kind) for name, kind in KINDS.items()])
    answers = layouts.of_classes(["no", "yes"], np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1, 0]))
    return RowCounter(Layout(inputs, answers))


def met(counter: RowCounter, row: dict[str, Any], output: dict[str, Any] | None = None) -> dict[str, int]:
    """The bin of each feature that one row met."""
    vector = counter.count([row], [output])
    return {part.feature.name: int(np.argmax(part.of(vector))) for part in counter.layout.parts if part.of(vector).any()}


def test_rows_of_the_table_count_as_the_table_did(counter: RowCounter) -> None:
    layout = Layout(tuple(Feature.from_json(one.to_json()) for one in counter.layout.inputs))
    rows = [{name: str(value) if name == "since" and value else value for name, value in row.items()} for row in TABLE.to_dicts()]
    vector = RowCounter(layout).count(rows, [None] * len(rows))
    for part in layout.parts:
        assert part.of(vector).tolist() == list(part.feature.counts), part.feature.name


CHANGED: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    lambda row: row,
    lambda row: row | {"more": 1},
    lambda row: {name: value for name, value in row.items() if name != "amount"},
    lambda row: {name.upper(): value for name, value in row.items()},
    lambda row: {"not_stored": True},
]
"""As callers send rows: whole, with more, with less, spelled otherwise, and nothing of it."""


@given(st.lists(st.tuples(st.integers(0, 119), st.sampled_from(CHANGED)), min_size=1, max_size=30), st.integers(0, 30))
def test_counts_add_up(asked: list[tuple[int, Callable[[dict[str, Any]], dict[str, Any]]]], cut: int) -> None:
    inputs = layouts.of_table(TABLE.drop("since"), [Column(name, *kind) for name, kind in KINDS.items() if name != "since"])
    counter, rows = RowCounter(Layout(inputs)), [change(TABLE.drop("since").row(place, named=True)) for place, change in asked]
    whole = counter.count(rows, [None] * len(rows)).tolist()
    for parts in ([rows[:cut], rows[cut:]], [[row] for row in rows]):
        assert whole == sum(counter.count(some, [None] * len(some)) for some in parts).tolist()


@pytest.mark.parametrize(
    ("row", "same"),
    [
        ({"amount": "2"}, {"amount": 2.0}),
        ({"age": 30.0}, {"age": "30"}),
        ({"city": " Bern "}, {"city": "Bern"}),
        ({"member": "yes"}, {"member": True}),
        ({"member": 0}, {"member": False}),
        ({"since": "2026-02-01T00:00:00"}, {"since": "2026-02-01"}),
        ({"CITY": "Genf"}, {"city": "Genf"}),
        ({"amount": 10**400}, {"amount": None}),
        ({"amount": "1e400"}, {"amount": None}),
        ({"amount": [1]}, {"amount": None}),
        ({"age": {"a": 1}}, {"age": None}),
        ({"city": 3.0}, {"city": "3"}),
    ],
)
def test_a_value_counts_as_the_model_reads_it(counter: RowCounter, row: dict[str, Any], same: dict[str, Any]) -> None:
    assert met(counter, row) == met(counter, same) != {}


def test_what_has_no_column_of_the_model_is_no_row_of_it(counter: RowCounter) -> None:
    assert met(counter, {"not_stored": "3,000 bytes were left out"}) == {}


def test_answers_are_counted(counter: RowCounter) -> None:
    row, output = {"age": 20}, {"prediction": "yes", "probability": 0.9, "probabilities": {"no": 0.1, "yes": 0.9}}
    found = met(counter, row, output)
    parts = {part.feature.name: part.feature.bins for part in counter.layout.parts}
    assert (found["class"], found["probability"]) == (parts["class"].levels.index("yes"), parts["probability"].size - 2)  # type: ignore[union-attr]
    assert "class" not in met(counter, row)


@given(COUNTS, st.data())
def test_tests_of_counts_are_those_of_scipy(first: list[int], data: st.DataObject) -> None:
    second = data.draw(st.lists(st.integers(0, 200), min_size=len(first), max_size=len(first)))
    expected, actual = np.array(first), np.array(second)
    ks, ranks = distances.kolmogorov_smirnov(expected, actual), distances.mann_whitney(expected, actual)
    if not (expected.sum() and actual.sum()):
        assert ks.p_value is ranks.p_value is None
        return
    places = np.arange(len(first))
    before, after = np.repeat(places, expected), np.repeat(places, actual)
    rows = len(before), len(after)
    with np.errstate(divide="ignore"):  # SciPy's asymptotic value of one beside one is not a number
        theirs = stats.ks_2samp(before, after, method="asymp")
    if theirs.pvalue < distances.LARGE and math.prod(rows) <= distances.MOST_PAIRS:
        theirs = stats.ks_2samp(before, after, method="exact")
    assert ks == pytest.approx((theirs.statistic, 1.0 if rows == (1, 1) else theirs.pvalue), abs=1e-9)
    apart = sum(rows) - int((expected + actual).max())
    assert (ranks.p_value is None) == (apart * min(rows) / sum(rows) < distances.LEAST_APART)
    if ranks.p_value is not None:
        theirs = stats.mannwhitneyu(after, before, use_continuity=False, method="asymptotic")
        assert ranks == pytest.approx((theirs.statistic / (len(before) * len(after)), theirs.pvalue), abs=1e-9)
    positions = places * 1.5 - 3
    expected_distance = stats.wasserstein_distance(before * 1.5 - 3, after * 1.5 - 3)
    assert distances.wasserstein(positions, expected, actual) == pytest.approx(expected_distance, abs=1e-9)
    there = (expected + actual) > 0
    theirs = stats.chi2_contingency(np.stack([expected, actual])[:, there], correction=False)
    if there.sum() > 1:
        assert distances.chi_square(np.stack([expected, actual])[:, there]) == pytest.approx(
            (theirs.statistic, theirs.pvalue), abs=1e-9
        )


@given(st.floats(1e-2, 1e7))
def test_a_percentile_is_off_by_one_percent_at_most(milliseconds: float) -> None:
    counts = np.bincount([latency.place(milliseconds)], minlength=latency.BINS)
    assert latency.percentile(counts, 0.5) == pytest.approx(milliseconds, rel=0.01)


def windows(runs: int, shift: float = 0.0, rows: int = 1_000, features: int = 20) -> list[Any]:
    """What a look says of as many windows: normal features, the first of them shifted, and words."""
    found = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        shares = 1 / np.arange(1, 241)

        def draw(count: int, by: float, rng: Any = rng, shares: Any = shares) -> pl.DataFrame:
            numbers = rng.normal(size=(count, features - 1))
            numbers[:, 0] += by
            words = rng.choice(240, size=count, p=shares / shares.sum())
            return pl.DataFrame(numbers, schema=[f"x{i}" for i in range(features - 1)]).with_columns(
                w=pl.Series(words).cast(pl.String)
            )

        trained = draw(5_000, 0.0)
        kinds = [Column(name, ColumnType.float, "float64") for name in trained.columns[:-1]]
        layout = Layout(layouts.of_table(trained, [*kinds, Column("w", ColumnType.categorical, "string")]))
        asked = draw(rows, shift)
        found.append(compare(layout, None, RowCounter(layout).count(asked.to_dicts(), [None] * rows)))
    return found


def test_windows_without_a_shift_are_stable_and_those_with_one_are_not() -> None:
    """A small version of the table of tests/benchmarks/drift.md."""
    calm, moved = windows(40), windows(20, shift=0.25)
    assert sum(one.status is not DriftStatus.stable for one in calm) <= 6
    assert sum(one.inputs[0].drifted for one in moved) >= 18
    assert windows(1, shift=5.0, rows=20)[0].status is DriftStatus.insufficient_data


def test_a_column_that_stops_coming_a_constant_that_varies_and_new_words_are_found() -> None:
    trained = pl.DataFrame({"gone": [1.0, 2.0] * 500, "same": [7.0] * 1_000, "word": ["a", "b"] * 500, "calm": [3, 4] * 500})
    kinds = {"gone": ColumnType.float, "same": ColumnType.float, "word": ColumnType.categorical, "calm": ColumnType.integer}
    dtypes = {ColumnType.float: "float64", ColumnType.categorical: "string", ColumnType.integer: "int64"}
    layout = Layout(layouts.of_table(trained, [Column(name, kind, dtypes[kind]) for name, kind in kinds.items()]))
    rows = [{"same": 7.0 + place % 2, "word": ("a", "b", "c")[place % 3], "calm": 3 + place % 2} for place in range(300)]
    found = compare(layout, None, RowCounter(layout).count(rows, [None] * 300))
    reasons = {one.feature.name: one.reasons for one in found.inputs}
    assert "unseen" in reasons.pop("word")
    assert reasons == {"gone": ["missing"], "same": ["distribution"], "calm": []}
    assert found.status is DriftStatus.drift


def first_alarm(seed: int, shift: float, hours: int, rows: int = 100) -> int | None:
    """The hour of the first alarm, looking every hour; the data move in the 24th."""
    rng = np.random.default_rng(seed)
    names = [f"x{place}" for place in range(10)]

    def draw(count: int, by: float) -> pl.DataFrame:
        numbers = rng.normal(size=(count, 10))
        numbers[:, 0] += by
        return pl.DataFrame(numbers, schema=names)

    layout = Layout(layouts.of_table(draw(5_000, 0.0), [Column(name, ColumnType.float, "float64") for name in names]))
    evidence, counter = Evidence(layout), RowCounter(layout)
    capital = evidence.begin()
    for hour in range(hours):
        found = counter.count(draw(rows, shift if hour >= 24 else 0.0).to_dicts(), [None] * rows)
        capital = evidence.after(capital, found, timedelta(hours=1))
        if evidence.total(capital) >= -math.log(ALPHA):
            assert max(evidence.by_feature(capital).items(), key=lambda one: one[1])[0] == "x0"
            return hour
    return None


def test_looking_every_hour_cries_no_wolf_and_finds_what_has_moved() -> None:
    """A small version of the table of tests/benchmarks/drift.md."""
    assert [first_alarm(seed, 0.0, 120) for seed in range(6)] == [None] * 6
    found = [first_alarm(seed, 0.4, 24 + 30) for seed in range(6)]
    assert None not in found
    assert min(hour for hour in found if hour is not None) >= 24


def test_evidence_of_rows_is_that_of_their_counts_and_fades() -> None:
    layout = Layout(layouts.of_table(pl.DataFrame({"x": np.arange(1_000.0)}), [Column("x", ColumnType.float, "float64")]))
    evidence, counter = Evidence(layout), RowCounter(layout)
    low, even = (
        [counter.count([{"x": value}], [None]) for value in values]
        for values in ([3.0] * 40, np.random.default_rng(0).permutation(1_000).tolist())
    )
    one_by_one, at_once = evidence.begin(), evidence.begin()
    one_by_one = evidence.after(one_by_one, low[0], timedelta(days=1))
    for counts in low[1:]:
        one_by_one = evidence.after(one_by_one, counts, timedelta(0))
    at_once = evidence.after(at_once, sum(low), timedelta(days=1))  # type: ignore[arg-type]
    assert evidence.total(one_by_one) == pytest.approx(evidence.total(at_once))
    assert evidence.total(at_once) > -math.log(ALPHA)
    for counts in even:
        at_once = evidence.after(at_once, counts, timedelta(minutes=1))
    assert evidence.total(at_once) < 0


def test_a_daily_cycle_is_drift_by_the_hour_and_none_by_whole_days() -> None:
    """As docs/monitoring.md has it."""
    found = {6: 0, 24: 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def draw(hours: Any, rng: Any = rng) -> Any:
            return 0.5 * np.sin(2 * np.pi * hours / 24) + rng.normal(size=len(hours))

        table = pl.DataFrame({"x": draw(rng.integers(0, 24, 5_000))})
        layout = Layout(layouts.of_table(table, [Column("x", ColumnType.float, "float64")]))
        (bins,) = (one.bins for one in layout.inputs)
        assert isinstance(bins, NumberBins)
        for length in found:
            places = bins.place(draw(np.repeat(seed + np.arange(length), 100)))
            found[length] += compare(layout, None, np.bincount(places, minlength=bins.size)).inputs[0].drifted
    assert found[6] >= 25
    assert found[24] == 0
