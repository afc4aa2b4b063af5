"""What is said of a model beyond one number: promises that hold, thresholds, intervals of predictions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from sklearn.linear_model import LogisticRegression, Ridge

from coreplex.engines.automl.evaluation import intervals, metrics
from coreplex.engines.automl.evaluation.measures import Predictions
from coreplex.engines.automl.options.config import parse_config
from coreplex.engines.scoring.calibration import Conformal
from coreplex.errors.tree import Invalid

SPLITS = 40


def drawn(kind: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, 6))
    signal = x[:, 0] + 0.6 * x[:, 1] - 0.5 * x[:, 2]
    noise = draw.normal(size=n)
    if kind == "binary":
        return x, (signal + noise > 1).astype(np.int64)
    return x, signal + 0.7 * noise * np.exp(0.5 * x[:, 4]) + 10


def promised(kind: str, seed: int) -> tuple[list[dict[str, float]], metrics.Metrics]:
    """The promise of a bag of five fold copies of a linear model, and its metrics on a holdout of a fifth."""
    n = 400
    x, y = drawn(kind, n + n // 5, seed)
    fit, p, bag, folds = np.arange(n), np.zeros((n, 1 + (kind == "binary"))), [], np.arange(n) % 5
    for fold in range(5):
        rows = fit[folds != fold]
        model = LogisticRegression() if kind == "binary" else Ridge()
        model.fit(x[rows], y[rows])
        say = model.predict_proba if kind == "binary" else lambda z, m=model: m.predict(z)[:, None]
        p[folds == fold] = say(x[fit[folds == fold]])
        bag.append(say(x[n:]))
    task = "binary" if kind == "binary" else "regression"
    per_fold = [metrics.evaluate(task, y[fit[folds == f]], p[folds == f]) for f in range(5)]
    judged = Predictions(y[:n], p, metrics.decided(p))
    told = intervals.intervals(judged, metrics.of_task(task), per_fold, seed, shift={}, gains={})
    return told, metrics.evaluate(task, y[n:], np.mean(bag, axis=0))


@pytest.mark.parametrize(("kind", "rank"), [("binary", "auc"), ("regression", "rmse")])
def test_nine_holdouts_in_ten_are_inside_what_was_promised(kind: str, rank: str) -> None:
    inside: dict[str, list[bool]] = {}
    for seed in range(SPLITS):
        told, found = promised(kind, seed)
        for entry in told:
            value = found[str(entry["metric"])]
            assert value is not None
            assert (entry["rows"], entry["holdout_rows"], entry["level"]) == (400, 80, 0.9)
            assert entry["low"] <= entry["value"] <= entry["high"]
            inside.setdefault(str(entry["metric"]), []).append(entry["low"] <= value <= entry["high"])
    assert set(inside) == set(metrics.of_task(kind))
    assert np.mean(inside[rank]) >= 0.875
    assert np.mean(list(inside.values())) >= 0.9


def test_rows_that_belong_together_make_the_promise_wider() -> None:
    draw = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 20)
    y = draw.normal(size=600)
    p = (y + draw.normal(size=30)[group] + 0.2 * draw.normal(size=600))[:, None]
    said, rmse = np.zeros(600, dtype=np.int64), {"rmse": metrics.of_task("regression")["rmse"]}
    alone, together = (
        intervals.intervals(Predictions(y, p, said, units), rmse, [], 0, shift={}, gains={})[0] for units in (None, group)
    )
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_the_best_of_equals_is_promised_less() -> None:
    """Twenty models that know nothing: the best of them looks better than chance, and the promise takes that back."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 200)
    rivals = []
    for _ in range(20):
        score = draw.random(200)
        p = np.column_stack([1 - score, score])
        rivals.append(Predictions(y, p, metrics.decided(p)))
    measure = metrics.of_task("binary")["auc"]
    best = max(float(measure(r, np.ones((1, 200)))[0]) for r in rivals)
    luck = intervals.optimism("auc", measure, rivals, 0)
    assert 0.4 * (best - 0.5) < luck < 1.6 * (best - 0.5)
    assert intervals.optimism("auc", measure, rivals[:1], 0) == 0


def test_rivals_far_behind_say_nothing_about_luck() -> None:
    """One model nearly exact, others with errors ten thousand times as large: nobody was chosen by luck."""
    draw = np.random.default_rng(3)
    y = draw.normal(size=400)
    errors = (1e-4, 1.0, 2.0, 3.0)
    rivals = [Predictions(y, (y + e * draw.standard_t(3, 400))[:, None], np.zeros(400, dtype=np.int64)) for e in errors]
    measure = metrics.of_task("regression")["rmse"]
    assert intervals.optimism("rmse", measure, rivals, 0) == 0
    told = intervals.intervals(rivals[0], {"rmse": measure}, [], 0, shift={"rmse": -0.01}, gains={})[0]
    assert told["low"] <= told["value"] <= told["high"]


def test_a_perfect_score_on_few_rows_is_no_promise_of_another() -> None:
    y = np.arange(60) % 2
    p = np.where(np.eye(2)[y] == 1, 0.95, 0.05)
    judged = Predictions(y, p, metrics.decided(p))
    told = {entry["metric"]: entry for entry in intervals.intervals(judged, metrics.of_task("binary"), [], 0, shift={}, gains={})}
    assert (told["accuracy"]["value"], told["accuracy"]["high"]) == (1.0, 1.0)
    assert told["accuracy"]["low"] <= 11 / 12
    assert told["auc"]["low"] < 1 == told["auc"]["high"]
    assert told["logloss"]["high"] > 2 * told["logloss"]["value"]


def test_a_percentage_error_beside_zeros_is_not_promised() -> None:
    draw = np.random.default_rng(0)
    for values, promised_ in ((draw.normal(size=500), False), (draw.gamma(4.0, size=500) + 1, True)):
        judged = Predictions(values, (values + 0.1 * draw.normal(size=500))[:, None], np.zeros(500, dtype=np.int64))
        told = intervals.intervals(judged, metrics.of_task("regression"), [], 0, shift={}, gains={})
        assert ("mape" in {entry["metric"] for entry in told}) is promised_
        assert {"wape", "smape", "rmse"} <= {entry["metric"] for entry in told}


def test_a_smaller_holdout_is_promised_less() -> None:
    entry = promised("binary", 0)[0][0]
    low, high = intervals.scaled(entry, 20)
    assert low < entry["low"] < entry["high"] < high <= 1
    assert intervals.scaled(entry, 10_000) == (entry["low"], entry["high"])


@settings(deadline=None, max_examples=30)
@given(st.integers(20, 300), st.integers(0, 10_000), st.sampled_from(metrics.THRESHOLD_METRICS))
def test_the_threshold_is_the_best_there_is(n: int, seed: int, metric: str) -> None:
    draw = np.random.default_rng(seed)
    y = np.concatenate([[0, 1], draw.integers(0, 2, n)])
    score = np.clip(0.3 * y + 0.7 * draw.random(n + 2).round(2), 0, 1)
    found = metrics.decide(y, score, metrics.Aim(metric), [])
    p = np.column_stack([1 - score, score])
    measure = {"f1": reference.f1_score, "mcc": reference.matthews_corrcoef, "accuracy": reference.accuracy_score}.get(
        metric, reference.balanced_accuracy_score
    )
    best = max(measure(y, score >= cut) for cut in (*np.unique(score), 1.01))
    assert measure(y, metrics.decided(p, found.threshold)) == pytest.approx(best, abs=1e-9)


def test_costs_move_the_threshold_to_where_theory_has_it() -> None:
    """With true probabilities the cheapest threshold is cost of a false positive / sum of both (Elkan 2001)."""
    draw = np.random.default_rng(0)
    score = draw.random(20_000)
    y = (draw.random(20_000) < score).astype(np.int64)
    aim = parse_config({"cost_false_negative": 4, "cost_false_positive": 1}).aim
    found = metrics.decide(y, score, aim, [np.arange(i, 20_000, 5) for i in range(5)])
    assert found.threshold == pytest.approx(0.2, abs=0.06)
    told = metrics.described_decision(found, y, aim, ["no", "yes"], {})
    assert (told["positive_class"], told["chosen_for"], told["expected"]) == ("yes", "cost", None)
    assert told["expected_cost"] == pytest.approx((told["false_positives"] + 4 * told["false_negatives"]) / 20_000)
    half = metrics.decide(y, score, None, [])
    assert half.threshold == 0.5
    assert told["expected_cost"] < np.mean(((half.predicted == 1) & (y == 0)) + 4.0 * ((half.predicted == 0) & (y == 1)))


def test_what_is_expected_of_a_threshold_is_not_praised_on_the_rows_that_chose_it() -> None:
    draw = np.random.default_rng(1)
    told, seen = [], []
    for _ in range(30):
        y, score = draw.integers(0, 2, 60), draw.random(60)
        found = metrics.decide(y, score, metrics.Aim("balanced_accuracy"), [np.arange(i, 60, 5) for i in range(5)])
        told.append(reference.balanced_accuracy_score(y, found.predicted))
        seen.append(reference.balanced_accuracy_score(y, score >= found.threshold))
    assert np.mean(seen) > 0.54
    assert np.mean(told) < 0.52


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("rows", [300, 5_000])
def test_intervals_hold_the_truth_as_often_as_asked(level: float, rows: int) -> None:
    """Errors that are skewed and grow with the prediction; coverage over fresh rows, and in each half of the predictions."""
    draw = np.random.default_rng(rows)
    said = draw.gamma(2.0, 2.0, 40_000)
    truth = said + said * (draw.gamma(2.0, 0.3, 40_000) - 0.6)
    kept = Conformal.from_json(Conformal.of_numbers(truth[:rows], said[:rows]).to_json())
    low, high = kept.bounds(said[rows:].tolist(), level)
    inside = (low <= truth[rows:]) & (truth[rows:] <= high)
    slack = 3 * np.sqrt(level * (1 - level) / rows) + 0.005
    assert level - slack <= inside.mean() <= level + slack + 0.02
    assert (low >= 0).all()
    large = said[rows:] > np.median(said)
    assert (high - low)[large].mean() > 1.8 * (high - low)[~large].mean()
    assert abs(inside[large].mean() - inside[~large].mean()) < 0.12


def test_sets_of_classes_hold_the_truth_as_often_as_asked() -> None:
    draw = np.random.default_rng(0)
    p = draw.dirichlet([1.0, 0.6, 0.4], 6_000)
    y = np.array([draw.choice(3, p=row) for row in p])
    kept = Conformal.from_json(Conformal.of_classes(y[:1_000], p[:1_000]).to_json())
    for level in (0.7, 0.9, 0.99):
        sets = kept.sets(p[1_000:].tolist(), level)
        assert level - 0.03 <= np.mean([int(truth) in found for truth, found in zip(y[1_000:], sets, strict=True)])
        assert all(found[0] == row.argmax() for found, row in zip(sets, p[1_000:], strict=True))
        assert len({len(found) for found in sets}) > 1


def test_a_level_that_the_rows_do_not_support_is_refused() -> None:
    kept = Conformal.of_numbers(np.arange(30.0), np.arange(30.0) + 1)
    with pytest.raises(Invalid, match=r"30 rows, which support a level of 0\.9354 at most"):
        kept.bounds([1.0], 0.99)
    assert kept.bounds([1.0], 0.9)[0][0] == pytest.approx(0.0)
