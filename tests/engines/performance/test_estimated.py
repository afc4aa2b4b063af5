"""Estimates without outcomes: numbers from closed forms, and outcomes that come true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreplex.engines.estimation.class_calibration import ClassCalibration, calibration_error
from coreplex.engines.performance.estimated import ByConfidence, ByErrors, expectations
from coreplex.engines.performance.realised import Judge, Rows

probability = st.floats(0.01, 0.99)


@given(st.lists(probability, min_size=2, max_size=40))
def test_of_two_classes_as_the_closed_forms_say(chances: list[float]) -> None:
    q = np.array(chances)
    p = np.column_stack([1 - q, q])
    says = (q >= 0.5).astype(np.int64)
    found = expectations(p, p, says)
    tp, fp = q[says == 1].sum(), (1 - q)[says == 1].sum()
    fn, tn = q[says == 0].sum(), (1 - q)[says == 0].sum()
    assert found["accuracy"] == pytest.approx(np.maximum(q, 1 - q).mean())
    assert found["f1"] == pytest.approx(tp / (tp + 0.5 * (fp + fn)))
    assert found["precision"] == pytest.approx(tp / (tp + fp) if tp + fp else 0.0)
    assert found["recall"] == pytest.approx(tp / (tp + fn))
    assert found["specificity"] == pytest.approx(tn / (tn + fp))
    assert found["logloss"] == pytest.approx(-(q * np.log(q) + (1 - q) * np.log(1 - q)).mean())
    pairs = sum(q[i] * (1 - q[j]) * (0.5 if q[i] == q[j] else float(q[i] > q[j])) for i in range(len(q)) for j in range(len(q)))
    assert found["auc"] == pytest.approx(pairs / (q.sum() * (1 - q).sum()))


def test_of_more_classes_it_is_what_comes_true_on_average() -> None:
    draw = np.random.default_rng(1)
    q = draw.dirichlet([1.0, 2.0, 0.5], size=3000)
    says = q.argmax(axis=1).astype(np.int64)
    found = ByConfidence(q, q, says).figures(np.arange(len(q)))
    judge = Judge.of("classification", ["a", "b", "c"])
    seen: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(40):
        y = (draw.random((len(q), 1)) >= np.cumsum(q, axis=1)[:, :-1]).sum(axis=1)
        for name, value in judge.metrics(Rows(y, q, says, np.arange(len(q)))).items():
            if name in seen and value is not None:
                seen[name].append(value)
    for name, (value, error) in found.items():
        assert value == pytest.approx(np.mean(seen[name]), abs=0.004), name
        assert error == pytest.approx(np.std(seen[name]), rel=0.6), name


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_that_say_too_much_are_put_right(classes: int) -> None:
    draw = np.random.default_rng(2)
    q = draw.dirichlet(np.ones(classes), size=8000)
    y = (draw.random((len(q), 1)) >= np.cumsum(q, axis=1)[:, :-1]).sum(axis=1)
    bold = q**3 / (q**3).sum(axis=1, keepdims=True)
    fitted = ClassCalibration.fit(y, bold)
    kept = ClassCalibration.from_json(fitted.to_json())
    right = kept.apply(bold)
    assert np.allclose(right.sum(axis=1), 1.0)
    for code in range(1, classes):
        assert calibration_error(y == code, right[:, code]) < 0.3 * calibration_error(y == code, bold[:, code])
    assert np.array_equal(right, fitted.apply(bold))


def test_probabilities_that_are_right_stay() -> None:
    draw = np.random.default_rng(4)
    q = draw.uniform(size=20_000)
    p = np.column_stack([1 - q, q])
    fitted = ClassCalibration.fit((draw.uniform(size=len(q)) < q).astype(np.int64), p)
    assert np.abs(fitted.apply(p) - p).mean() < 0.02


def test_errors_of_numbers() -> None:
    absolute, squared = np.array([1.0, 3.0, 2.0]), np.array([1.0, 9.0, 5.0])
    found = ByErrors(absolute, squared, 0.6, 3.0).figures(np.array([True, True, False]))
    assert found["mae"] == pytest.approx((2.0, 0.6 / np.sqrt(2)))
    assert found["rmse"] == pytest.approx((np.sqrt(5), 3 / np.sqrt(2) / (2 * np.sqrt(5))))
    assert found["mse"].value == 5.0
    assert ByErrors(np.zeros(2), np.zeros(2), 0.0, 0.0).figures(np.arange(2))["rmse"] == (0.0, None)
