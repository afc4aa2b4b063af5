"""Drift of few rows, few values and many categories: figures are numbers, and chance is not taken for a shift."""

import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coreplex.engines.drift import distances
from coreplex.engines.drift import layout as layouts
from coreplex.engines.drift.bins import LevelBins
from coreplex.engines.drift.evidence import ALPHA, Evidence
from coreplex.engines.drift.layout import Counts, Layout
from coreplex.engines.drift.scores import Score, Share, scores
from coreplex.engines.drift.window import Drift, coarse, compare
from coreplex.engines.tabular.schema import Column, ColumnType

ZIPF = 1 / np.arange(1, 241) / (1 / np.arange(1, 241)).sum()
NAMES = np.array([f"level {number}" for number in range(240)])
WORD = Column("word", ColumnType.categorical, "string")
NUMBER = Column("number", ColumnType.float, "float64")


def words(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    return pl.DataFrame({"word": NAMES[rng.choice(240, rows, p=ZIPF)]})


def sparse(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Numbers of which 95 % are missing."""
    values = rng.normal(size=rows)
    values[rng.random(rows) < 0.95] = np.nan
    return pl.DataFrame({"number": values}).fill_nan(None)


def trained(frame: pl.DataFrame) -> Layout:
    return Layout(layouts.of_table(frame, [WORD if "word" in frame.columns else NUMBER]))


def counted(layout: Layout, frame: pl.DataFrame) -> Counts:
    bins, values = layout.inputs[0].bins, frame.to_series(0)
    places = (
        bins.place(values.to_list()) if isinstance(bins, LevelBins) else bins.place(values.fill_null(np.nan).to_numpy().copy())
    )
    return np.bincount(places, minlength=bins.size)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=6), st.data())
def test_no_figure_of_few_rows_is_not_a_number(first: list[int], data: st.DataObject) -> None:
    second = data.draw(st.lists(st.integers(0, 2), min_size=len(first), max_size=len(first)))
    one, other = np.array(first), np.array(second)
    found: list[float | None] = [*distances.kolmogorov_smirnov(one, other), *distances.mann_whitney(one, other)]
    sizes = distances.psi, distances.psi_beyond_chance, distances.jensen_shannon, distances.total_variation
    found += [size(one, other) for size in sizes]
    table = distances.joined(one, other, np.zeros(len(one), dtype=bool))
    found += [*distances.chi_square(table), distances.variation_beyond_chance(*table)]
    found += [distances.wasserstein(np.arange(len(one)) * 1.0, one, other)]
    shares = (int(one[0]), int(one.sum())), (int(other[0]), int(other.sum()))
    found += [*distances.shares_differ(*shares), *distances.unseen_exceeds(shares[0][0], 0, shares[0][1], shares[1])]
    assert all(value is None or math.isfinite(value) for value in found)


def test_one_value_on_either_side_is_no_drift() -> None:
    one, other = (pl.DataFrame({"number": [value] + [None] * 59}) for value in (1.0, 5.0))
    layout = trained(one)
    (found,) = compare(layout, None, counted(layout, other)).inputs
    assert (found.ks, found.p_value, found.drifted) == ((1.0, 1.0), 1.0, False)


def test_a_window_beside_a_window_counts_what_training_never_saw_on_both_sides() -> None:
    """Training, which met 200 categories once, says nothing of 100 rows."""
    layout = trained(pl.DataFrame({"word": [f"rare {number}" for number in range(200)] + ["a"] * 300}))
    known, before = (counted(layout, pl.DataFrame({"word": ["a"] * (100 - new) + ["new"] * new})) for new in (0, 40))
    for same in (known, before):
        (found,) = compare(layout, same, same).inputs
        assert (found.unseen.statistic, found.drifted) == (0.0, False)
    (found,) = compare(layout, before, counted(layout, pl.DataFrame({"word": ["a"] * 95 + ["new"] * 5}))).inputs
    assert found.unseen == distances.shares_differ((40, 100), (5, 100))
    assert "unseen" in found.reasons


@pytest.mark.parametrize("rows", [30, 100, 1_000])
def test_a_window_beside_itself_never_drifts(rows: int) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        layout = trained(words(rng, 2_000))
        window = counted(layout, words(rng, rows))
        (found,) = compare(layout, window, window).inputs
        assert (found.drifted, found.p_value) == (False, 1.0)


def test_psi_is_the_textbooks_and_beside_it_stands_what_is_beyond_chance() -> None:
    """Without a shift 67 of 100 windows of 30 rows have a PSI that many call drift."""
    layout, large = trained(pl.DataFrame({"number": np.arange(1_000.0)})), [0, 0]
    for seed in range(200):
        drawn = np.random.default_rng(seed).integers(0, 1_000, 30)
        window = counted(layout, pl.DataFrame({"number": drawn.astype(float)}))
        drift = compare(layout, None, window)
        (found,) = drift.inputs
        groups = coarse(found.feature, np.array(found.feature.counts), window)
        e, a = (np.maximum(counts / counts.sum(), 1e-4) for counts in groups)
        assert found.psi == pytest.approx(float(((a - e) * np.log(a / e)).sum()))
        assert found.psi_beyond_chance is not None
        assert drift.overall_psi == found.psi_beyond_chance < found.psi
        large[0] += found.psi > 0.25
        large[1] += found.psi_beyond_chance > 0.25
    assert large[0] > 100
    assert large[1] <= 10


def drifted(seed: int, draw: object, before: int, after: int) -> Drift:
    rng = np.random.default_rng(seed)
    assert callable(draw)
    layout = trained(draw(rng, before))
    return compare(layout, None, counted(layout, draw(rng, after)))


@pytest.mark.parametrize(("draw", "before", "after"), [(sparse, 60, 60), (words, 60, 1_000)])
def test_few_rows_without_a_shift_are_stable(draw: object, before: int, after: int) -> None:
    """A small version of the table of tests/benchmarks/drift.md: 17 % and 10 % where asymptotic p-values were taken of
    three values, and shares of the unseen were binomial."""
    found = [drifted(seed, draw, before, after).inputs[0].drifted for seed in range(200)]
    assert sum(found) <= 14


def test_a_share_of_the_unseen_is_as_uncertain_as_good_and_turing_have_it() -> None:
    """By the variance, over many tables, of what was met once beside what is left to meet."""
    rng = np.random.default_rng(0)
    drawn: NDArray[np.int64] = rng.multinomial(60, ZIPF, size=2_000)
    off = (drawn == 1).sum(axis=1) / 60 - ((drawn == 0) * ZIPF).sum(axis=1)
    once, twice = ((drawn == times).sum(axis=1).mean() for times in (1, 2))
    assert off.std() == pytest.approx(((once + 2 * twice - once**2 / 60) ** 0.5) / 60, rel=0.05)
    assert distances.unseen_exceeds(25, 6, 60, (595, 1_000)).p_value == pytest.approx(0.05, abs=0.04)
    assert distances.unseen_exceeds(25, 6, 60, (800, 1_000)).p_value < 0.001  # type: ignore[operator]
    assert distances.unseen_exceeds(25, 6, 60, (50, 1_000)) == (0.0, 1.0), "that less is new is no drift"


def test_rows_of_training_that_come_back_are_stable_and_more_that_is_new_is_not() -> None:
    """Of a column of many categories that came once, as cabins of a ship: nothing is new where 15 % were expected to be."""
    rng = np.random.default_rng(0)
    cabins: list[str | None] = [f"once {number}" for number in range(130)] + [f"twice {number // 2}" for number in range(70)]
    frame = pl.DataFrame({"word": rng.permutation(cabins + [None] * 690).tolist()})
    layout = trained(frame)
    evidence, whole = Evidence(layout), counted(layout, frame)
    capital = evidence.begin()
    for times in range(1, 6):
        (found,) = compare(layout, None, times * whole).inputs
        assert (found.drifted, found.unseen) == (False, (0.0, 1.0))
        capital = evidence.after(capital, whole, timedelta(hours=1))
        assert evidence.total(capital) < 0
    word = pl.col("word")
    some, all_ = (
        counted(layout, frame.with_columns(word=pl.when(which).then(pl.lit("new")).otherwise(word)))
        for which in (word.str.starts_with("once"), word.is_not_null())
    )
    assert not compare(layout, None, some).inputs[0].drifted, "as much is new as was expected"
    assert compare(layout, None, all_).inputs[0].reasons == ["unseen"]
    assert evidence.total(evidence.after(evidence.begin(), 20 * all_, timedelta(hours=1))) > -math.log(ALPHA)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=6).filter(any))
def test_what_training_says_of_a_mean_is_a_number_on_either_side_of_it(counts: list[int]) -> None:
    vector = np.array(counts)
    for score in (Score(np.linspace(0.0, 1.0, len(counts)), vector), Share(np.eye(len(counts))[0], vector)):
        ends = [score.end(way, chance) for way, chance in ((-1.0, 0.001), (-1.0, 0.05), (1.0, 0.05), (1.0, 0.001))]
        assert all(map(math.isfinite, ends))
    assert ends[0] <= ends[1] <= score.mean <= ends[2] <= ends[3]
    assert (ends[0] == 0, ends[3] == 1) == (counts[0] == 0, counts[0] == sum(counts))


def test_the_ends_of_what_training_says_are_wrong_as_seldom_as_they_say() -> None:
    """Of all that is scored of categories, trained on 60: what is never seen, too."""
    shares, wrong, chance = dict(zip(NAMES.tolist(), ZIPF, strict=True)), 0, 0.01
    for seed in range(400):
        layout = trained(words(np.random.default_rng(seed), 60))
        bins = layout.inputs[0].bins
        assert isinstance(bins, LevelBins)
        true = np.array([shares[level] for level in bins.levels])
        *_, unseen, _ = scores(layout.inputs[0])
        left = 1 - true.sum()
        wrong += not unseen.end(-1.0, chance) <= left <= unseen.end(1.0, chance)
    assert wrong <= 12, "8 are expected"


def alarms(seed: int, draw: object, before: int) -> bool:
    """Whether the watch says within a month of 100 rows an hour that something moved; nothing does."""
    rng = np.random.default_rng(seed)
    assert callable(draw)
    layout = trained(draw(rng, before))
    evidence, shares = Evidence(layout), counted(layout, draw(rng, 50_000)) / 50_000
    capital = evidence.begin()
    for found in rng.multinomial(100, shares, size=720):
        capital = evidence.after(capital, found, timedelta(hours=1))
        if evidence.total(capital) >= -math.log(ALPHA):
            return True
    return False


def test_the_watch_of_a_model_that_learned_from_few_rows_cries_no_wolf() -> None:
    """A small version of the table of tests/benchmarks/drift.md: 10 % where what training says of a rare share was taken for
    normal."""
    assert sum(alarms(seed, words, 60) for seed in range(80)) <= 4
