"""Learners: done by the deadline, better than chance, equal to the library they come from."""

import lightgbm as lgb
import numpy as np
import pytest

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.evaluation.metrics import evaluate
from coreplex.engines.automl.families import forest, kernel, lightgbm, linear, mlp, xgboost
from coreplex.engines.automl.families.base import EarlyStopping, Learner, Params, Problem, Sample
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.predictor import from_files

LEARNERS: list[tuple[Learner, Params]] = [
    (lightgbm.fit, {"learning_rate": 0.1, "rounds": 60}),
    (lightgbm.fit, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "rounds": 30}),
    (xgboost.fit, {"eta": 0.2, "rounds": 60}),
    (linear.fit, {}),
    (linear.fit, {"l1_ratio": 0.5}),
    (mlp.fit, {"hidden": (8,), "rounds": 40, "learning_rate": 0.01}),
    (kernel.fit, {"width": 2.0}),
]


def sides(kind: str, rows: int = 400) -> tuple[Sample, Sample, int]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, 4))
    signal = x[:, 0] + 0.5 * x[:, 1]
    y = signal + 0.2 * draw.normal(size=rows)
    if kind != "regression":
        y = np.digitize(y, [0.0] if kind == "binary" else [-0.5, 0.5])
    half = rows // 2
    return Sample(x[:half], y[:half]), Sample(x[half:], y[half:]), {"binary": 2, "multiclass": 3}.get(kind, 1)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("learner", "params"), LEARNERS)
def test_every_learner_learns_and_saves(learner: Learner, params: Params, kind: str) -> None:
    train, valid, outputs = sides(kind)
    problem = Problem(kind, outputs, seed=1)  # type: ignore[arg-type]
    trained = learner(train, valid, problem, params, Deadline.never())
    p = trained.predictor.predict(valid.x)
    assert p.shape == (len(valid.y), outputs)
    found = evaluate(kind, valid.y, p)
    assert (found["r2"] if kind == "regression" else found["auc"]) > 0.75
    if kind != "regression":
        assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    again = from_files(trained.predictor.kind, trained.predictor.files())
    assert (again.predict(valid.x) == p).all()
    refit = learner(train, None, problem, params, Deadline.never(), trained.rounds)
    assert refit.rounds == trained.rounds


@pytest.mark.parametrize(("learner", "params"), LEARNERS)
def test_a_deadline_that_has_passed_ends_the_fit_with_a_model(learner: Learner, params: Params) -> None:
    train, valid, outputs = sides("binary")
    passed = Deadline(0.0, lambda: False, lambda: 1.0)
    trained = learner(train, valid, Problem("binary", outputs, seed=1), params, passed)
    assert trained.cut
    assert trained.rounds == 1
    assert np.isfinite(trained.predictor.predict(valid.x)).all()


def test_a_class_that_a_fold_has_not_seen_gets_almost_nothing() -> None:
    train, valid, _ = sides("binary")
    problem = Problem("multiclass", 3, seed=1)
    for learner, params in LEARNERS[:4]:
        p = learner(train, valid, problem, params, Deadline.never()).predictor.predict(valid.x)
        assert p.shape[1] == 3
        assert p[:, 2].max() < 0.2


@pytest.mark.parametrize("levels", [40, 700])
def test_categories_as_sets_score_as_they_were_judged(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, unseen and rare levels (LightGBM keeps 255) go one way in training, in a batch, in a row and in TreeSHAP."""
    losses: list[float] = []

    class Recording(EarlyStopping):
        def stop(self, round_: int, loss: float | None) -> bool:
            losses.append(loss or 0.0)
            return super().stop(round_, loss)

    monkeypatch.setattr(lightgbm, "EarlyStopping", Recording)
    draw = np.random.default_rng(0)
    level = draw.integers(0, levels, 4000)
    x = np.column_stack([level.astype(float), draw.normal(size=4000)])
    y = draw.normal(size=levels)[level] + x[:, 1]
    x[::9, 0] = np.nan
    x[2000::7, 0] = levels + 3
    train, valid = Sample(x[:2000], y[:2000], None, (0,)), Sample(x[2000:], y[2000:], None, (0,))
    params = {"native_categories": True, "rounds": 80, "cat_smooth": 2.0, "min_data_in_leaf": 5}
    made = lightgbm.fit(train, valid, Problem("regression", 1, seed=1), params, Deadline.never()).predictor
    raw = np.vstack([made.raw(half) for half in np.split(valid.x, 2)])
    np.testing.assert_allclose(made.raw(valid.x), raw, atol=1e-5, err_msg="many rows are scored in blocks, of float32")
    assert "cat_threshold=" in "".join(part.decode() for part in made.files().values())
    assert float(np.sqrt(np.mean((raw[:, 0] - valid.y) ** 2))) == pytest.approx(min(losses), abs=1e-6)
    np.testing.assert_allclose([made.raw_row(row) for row in valid.x.tolist()], raw, atol=1e-12)
    np.testing.assert_allclose(made.contributions(valid.x).sum(axis=2), raw, atol=1e-9)
    odd = made.raw(np.array([[code, 0.0] for code in (np.nan, -1.0, levels + 3.0, 1e9)]))
    assert np.ptp(odd) == 0.0


def test_a_forest_as_a_sum_of_trees_is_the_forest() -> None:
    train, valid, _ = sides("regression")
    settings = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "verbosity": -1, "objective": "regression"}
    booster = lgb.train(settings, lgb.Dataset(train.x, train.y), 20)
    made = forest.predictor(booster.model_to_string(), None, Problem("regression", 1, seed=1))
    assert made.raw(valid.x)[:, 0] == pytest.approx(booster.predict(valid.x))
    contributions = made.contributions(valid.x[:20])
    assert contributions.sum(axis=2)[:, 0] == pytest.approx(made.raw(valid.x[:20])[:, 0])
    doubled = LightGbm(forest.rescaled(made.text, 2.0, 0.25))
    assert doubled.raw(valid.x)[:, 0] == pytest.approx(2 * made.raw(valid.x)[:, 0] + 20 * 0.25)


def test_the_watch_stops_for_patience_and_for_the_clock() -> None:
    watch = EarlyStopping(2, Deadline.never())
    assert [watch.stop(i, loss) for i, loss in enumerate([3.0, 2.0, 2.5, 2.1], start=1)] == [False, False, False, True]
    assert (watch.best_round, watch.cut) == (2, False)
    now = [0.0]
    slow = EarlyStopping(0, Deadline(10.0, lambda: False, lambda: now[0]))
    now[0] = 6.0
    assert slow.stop(1, None)
    assert slow.cut


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_a_kernel_learns_what_no_straight_line_can(kind: str) -> None:
    """Far from the origin or near it, on more rows than there are landmarks."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1_600, 3))
    far = np.square(x[:, :2]).sum(axis=1) + 0.2 * draw.normal(size=len(x))
    y = far if kind == "regression" else np.digitize(far, [1.4] if kind == "binary" else [0.8, 2.4])
    train, valid = Sample(x[:1_200], y[:1_200]), Sample(x[1_200:], y[1_200:])
    problem = Problem(kind, {"binary": 2, "multiclass": 3}.get(kind, 1), seed=1)  # type: ignore[arg-type]
    scores = [
        evaluate(kind, valid.y, learner(train, valid, problem, {}, Deadline.never()).predictor.predict(valid.x))
        for learner in (kernel.fit, linear.fit)
    ]
    curved, straight = (found["r2"] if kind == "regression" else found["auc"] for found in scores)
    assert curved > 0.9 > 0.7 > straight


def test_a_kernel_takes_rows_that_repeat() -> None:
    """Fewer different rows than landmarks are the landmarks."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 4, size=(900, 2)).astype(float)
    sample = Sample(x, x[:, 0] * x[:, 1])
    trained = kernel.fit(sample, sample, Problem("regression", 1, seed=1), {}, Deadline.never())
    assert trained.predictor.landmarks.shape == (16, 2)
    assert evaluate("regression", sample.y, trained.predictor.predict(x))["r2"] > 0.99


def test_xgboost_learns_from_numbers_beyond_float32() -> None:
    train, valid, outputs = sides("binary")
    large = [Sample(np.sign(side.x) * 1e300, side.y) for side in (train, valid)]
    made = xgboost.fit(*large, Problem("binary", outputs, 0), {"rounds": 5}, Deadline.never())
    assert np.isfinite(made.predict(large[1])).all()
