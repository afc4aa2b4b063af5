"""Metrics against scikit-learn, curves against their definitions, the ensemble against its members."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from coreplex.engines.automl import stacking
from coreplex.engines.automl.evaluation import curves, metrics
from coreplex.engines.automl.evaluation.measures import Predictions


def sample(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), draw.integers(0, k, n)])
    raw = np.round(draw.random((len(y), k)), 2) + 0.01 + 0.5 * np.eye(k)[y] * draw.random((len(y), 1))
    return y, raw / raw.sum(axis=1, keepdims=True)


@settings(deadline=None, max_examples=40)
@given(st.integers(10, 200), st.integers(2, 5), st.integers(0, 10_000))
def test_classification_metrics_agree_with_scikit_learn(n: int, k: int, seed: int) -> None:
    y, p = sample(n, k, seed)
    found = metrics.evaluate("binary" if k == 2 else "multiclass", y, p)
    said = metrics.decided(p)
    auc = reference.roc_auc_score(y, p[:, 1]) if k == 2 else reference.roc_auc_score(y, p, multi_class="ovr")
    aucpr = reference.average_precision_score(y if k == 2 else np.eye(k)[y], p[:, 1] if k == 2 else p)
    assert found["auc"] == pytest.approx(auc)
    assert found["aucpr"] == pytest.approx(aucpr)
    assert found["logloss"] == pytest.approx(reference.log_loss(y, p))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(y, said))
    assert found["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(y, said))
    assert found["mean_per_class_error"] == pytest.approx(1 - reference.balanced_accuracy_score(y, said))
    assert found["mcc"] == pytest.approx(reference.matthews_corrcoef(y, said))
    assert found["f1"] == pytest.approx(reference.f1_score(y, said, average="binary" if k == 2 else "macro"))


@settings(deadline=None, max_examples=40)
@given(st.integers(10, 200), st.integers(0, 10_000))
def test_regression_metrics_agree_with_scikit_learn(n: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    y = draw.gamma(2.0, size=n)
    p = np.abs(y + draw.normal(size=n))
    found = metrics.evaluate("regression", y, p[:, None])
    assert found["rmse"] == pytest.approx(reference.root_mean_squared_error(y, p))
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(y, p))
    assert found["r2"] == pytest.approx(reference.r2_score(y, p))
    assert found["rmsle"] == pytest.approx(reference.root_mean_squared_log_error(y, p))
    assert found["deviance"] == found["mse"]
    assert found["mape"] == pytest.approx(reference.mean_absolute_percentage_error(y, p))
    assert found["wape"] == pytest.approx(np.abs(y - p).sum() / y.sum())
    quantile = metrics.evaluate("regression", y, p[:, None], quantile=0.8)["pinball"]
    assert quantile == pytest.approx(reference.mean_pinball_loss(y, p, alpha=0.8))
    assert "pinball" not in found


@settings(deadline=None, max_examples=30)
@given(st.integers(5, 60), st.integers(2, 4), st.integers(0, 10_000))
def test_a_weight_is_as_good_as_a_repeated_row(n: int, k: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    y, p = sample(n, k, seed)
    weights = draw.integers(0, 4, (3, len(y))).astype(np.float64)
    for name, measure in metrics.of_task("binary" if k == 2 else "multiclass").items():
        for value, one in zip(measure(Predictions(y, p, metrics.decided(p)), weights), weights, strict=True):
            rows = np.repeat(np.arange(len(y)), one.astype(int))
            if len(rows):
                again = measure(Predictions(y[rows], p[rows], metrics.decided(p[rows])), np.ones((1, len(rows))))[0]
                assert value == pytest.approx(again, nan_ok=True), name


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(3, 40), st.integers(1, 20), st.integers(0, 10_000))
def test_ranks_of_many_classes_and_equal_scores(n: int, k: int, steps: int, seed: int) -> None:
    """Scores of few values, and classes that do not occur; counted once, or under weights of one beside others."""
    draw = np.random.default_rng(seed)
    y, p = draw.integers(0, k, n), draw.integers(0, steps + 1, (n, k)) / steps
    there = [c for c in np.unique(y) if not (y == c).all()]
    judged, weights = Predictions(y, p, y), np.vstack([np.ones(n), draw.poisson(1.0, (3, n))])
    for name, score in (("auc", reference.roc_auc_score), ("aucpr", reference.average_precision_score)):
        measure = metrics.of_task("multiclass")[name]
        expected = np.mean([score(y == c, p[:, c]) for c in there]) if there else np.nan
        assert measure(judged, np.ones((1, n)))[0] == pytest.approx(expected, nan_ok=True)
        assert measure(judged, weights)[0] == pytest.approx(expected, nan_ok=True)


def test_percentage_errors_leave_zeros_out() -> None:
    y, p = np.array([0.0, 0.0, 10.0, -20.0]), np.array([[5.0], [0.0], [11.0], [-22.0]])
    found = metrics.evaluate("regression", y, p)
    assert found["mape"] == pytest.approx(0.1)
    assert found["smape"] == pytest.approx((2 + 0 + 2 / 21 + 4 / 42) / 4)
    assert found["wape"] == pytest.approx(8 / 30)
    assert metrics.evaluate("regression", np.zeros(4), p)["mape"] is None
    assert metrics.evaluate("regression", np.zeros(4), p)["wape"] is None


def test_what_is_not_defined_is_none_and_ranks_last() -> None:
    y, p = np.zeros(5, dtype=int), np.full((5, 2), 0.5)
    assert metrics.evaluate("binary", y, p)["auc"] is None
    assert metrics.evaluate("regression", np.array([-1.0, 2.0]), np.zeros((2, 1)))["rmsle"] is None
    assert metrics.signed("auc", None) == -np.inf
    assert metrics.signed("rmse", 2.0) == -2.0
    assert metrics.signed("auc", 0.7) == 0.7


def test_automatic_sort_metric() -> None:
    assert [metrics.sort_metric("AUTO", t) for t in ("binary", "multiclass", "regression")] == ["auc", "logloss", "rmse"]
    assert metrics.sort_metric("AUTO", "regression", quantile=0.9) == "pinball"
    assert metrics.sort_metric("deviance", "binary") == "logloss"
    assert metrics.sort_metric("RMSE", "regression") == "rmse"


def test_curves_are_small_json_and_true() -> None:
    y, p = sample(5_000, 2, 1)
    found = orjson.loads(orjson.dumps(curves.classification(y, p, ["No", "Yes"])))
    roc = found["roc"][0]
    assert roc["label"] == "Yes"
    assert len(roc["fpr"]) <= curves.POINTS
    assert (roc["fpr"][0], roc["tpr"][0], roc["fpr"][-1], roc["tpr"][-1]) == (0, 0, 1, 1)
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(metrics.function("binary", "auc")(y, p), abs=2e-3)
    assert len(found["pr"][0]["recall"]) <= curves.POINTS
    assert found["confusion_matrix"]["labels"] == ["No", "Yes"]
    assert np.sum(found["confusion_matrix"]["matrix"]) == len(y)
    best = found["thresholds"]["max_f1"]
    assert best["value"] == pytest.approx(reference.f1_score(y, p[:, 1] >= best["threshold"]))
    mcc = found["thresholds"]["max_mcc"]
    assert mcc["value"] == pytest.approx(reference.matthews_corrcoef(y, p[:, 1] >= mcc["threshold"]))


def test_many_classes_are_folded_into_other() -> None:
    y, p = sample(500, 30, 2)
    found = curves.classification(y, p, [f"c{i}" for i in range(30)])
    assert found["confusion_matrix"]["labels"][-1] == "(other)"
    assert np.sum(found["confusion_matrix"]["matrix"]) == len(y)


def test_residuals() -> None:
    draw = np.random.default_rng(0)
    y = draw.normal(size=1_000)
    found = orjson.loads(orjson.dumps(curves.regression(y, y[:, None] + draw.normal(size=(1_000, 1)))))
    assert sum(found["residuals"]["histogram"]["counts"]) == 1_000
    assert len(found["predicted_actual"]["actual"]) == curves.POINTS
    assert found["intervals"]["0.9"] == pytest.approx(1.645, abs=0.2)


def rmse(y: np.ndarray, p: np.ndarray) -> float:
    return metrics.signed("rmse", metrics.function("regression", "rmse")(y, p))


@settings(deadline=None, max_examples=20)
@given(st.integers(30, 300), st.integers(1, 6), st.integers(0, 1_000))
def test_the_ensemble_is_never_worse_than_its_best_member(n: int, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    y = draw.normal(size=n)
    members = [(y + draw.normal(size=n) * s)[:, None] for s in draw.random(count) + 0.2]
    weights = stacking.select(members, y, rmse, seed=seed)
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0).all()
    assert rmse(y, stacking.averaged(members, weights)) >= max(rmse(y, p) for p in members) - 1e-12


def test_independent_mistakes_are_averaged() -> None:
    draw = np.random.default_rng(0)
    y = draw.normal(size=2_000)
    members = [(y + draw.normal(size=2_000))[:, None] for _ in range(4)]
    weights = stacking.select(members, y, rmse, seed=0)
    assert (weights > 0.1).all()
    assert -rmse(y, stacking.averaged(members, weights)) < 0.55


def test_no_interval_ends_beyond_the_range_of_its_metric() -> None:
    ends = {
        name: (metrics.within_range(name, -9.0), metrics.within_range(name, 9.0))
        for name in ("rmse", "auc", "mcc", "r2", "smape")
    }
    assert ends == {"rmse": (0.0, 9.0), "auc": (0.0, 1.0), "mcc": (-1.0, 1.0), "r2": (-9.0, 1.0), "smape": (0.0, 2.0)}
    assert metrics.within_range("precision", 1.2) == 1.0
