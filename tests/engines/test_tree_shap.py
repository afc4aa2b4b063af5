"""Contributions from tables are those that LightGBM works out itself, whatever the trees, and are quicker."""

import gc
import itertools
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb

from coreplex.engines.scoring import lightgbm, tree_branches
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.lightgbm_trees import Trees, Untranslatable, read
from coreplex.engines.scoring.shapley import shapley
from coreplex.engines.scoring.tree_shap import MOST_NUMBERS, Room, TreeShap
from coreplex.engines.scoring.xgboost import XgBoost
from tests.engines.scoring_samples import LIGHTGBM_SETTINGS, booster_target, strange, table

ROWS = strange(60)
SETTINGS = {name: settings for name, settings in LIGHTGBM_SETTINGS.items() if name != "lines in leaves"}


def trained(settings: dict[str, Any], categorical: list[int], rounds: int = 12, rows: int = 1_800, seed: int = 0) -> lgb.Booster:
    x, signal = table(rows, seed)
    data = lgb.Dataset(x, booster_target(signal, settings["objective"]), categorical_feature=categorical)
    return lgb.train({**settings, "verbosity": -1, "num_threads": 1}, data, rounds)


def assert_as_lightgbm_says(found: np.ndarray[Any, Any], booster: lgb.Booster, share: float = 1.0) -> None:
    expected = np.asarray(booster.predict(ROWS, pred_contrib=True)).reshape(found.shape) * share
    spread = max(float(expected[:, :, :-1].std()), 1e-3 * float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * spread)


@pytest.mark.parametrize("categorical", [[], [4, 5]], ids=["numbers", "categories"])
@pytest.mark.parametrize("name", SETTINGS)
def test_contributions_are_those_of_lightgbm(name: str, categorical: list[int]) -> None:
    booster = trained(SETTINGS[name], categorical)
    one = LightGbm.of(booster)
    assert_as_lightgbm_says(one.contributions(ROWS), booster)
    assert one._tables.get(one._tree_shap) is not None
    assert one.contributions(ROWS[:0]).shape == (0, one.raw_width, 7)
    with pytest.raises(ValueError, match="6 encoded columns"):
        one.contributions(ROWS[:, :5])


@pytest.mark.parametrize("seed", range(16))
def test_contributions_of_drawn_models(seed: int) -> None:
    draw = np.random.default_rng(seed)
    settings: dict[str, Any] = {
        "objective": draw.choice(["binary", "multiclass", "regression", "poisson"]),
        "boosting": draw.choice(["gbdt", "rf", "dart"]),
        "num_leaves": int(draw.choice([2, 5, 31, 200])),
        "max_depth": int(draw.choice([-1, 1, 4])),
        "min_data_in_leaf": int(draw.choice([1, 20])),
        "extra_trees": bool(draw.random() < 0.5),
        "max_bin": int(draw.choice([8, 255])),
        **{"bagging_freq": 1, "bagging_fraction": 0.6, "feature_fraction": 0.7, "seed": seed},
    }
    if settings["objective"] == "multiclass":
        settings["num_class"] = 3
    booster = trained(settings, [4, 5] if draw.random() < 0.5 else [], 9, int(draw.choice([60, 900])), seed)
    one = LightGbm.of(booster)
    assert_as_lightgbm_says(one.contributions(ROWS), booster, one._share)
    assert one._tables.get(one._tree_shap) is not None
    np.testing.assert_allclose(one.contributions(ROWS).sum(axis=2), one.raw(ROWS), rtol=1e-9, atol=1e-9)


def test_leaves_without_tables_are_worked_out() -> None:
    booster = trained({"objective": "multiclass", "num_class": 3, "num_leaves": 60}, [4, 5])
    trees, base = read(booster.model_to_string()), LightGbm.of(booster).contributions(ROWS[:1])[0, :, -1]
    for numbers in (0, 5_000, 10**8):
        room = Room(numbers)
        one = TreeShap(trees, np.arange(trees.count) % 3, base, 6, room)
        assert room.left == 0 if numbers < 10**6 else 0 < numbers - room.left <= MOST_NUMBERS
        assert_as_lightgbm_says(one.contributions(ROWS), booster)
        del one
        gc.collect()
        assert room.left == numbers


def test_threads_make_the_tables_once(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = trained({"objective": "binary"}, [])
    one = LightGbm.of(booster)
    made: list[str] = []
    found: list[np.ndarray[Any, Any]] = []

    def slow_read(text: str) -> Trees:
        time.sleep(0.05)
        made.append(text)
        return read(text)

    monkeypatch.setattr(lightgbm, "read", slow_read)
    callers = [threading.Thread(target=lambda: found.append(one.contributions(ROWS))) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert (len(made), len(found)) == (1, 6)
    for each in found:
        np.testing.assert_array_equal(each, found[0])
    assert_as_lightgbm_says(found[0], booster)


def test_what_has_no_tables_is_explained_by_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = trained({"objective": "regression"}, [4, 5])
    monkeypatch.setattr(tree_branches, "_MOST_CELLS", 10)
    one = LightGbm.of(booster)
    np.testing.assert_array_equal(one.contributions(ROWS)[:, 0], booster.predict(ROWS, pred_contrib=True))
    assert one._tables.get(one._tree_shap) is None
    text = booster.model_to_string()
    for line in ("internal_count", "leaf_count"):
        with pytest.raises(Untranslatable):
            TreeShap(read(text.replace(f"\n{line}=", f"\nno_{line}=")), np.zeros(12, dtype=np.int64), np.zeros(1), 6)


@pytest.mark.parametrize("seed", range(8))
def test_contributions_of_drawn_xgboost_models(seed: int) -> None:
    draw = np.random.default_rng(seed)
    x, signal = table(900, seed)
    classes = int(draw.choice([2, 3]))
    settings: dict[str, Any] = {
        "objective": "binary:logistic" if classes == 2 else "multi:softprob",
        "max_depth": int(draw.choice([1, 3, 6, 12])),
        "min_child_weight": float(draw.choice([0.0, 3.0])),
        "num_parallel_tree": int(draw.choice([1, 2])),
        "gamma": float(draw.choice([0.0, 1.0])),
        **{"nthread": 1, "subsample": 0.7, "colsample_bytree": 0.7, "seed": seed},
    }
    y = booster_target(signal, "binary" if classes == 2 else "multiclass")
    booster = xgb.train(settings | ({"num_class": 3} if classes == 3 else {}), xgb.DMatrix(x, y), 8)
    one, rows = XgBoost.of(booster), np.concatenate([ROWS, x[:60]])
    expected = one._contributions(rows)
    found = one.contributions(rows)
    assert one._tables.get(one._tree_shap) is not None
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * float(expected[:, :, :-1].std()))
    with pytest.raises(ValueError, match="6 encoded columns"):
        one.contributions(rows[:, :5])


@pytest.mark.parametrize("shares", [[0.3], [0.5, 0.0], [0.9, 0.2, 0.4], [0.1, 1.0, 0.0, 0.7], [0.2, 0.3, 0.4, 0.5, 0.6]])
def test_shapley_values_by_their_definition(shares: list[float]) -> None:
    size = len(shares)
    for held in itertools.product((0.0, 1.0), repeat=size):

        def worth(known: set[int], held: tuple[float, ...] = held) -> float:
            return 3.0 * math.prod(held[j] if j in known else shares[j] for j in range(size))

        expected = np.zeros(size)
        for order in itertools.permutations(range(size)):
            for at, j in enumerate(order):
                expected[j] += (worth({*order[: at + 1]}) - worth({*order[:at]})) / math.factorial(size)
        found = shapley(np.array(shares)[:, None], np.array(held)[:, None], np.array([3.0]))
        np.testing.assert_allclose(found[:, 0], expected, atol=1e-14)


def test_one_row_takes_less_than_half_of_lightgbms_time() -> None:
    one = LightGbm.of(trained({"objective": "binary"}, [4, 5], 100))
    row = ROWS[:1]
    own, library = (
        least_cpu(work) for work in (lambda: one.contributions(row), lambda: one._booster.predict(row, lightgbm.CONTRIBUTIONS))
    )
    assert own < library / 2


def least_cpu(work: Callable[[], Any]) -> float:
    """Seconds of the quickest of some calls."""
    work()
    found = []
    for _ in range(30):
        began = time.thread_time()
        for _ in range(5):
            work()
        found.append(time.thread_time() - began)
    return min(found)
