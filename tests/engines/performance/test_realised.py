"""How right answers were: rows as the log has them, and metrics that say what scikit-learn says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from coreplex.engines.performance.realised import Judge, better, worse_by
from coreplex.engines.performance.spelling import spelled

BINARY = Judge.of("classification", ["no", "yes"])


def answer(p: float, threshold: float = 0.5) -> dict[str, Any]:
    chosen = "yes" if p >= threshold else "no"
    return {"prediction": chosen, "probability": max(p, 1 - p), "probabilities": {"no": 1 - p, "yes": p}}


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans(), st.booleans()), max_size=60))
def test_rows_with_outcomes_are_judged_as_scikit_learn_does(rows: list[tuple[float, bool, bool]]) -> None:
    outputs = [answer(p) for p, _, _ in rows]
    outcomes = [("yes" if true else "no") if known else None for _, true, known in rows]
    found = BINARY.rows(outputs, outcomes)
    assert found.places.tolist() == [place for place, (_, _, known) in enumerate(rows) if known]
    told = BINARY.metrics(found)
    assert tuple(told) == BINARY.names
    if not len(found):
        assert set(told.values()) == {None}
        return
    y, p = found.y, found.p[:, 1]
    assert told["accuracy"] == pytest.approx(sklearn.accuracy_score(y, p >= 0.5))
    assert told["logloss"] == pytest.approx(sklearn.log_loss(y, p, labels=[0, 1]))
    if len(set(y.tolist())) == 2:
        assert told["auc"] == pytest.approx(sklearn.roc_auc_score(y, p))
        assert told["f1"] == pytest.approx(sklearn.f1_score(y, p >= 0.5, zero_division=0))
    else:
        assert told["auc"] is None


def test_a_class_the_model_does_not_know_was_answered_wrongly() -> None:
    judge = Judge.of("classification", ["a", "b", "c"])
    output = {"prediction": "a", "probabilities": {"a": 0.6, "b": 0.3, "c": 0.1}}
    rows = judge.rows([output] * 4, ["a", "b", "d", "a"])
    found = judge.metrics(rows)
    assert (rows.unknown, found["accuracy"]) == (1, 0.5)
    assert found["logloss"] == pytest.approx(-(2 * np.log(0.6) + np.log(0.3)) / 3)
    assert judge.metrics(judge.rows([output], ["d"]))["logloss"] is None


def test_what_cannot_be_judged_is_left_out() -> None:
    stranger = {"prediction": "maybe", "probabilities": {"maybe": 1.0}}
    assert len(BINARY.rows([None, {"prediction": "yes"}, stranger, answer(0.4)], ["yes", "yes", "maybe", None])) == 0
    numbers = Judge.of("regression", [])
    outputs = [{"prediction": 1.0}, {"prediction": None}, {"prediction": 2}, {"prediction": 3.5}]
    rows = numbers.rows(outputs, [2.0, 1.0, "2", 3])
    assert rows.places.tolist() == [0, 3]
    assert numbers.metrics(rows)["mae"] == pytest.approx(0.75)


@pytest.mark.parametrize(("one", "other"), [(True, "True"), ("true", True), (1, 1.0), ("1", 1), ("False", "false")])
def test_spellings_of_a_class(one: Any, other: Any) -> None:
    assert spelled(one) == spelled(other)


def test_answers_keep_the_threshold_they_were_given_with() -> None:
    rows = BINARY.rows([answer(0.3, 0.2), answer(0.3, 0.5)], ["yes", "no"])
    assert BINARY.metric("accuracy", rows) == 1.0


def test_the_standard_error_is_that_of_a_share() -> None:
    draw = np.random.default_rng(0)
    outputs = [answer(p) for p in draw.uniform(size=4000)]
    outcomes = ["yes" if draw.uniform() < one["probabilities"]["yes"] else "no" for one in outputs]
    rows = BINARY.rows(outputs, outcomes)
    share = BINARY.metric("accuracy", rows)
    assert share is not None
    assert BINARY.error("accuracy", rows) == pytest.approx(np.sqrt(share * (1 - share) / 4000), rel=0.4)
    assert BINARY.error("accuracy", rows.take(np.arange(39))) is None
    assert BINARY.error("auc", rows) is not None


def test_directions() -> None:
    assert better("auc", 0.8, 0.9)
    assert better("rmse", 2.0, 1.0)
    assert worse_by("accuracy", 0.9, 0.8) == pytest.approx(0.1)
    assert worse_by("mae", 1.0, 1.5) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100) | st.integers(-(2**70), 2**70)), max_size=60))
def test_numbers_as_large_as_they_may_be_have_figures_or_none(pairs: list[tuple[float, float]]) -> None:
    numbers = Judge.of("regression", [], 0.5)
    rows = numbers.rows([{"prediction": answer} for answer, _ in pairs], [outcome for _, outcome in pairs])
    assert len(rows) == len(pairs)
    for value, error in numbers.figures(rows).values():
        assert value is None or np.isfinite(value)
        assert error is None or np.isfinite(error)
