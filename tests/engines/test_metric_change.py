"""Why a metric changed: margins are reached, parts sum to the change, and planted causes are named first."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.automl.evaluation import measures
from coreplex.engines.drift.layout import Layout, of_table
from coreplex.engines.metric_change import causes, task
from coreplex.engines.metric_change.causes import Cause
from coreplex.engines.metric_change.column import Column
from coreplex.engines.metric_change.explain import Side, explain
from coreplex.engines.metric_change.judging import Answered, expected, expected_error, realised
from coreplex.engines.metric_change.raking import Margin, rake
from coreplex.engines.metric_change.read import columns_of
from coreplex.engines.metric_change.replacing import Row, moved_otherwise, noisy
from coreplex.engines.metric_change.shapley import shapley
from coreplex.engines.tabular.schema import Column as TableColumn
from coreplex.engines.tabular.schema import ColumnType
from coreplex.errors.tree import Conflict
from tests.benchmarks.metric_change import KINDS, World, asked, right, world


@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 6))
@settings(max_examples=50)
def test_raking_reaches_the_margins_it_can(seed: int, first: int, second: int) -> None:
    """With rows in every cell both margins are reached, and rows that are alike weigh alike."""
    draw = np.random.default_rng(seed)
    cells = np.array(list(itertools.product(range(first), range(second))) * 3)
    wanted = [draw.integers(1, 50, size) for size in (first, second)]
    weights = rake([Margin(cells[:, side], counts) for side, counts in enumerate(wanted)], len(cells))
    assert weights.mean() == pytest.approx(1.0)
    for side, counts in enumerate(wanted):
        found = np.bincount(cells[:, side], weights, len(counts)) / weights.sum()
        assert np.abs(found - counts / counts.sum()).max() < 2e-3
    assert np.ptp(weights.reshape(3, -1), axis=0).max() < 1e-9


def test_raking_leaves_what_no_row_is_of_and_rows_it_does_not_speak_of() -> None:
    codes = np.array([0, 0, 0, 1, -1, -1])
    weights = rake([Margin(codes, np.array([1, 1, 8]))], 6)
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4:].sum() == pytest.approx(2.0)
    assert (rake([Margin(codes, np.array([0, 0, 8]))], 6) == 1.0).all()


def by_orders(worth: np.ndarray, players: int) -> list[float]:
    """Shapley values by walking through every order."""
    found = np.zeros(players)
    for order in itertools.permutations(range(players)):
        coalition = 0
        for player in order:
            found[player] += worth[coalition | 1 << player] - worth[coalition]
            coalition |= 1 << player
    return list(found / math.factorial(players))


@given(st.integers(0, 5), st.integers(0, 2**31))
@settings(max_examples=40)
def test_shapley_values_are_the_mean_over_all_orders(players: int, seed: int) -> None:
    worth = np.random.default_rng(seed).normal(size=1 << players)
    found = shapley(worth)
    assert list(found) == pytest.approx(by_orders(worth, players))
    assert found.sum() == pytest.approx(worth[-1] - worth[0])


def test_what_is_expected_is_the_mean_over_outcomes_that_are_drawn() -> None:
    draw = np.random.default_rng(0)
    chances = draw.dirichlet([1.0, 1.0, 1.0], 400)
    answered = Answered(chances, chances.argmax(axis=1), chances=chances)
    weights = draw.random((2, 400))
    for measure in (measures.accuracy, measures.logloss):
        drawn = [
            realised(measure)(
                Answered(chances, answered.predicted, (chances.cumsum(axis=1) < draw.random((400, 1))).sum(axis=1)), weights
            )
            for _ in range(400)
        ]
        assert expected(measure)(answered, weights) == pytest.approx(np.mean(drawn, axis=0), abs=0.01)
    errors = Answered(np.ones((3, 1)), np.zeros(3, dtype=np.int64), errors=np.array([[1.0, 2.0, 3.0], [1.0, 4.0, 9.0]]))
    assert expected_error("mae")(errors, np.array([[1.0, 1.0, 0.0]])) == pytest.approx([1.5])
    assert expected_error("rmse")(errors, np.array([[1.0, 1.0, 0.0]])) == pytest.approx([math.sqrt(2.5)])


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [world(0), world(1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_cause_is_named_first(kind: str, worlds: list[World]) -> None:
    """Of a table of classes or of numbers; over many by `tests/benchmarks/metric_change.md`."""
    hits = []
    for made in worlds:
        draw = np.random.default_rng(5)
        plant = KINDS[kind](made, draw)
        found = asked(made, plant, draw)
        assert sum(part.effect for part in found.parts) == pytest.approx(found.change)
        if abs(found.change) >= 3 * found.std_error:
            hits.append(right(plant, found))
    assert hits.count(True) >= 1
    assert hits.count(False) == 0 or kind == "labels shift"


def column(before: np.ndarray, after: np.ndarray) -> Column:
    """A column of numbers, NaN where missing, in two periods."""
    declared = [TableColumn("x", ColumnType.float, "float64")]
    layout = Layout(of_table(pl.DataFrame({"x": before[~np.isnan(before)]}), declared))
    rows = [[{"x": None if math.isnan(one) else one} for one in side.tolist()] for side in (before, after)]
    return columns_of(layout, *rows)[0][0]


def test_values_that_have_only_gone_are_no_shift_and_go_by_their_size() -> None:
    draw = np.random.default_rng(0)
    before, after = draw.normal(size=(2, 3_000))
    before[draw.random(3_000) < 0.1] = np.nan
    after[(after > 0.5) | (draw.random(3_000) < 0.1)] = np.nan
    made = column(before, after)
    found = causes.missing_values([made], frozenset("x"), np.random.default_rng(1))
    assert found is not None
    gone = found.gone["x"]
    assert gone[before > 0.7].all()
    assert gone[before < 0.3].mean() < 0.1
    assert not gone[np.isnan(before)].any()
    assert causes.shifts([made], frozenset("x"), draw) == []
    again = causes.missing_values([made], frozenset("x"), np.random.default_rng(1))
    assert again is not None
    assert (again.gone["x"] == gone).all()


def test_values_that_have_gone_while_others_have_come_are_a_shift_too() -> None:
    draw = np.random.default_rng(0)
    before, after = draw.normal(size=(2, 3_000))
    after = np.where(after > 0.5, np.where(draw.random(3_000) < 0.5, np.nan, -3.0), after)
    made = column(before, after)
    assert causes.missing_values([made], frozenset("x"), draw) is not None
    assert [one.features for one in causes.shifts([made], frozenset("x"), draw)] == [("x",)]


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_noise_is_what_makes_numbers_alike_without_their_rank(factor: float) -> None:
    draw = np.random.default_rng(0)
    before, after = draw.gamma(2.0, size=(2, 3_000))
    before[:300] = np.nan
    made = column(before, after + draw.normal(0.2, factor * 1.4, 3_000))
    found = noisy(made, draw)
    assert found is not None
    assert found[:300] == [None] * 300
    assert np.var(found[300:]) == pytest.approx(np.var(made.after.values), rel=0.15)
    assert np.corrcoef(found[300:], before[300:])[0, 1] == pytest.approx(1 / math.hypot(1, factor), abs=0.06)


@pytest.mark.parametrize("change", [lambda x: x * 10, lambda x: x, lambda x: np.where(x > 3, 50.0, x), lambda x: x * np.nan])
def test_what_is_no_noise_is_not_taken_for_it(change: Any) -> None:
    draw = np.random.default_rng(0)
    before, after = draw.gamma(2.0, size=(2, 3_000))
    assert noisy(column(before, change(after)), draw) is None


def test_rows_that_say_the_same_are_taken_at_random() -> None:
    draw = np.random.default_rng(0)
    before, after = draw.normal(size=(2, 3_000))
    after[draw.random(3_000) < 0.4] = -999.0
    found = np.array(moved_otherwise(column(before, after), draw)[0])
    assert [(found[part] == -999.0).mean() for part in (before < 0, before > 0)] == pytest.approx([0.4, 0.4], abs=0.05)
    assert (found == before)[found > -999.0].all()


@pytest.mark.parametrize("unit", [True, False])
def test_of_normal_numbers_noise_and_another_unit_are_told_apart(unit: bool) -> None:
    """Their values lie alike; what comes of them does not."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(2, 2_000)), draw.normal(0.0, 0.1, (2, 2_000))
    truth, sent = x + y, np.stack([x[0], x[1] * 2.0 if unit else x[1] + draw.normal(0.0, math.sqrt(3.0), 2_000)])

    def answer(rows: Sequence[Row]) -> Answered:
        return Answered(np.array([[row["x"]] for row in rows]), np.zeros(len(rows), dtype=np.int64))

    sides = []
    for numbers, true in zip(sent, truth, strict=True):
        rows = [{"x": one} for one in numbers.tolist()]
        sides.append(Side(rows, replace(answer(rows), y=true)))
    found = explain([column(*sent)], *sides, realised(measures.mae), answer)
    assert found is not None
    assert (found.parts[0].cause, found.parts[0].replaced) == (Cause.feature_shift, True)
    assert found.parts[0].effect == pytest.approx(found.change, rel=0.15)


def test_nothing_that_has_changed_is_no_cause(worlds: list[World]) -> None:
    """Two samples of the same: at most the rest, which is chance."""
    from tests.benchmarks.metric_change import Plant, some

    made, draw = worlds[0], np.random.default_rng(8)
    found = asked(made, Plant(*some(made, draw), Cause.rest, None), draw)
    assert len(found.parts) <= 2
    assert found.parts[-1].cause is Cause.rest


@pytest.mark.parametrize("shift", [0.0, 1e-15])
def test_a_change_of_rounding_is_none_and_has_no_cause(shift: float) -> None:
    draw = np.random.default_rng(3)
    answers, truth = draw.normal(size=(200, 1)), draw.normal(size=200)
    sides = [Side([{}] * 200, Answered(answers * factor, np.zeros(200, np.int64), truth * factor)) for factor in (1, 1 + shift)]
    found = explain([], *sides, realised(measures.mae), lambda _: sides[0].answered)
    assert found is not None
    assert (found.change, found.parts) == (0.0, [])
    assert found.std_error > 0


def test_a_metric_that_is_not_defined_has_no_causes(worlds: list[World]) -> None:
    none = Answered(np.full((3, 2), 0.5), np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64))
    side = Side([{}, {}, {}], none)
    assert explain([], side, side, realised(measures.auc), worlds[0].answer) is None


@pytest.mark.parametrize(
    ("chosen", "own", "wanted"),
    [
        ([0, 0, 1, 1], 0.5, None),
        ([0, 1, 1, 1], 0.5, 0.3),
        ([0, 0, 0, 0], 0.5, math.inf),
        ([1, 1, 1, 1], 0.5, 0.2),
        ([0, 1, 0, 1], 0.5, None),
    ],
)
def test_the_threshold_is_that_by_which_answers_were_decided(chosen: list[int], own: float, wanted: float | None) -> None:
    """Where none was, the model's own: the last row of the table has two."""
    second = np.array([0.2, 0.3, 0.6, 0.9])
    assert task.threshold_of(Answered(np.column_stack([1 - second, second]), np.array(chosen)), own) == wanted


def test_an_empty_period_is_said_before_a_metric_that_cannot_be_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes of the later period would be no help."""
    answers: Any = SimpleNamespace(
        estimation=SimpleNamespace(calibration=None, errors=None),
        judge=SimpleNamespace(is_answer=lambda output: output is not None),
        answered=lambda rows, outputs: Answered(np.zeros((len(rows), 1)), np.zeros(len(rows), dtype=np.int64)),
    )
    monkeypatch.setattr(task, "_Model", lambda request: answers)
    told: Any = SimpleNamespace(progress=lambda *said: None)
    rows = tmp_path / "rows"
    for sides, reason in (([1], "too_few_rows_to_explain"), ([0, 1], "metric_not_estimable")):
        rows.write_text("".join(f'[{side},{{}},{{"prediction":1}},null]\n' for side in sides for _ in range(100)))
        with pytest.raises(Conflict) as refused:
            task.run({"metric": "r2", "rows": str(rows)}, told)
        assert refused.value.message.reason == reason


def test_a_shift_of_labels_is_told_apart_from_many_columns() -> None:
    """Of 60 columns only those that have moved most are tried by themselves."""
    from coreplex.engines.metric_change import explain as module
    from coreplex.engines.metric_change.causes import MOST_COMPARED, Change

    tried = []

    class Game:
        def values(self, changes: list[Change]) -> np.ndarray:
            tried.extend(changes)
            return np.array([0.0, *(one.moved for one in changes)])

    shifts = [Change(Cause.feature_shift, (f"c{number}",), moved=float(number)) for number in range(60)]
    found = module._ranked(Game(), [*shifts, Change(Cause.label_shift)])  # type: ignore[arg-type]
    assert len(tried) == MOST_COMPARED
    assert [one.features for one in found[:5]] == [(f"c{number}",) for number in (59, 58, 57, 56, 55)]
    assert [one.cause for one in found[5:]] == [Cause.label_shift, Cause.other_features]
    assert len(found[-1].features) == 55


def test_of_wide_rows_and_many_classes_fewer_are_taken() -> None:
    from coreplex.metric_change.work import most_rows
    from coreplex.monitoring.table import Basis

    assert most_rows(20, 2, Basis.estimated) == most_rows(20, 100, Basis.realised) == 5_000
    assert most_rows(2_000, 2, Basis.realised) == 1_000
    assert most_rows(20, 100, Basis.estimated) == 400
    assert most_rows(20_000, 1_000, Basis.estimated) == 200
