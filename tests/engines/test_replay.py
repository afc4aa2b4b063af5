"""Replays in the engine: answers are those of serving, what is compared is what a recount says, the bound keeps its promise."""

from math import exp, gamma, isfinite, log
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from coreplex.engines.replay import task
from coreplex.engines.replay.net_gain import Losses, gain, margin_of
from coreplex.engines.replay.pairs import Candidate, Logged, paired
from coreplex.engines.replay.slices import SliceKind, slices
from coreplex.engines.replay.verdict import ReplayVerdict, verdict
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.sequential.paired_gain import LEAST_NUMBERS, boundary, class_gain, number_gain, spent
from coreplex.engines.sequential.sample import Sample
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Message
from tests.benchmarks.replay import PASSES, cases, ever, measured
from tests.engines.scoring_samples import COLUMNS, Made, column, frame, manifest, member, target

ROWS = frame(300)
TASKS = ("binary", "multiclass", "regression")


def _bytes(name: str) -> bytes:
    kind, family = name.split()
    return bundle.dumps(manifest(ROWS, kind), [member(ROWS, target(ROWS, kind), kind, family)])


MODELS = Made([f"{kind} {family}" for kind in TASKS for family in ("lightgbm", "linear")], _bytes)
REQUEST = {"reasons": None, "threshold": None, "odd": [], "columns": ["plan", "age"], "confidence": 0.95, "margin": None}


class Told:
    def __init__(self) -> None:
        self.warnings: list[Message] = []

    def progress(self, fraction: float, message: str = "") -> None:
        assert 0 <= fraction <= 1

    def warn(self, message: Message) -> None:
        self.warnings.append(message)


def as_sent(table: pl.DataFrame) -> list[dict[str, Any]]:
    return [
        {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
        for row in table.to_dicts()
    ]


def sent(count: int) -> list[dict[str, Any]]:
    return as_sent(frame(count, seed=7))


def replayed(folder: Path, kind: str, rows: list[Any], is_early: bool = False, **more: Any) -> tuple[dict[str, Any], Told]:
    """A replay by the linear model. rows: (inputs, answer, outcome, unit)."""
    path, model, told = folder / "rows", folder / "model", Told()
    model.write_bytes(MODELS[f"{kind} linear"])
    lines = [
        [f"request-{place // 10}", place % 10, inputs, answer["prediction"], answer.get("probabilities"), outcome, unit, is_early]
        for place, (inputs, answer, outcome, unit) in enumerate(rows)
    ]
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    files = {"bundle": str(model), "sha256": None, "rows": str(path), "row_count": len(rows)}
    found = task.run({**REQUEST, **files, **more}, told)  # type: ignore[arg-type]
    orjson.loads(orjson.dumps(found))
    return found, told


@pytest.mark.parametrize("kind", TASKS)
def test_what_is_found_is_what_a_recount_says(tmp_path: Path, kind: str) -> None:
    size = 800 if kind == "regression" else 500
    inputs = sent(size)
    served, candidate = (Scorer.load(MODELS[f"{kind} {family}"]) for family in ("lightgbm", "linear"))
    given, mine = served.predict_rows(inputs)[0], candidate.predict_rows(inputs)[0]
    is_class = kind != "regression"
    outcomes = [one["prediction"] if place % 3 else None for place, one in enumerate(candidate.predict_rows(sent(size)[::-1])[0])]
    rows = list(zip(inputs, given, outcomes, map(str, range(size)), strict=True))
    found, told = replayed(tmp_path, kind, rows)
    known = [place for place, outcome in enumerate(outcomes) if outcome is not None]

    def loss(answers: list[Any]) -> float:
        pairs = [(answers[place]["prediction"], outcomes[place]) for place in known]
        return float(np.mean([a != b if is_class else abs(a - b) for a, b in pairs]))

    assert (found["row_count"], found["failed_row_count"], found["outcome_count"]) == (size, 0, len(known))
    assert found["served_loss"] == pytest.approx(loss(given))
    assert found["candidate_loss"] == pytest.approx(loss(mine))
    assert found["gain"] == pytest.approx(loss(given) - loss(mine))
    assert found["gain_lower"] < found["gain"] < found["gain_upper"]
    apart = [abs(a["prediction"] - b["prediction"]) for a, b in zip(given, mine, strict=True)] if not is_class else []
    alike = [a["prediction"] == b["prediction"] for a, b in zip(given, mine, strict=True)]
    report = found["report"]
    if is_class:
        assert found["agreement"] == pytest.approx(np.mean(alike))
        assert sum(one["rows"] for one in report["changes"]) == size
        right = next(one for one in report["metrics"] if one["name"] == "accuracy")
        assert (right["served"], right["candidate"]) == (pytest.approx(1 - loss(given)), pytest.approx(1 - loss(mine)))
    else:
        assert report["differences"]["mean"] == pytest.approx(np.mean(apart))
        error = next(one for one in report["metrics"] if one["name"] == "mae")
        assert (error["served"], error["candidate"]) == (pytest.approx(loss(given)), pytest.approx(loss(mine)))
        assert report["disagreements"][0]["distance"] == pytest.approx(max(apart))
    assert told.warnings == []
    for name in ("plan", "age"):
        assert sum(one["rows"] for one in report["slices"] if one["column"] == name) == size
        assert sum(one["outcomes"] for one in report["slices"] if one["column"] == name) == len(known)


def test_of_too_few_numbers_it_is_said_how_many_it_takes(tmp_path: Path) -> None:
    rows = [(row, {"prediction": 1.0}, 2.0, str(place)) for place, row in enumerate(sent(100))]
    found, told = replayed(tmp_path, "regression", rows * 6)
    assert (found["verdict"], found["unit_count"]) == (ReplayVerdict.inconclusive, 100)
    assert [one.reason for one in told.warnings] == ["replay_of_few_units"]
    assert "The 600 rows with outcomes are 100 different ones: of numbers nothing is said below 500" in told.warnings[0]


def test_rows_of_one_unit_count_once(tmp_path: Path) -> None:
    inputs = sent(100)
    answers = Scorer.load(MODELS["binary lightgbm"]).predict_rows(inputs)[0]
    rows = [(row, answer, "yes", str(place)) for place, (row, answer) in enumerate(zip(inputs, answers, strict=True))]
    once, _ = replayed(tmp_path, "binary", rows)
    often, told = replayed(tmp_path, "binary", rows * 5)
    assert told.warnings == [], "of classes the first says something"
    assert (often["outcome_count"], often["unit_count"]) == (500, once["unit_count"])
    assert [often[name] for name in ("gain", "gain_lower", "gain_upper")] == pytest.approx(
        [once[name] for name in ("gain", "gain_lower", "gain_upper")]
    )


ODD = [{"town": {"a": 1}}, {"amount": "1e999"}, {"age": [1, 2]}, {"plan": None}, {"key": 10**30}, {"nothing": "known"}, {"": ""}]


@pytest.mark.parametrize("kind", TASKS)
def test_whatever_rows_hold_they_are_answered_or_counted(tmp_path: Path, kind: str) -> None:
    answer = Scorer.load(MODELS[f"{kind} lightgbm"]).predict_row(sent(1)[0])[0]
    outcome = 1.5 if kind == "regression" else "a class that nobody knows"
    rows = [(inputs, answer, outcome, str(place)) for place, inputs in enumerate(orjson.loads(orjson.dumps(ODD[:4] + ODD[5:])))]
    bare = [({**sent(1)[0]}, {"prediction": answer["prediction"]}, None, "bare")]
    found, told = replayed(tmp_path, kind, rows + bare, columns=["town", "plan", "twon"])
    assert (found["row_count"], found["failed_row_count"]) == (7, 2)
    (failure,) = found["report"]["failures"]
    assert (failure["reason"], failure["rows"]) == ("no_column_known", 2)
    few = [False] if kind == "regression" else []
    assert ["'town'" in one for one in told.warnings] == [True, *few], "the nearest name is said"
    if kind != "regression":
        assert (found["served_loss"], found["candidate_loss"]) == (1.0, 1.0), "who does not know the class is wrong"
    strict, _ = replayed(tmp_path, kind, rows + bare, odd=["missing_column", "unreadable_value"])
    assert strict["failed_row_count"] == 6


def test_the_farthest_numbers_have_a_distance(tmp_path: Path) -> None:
    rows = [(row, {"prediction": (-1) ** place * 1.7e308}, 1e100, str(place)) for place, row in enumerate(sent(600))]
    found, _ = replayed(tmp_path, "regression", rows)
    assert all(one["distance"] == pytest.approx(1e100) for one in found["report"]["disagreements"])
    assert (found["served_loss"], found["candidate_loss"]) == (pytest.approx(1e100), pytest.approx(1e100))
    assert -2e100 < found["gain_lower"] < found["gain"] < found["gain_upper"] < 2e100


def test_no_rows_and_no_outcomes_come_to_nothing(tmp_path: Path) -> None:
    found, _ = replayed(tmp_path, "binary", [])
    assert (found["row_count"], found["agreement"], found["verdict"]) == (0, None, ReplayVerdict.no_outcomes)
    assert found["report"]["differences"]["mean"] is None


@pytest.mark.parametrize("kind", TASKS)
def test_rows_that_a_candidate_has_learned_from_are_found(tmp_path: Path, kind: str) -> None:
    """By their values as it sees them, and their outcome, whether they come from a stored table or as JSON."""
    y = target(ROWS, kind)
    labels = manifest(ROWS, kind).classes
    outcomes = [labels[code] for code in y] if labels else [float(value) for value in y]
    kept = tmp_path / "table"
    ROWS.with_columns(left=pl.Series(outcomes)).write_parquet(kept)
    learned = TableSchema((*COLUMNS, column("left", "categorical" if labels else "float")))
    answer = Scorer.load(MODELS[f"{kind} lightgbm"]).predict_row(sent(1)[0])[0]
    other = {"no": "yes", "yes": "no", "low": "mid", "mid": "high", "high": "low"}
    rows = [*zip(as_sent(ROWS), outcomes, strict=True)][:100]
    rows += [(row, other[said] if labels else said + 1) for row, said in rows[:50]]
    rows += [(row, "yes" if labels else 1.0) for row in sent(50)]
    given = [(row, answer, outcome, str(place)) for place, (row, outcome) in enumerate(rows)]
    more = {"table": str(kept), "schema": learned.to_json()}
    found, _ = replayed(tmp_path, kind, given, is_early=True, **more)
    assert (found["early_outcome_count"], found["learned_row_count"]) == (200, 100)
    later, _ = replayed(tmp_path, kind, given, **more)
    assert (later["early_outcome_count"], later["learned_row_count"]) == (0, 0)


# The bound


def test_the_boundary_is_where_the_mixture_reaches_its_level() -> None:
    """The mixture of exp(λ s - ψ(λ) v) over a gamma distribution of 1 - λ, cut at 1: worked out by quadrature."""
    alpha, squares = 0.025, 40.0
    distance = boundary(squares, alpha)
    wanted = -2 * log(2 * alpha)
    shape = 500 / (wanted + log(1 + wanted))

    def weight(x: float) -> float:
        return exp((shape - 1) * log(x) - shape * x) * exp(distance * (1 - x) + squares * (log(x) + 1 - x))

    def prior(x: float) -> float:
        return exp((shape - 1) * log(x) - shape * x)

    mixture = integrate.quad(weight, 1e-9, 1, limit=500)[0] / integrate.quad(prior, 1e-9, 1, limit=500)[0]
    assert mixture == pytest.approx(1 / alpha, rel=1e-6)
    assert isfinite(gamma(shape))


@given(st.floats(0, 1e6), st.floats(1e-5, 0.2))
def test_a_boundary_grows_with_the_squares_and_with_certainty(squares: float, alpha: float) -> None:
    here = boundary(squares, alpha)
    assert 0 < here < boundary(squares * 1.1 + 1, alpha)
    assert squares < 100 or here < boundary(squares, alpha / 2), "it is tuned for other certainties elsewhere"


def test_looks_together_spend_no_more_than_there_is() -> None:
    assert sum(spent(0.05, look) for look in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=300))
def test_an_interval_of_classes_holds_its_estimate_and_stays_within_one(gains: list[float]) -> None:
    found = class_gain(Sample(len(gains), sum(gains), sum(one * one for one in gains)), 0.95)
    assert found is not None
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    turned = class_gain(Sample(len(gains), -sum(gains), sum(one * one for one in gains)), 0.95)
    assert turned is not None
    assert (turned.lower, turned.upper) == (pytest.approx(-found.upper), pytest.approx(-found.lower))


@given(st.floats(1e-6, 1e9), st.integers(0, 2**32 - 1))
def test_the_unit_of_numbers_matters_nothing(unit: float, seed: int) -> None:
    gains = np.random.default_rng(seed).normal(size=600)

    def found(scale: float) -> Any:
        scaled = gains * scale
        return number_gain(Sample(600, float(scaled.sum()), float(np.square(scaled).sum())), 5 * scale, 0.95)

    assert np.array(found(unit)) / unit == pytest.approx(np.array(found(1.0)), rel=1e-6)


def test_models_that_never_differ_are_not_worse_once_there_is_enough() -> None:
    for is_class, errors in ((True, np.zeros), (False, np.ones)):
        for size, said in ((30, ReplayVerdict.inconclusive), (5_000, ReplayVerdict.not_worse)):
            losses = Losses(np.arange(size), errors(size), errors(size), np.arange(size), 1.0)
            told = gain(losses, is_class, 0.95)
            lower, upper = (None, None) if told is None else (told.lower, told.upper)
            assert verdict(lower, upper, margin_of(losses, is_class)) is said


@pytest.mark.parametrize("reach", [0.0, 1.0])
def test_few_numbers_say_nothing_however_good(reach: float) -> None:
    """Not that both are always right either."""
    assert number_gain(Sample(LEAST_NUMBERS - 1, 0.0, 0.0), reach, 0.95) is None
    assert number_gain(Sample(LEAST_NUMBERS, 0.0, 0.0), reach, 0.95) is not None


def test_of_a_slices_values_no_more_is_kept_than_tells_them_apart(tmp_path: Path) -> None:
    answer = Scorer.load(MODELS["binary lightgbm"]).predict_row(sent(1)[0])[0]
    asked = [{**sent(1)[0], "plan": said} for said in ("x" * 10**5, ["y"] * 10**4, 1.5, True, None)]
    lines = [Logged("r", place, row, answer["prediction"], None, None, str(place)) for place, row in enumerate(asked)]
    (pairs,) = paired(Candidate(Scorer.load(MODELS["binary linear"])), iter(lines), ["plan"], 10)
    assert pairs.values["plan"] == ["x" * 100, str(["y"] * 100)[:100], 1.5, True, None]


def test_what_a_verdict_says() -> None:
    assert verdict(None, None, 0.1) is ReplayVerdict.inconclusive
    assert [
        verdict(lower, upper, 0.1) for lower, upper in ((0.1, 0.2), (-0.05, 0.2), (-0.3, -0.2), (-0.3, 0.2), (-0.05, -0.01))
    ] == [
        *(ReplayVerdict.better, ReplayVerdict.not_worse, ReplayVerdict.worse, ReplayVerdict.inconclusive, ReplayVerdict.not_worse)
    ]


def test_equal_challengers_do_not_pass_as_better_and_worse_ones_are_stopped() -> None:
    """A small one of `tests/benchmarks/replay.py`."""
    for shift, wanted in ((0.0, {ReplayVerdict.better}), (0.02, PASSES)):
        for case in cases(shift)[1::4]:
            found = measured(case, 40, seed=3)
            for name in ("replayed daily", "from 10 starts"):
                assert ever(found[name], wanted) <= 0.05, (case.name, shift, name)


# Slices

CELL = st.one_of(st.none(), st.just(""), st.booleans(), st.integers(-5, 5), st.floats(), st.text(max_size=3), st.just("12.5"))


@settings(max_examples=200)
@given(st.lists(CELL | st.lists(st.integers(), max_size=2), max_size=60))
def test_each_row_is_in_one_slice(values: list[Any]) -> None:
    made = slices("column", values)
    if made:
        assert (np.sum([one.rows for one in made], axis=0) == 1).all()
        assert all(one.rows.any() for one in made)


def test_a_blank_text_is_missing_and_numbers_in_texts_are_numbers() -> None:
    """As telephone companies leave the charges of new customers: a blank, among numbers as texts."""
    made = slices("charges", [*(f"{number}.5" for number in range(100)), " ", ""])
    assert [one.kind for one in made] == [SliceKind.range] * 4 + [SliceKind.missing]
    assert int(made[-1].rows.sum()) == 2


def test_numbers_are_cut_at_their_quartiles_and_others_by_their_commonest_values() -> None:
    made = slices("n", [*range(100), None])
    assert [(one.kind, int(one.rows.sum())) for one in made] == [
        *((SliceKind.range, size) for size in (24, 25, 25, 26)),
        (SliceKind.missing, 1),
    ]
    made = slices("c", [f"v{place % 15}" for place in range(150)])
    assert [one.kind for one in made] == [SliceKind.value] * 10 + [SliceKind.other]
    assert slices("same", ["a"] * 9) == []
    assert {one.value for one in slices("few", [1, 2, 2, 1])} == {"1", "2"}
