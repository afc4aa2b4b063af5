"""Many rows at once: of every kind of predictor the answers that each row has alone, and those of the trained libraries."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb

from coreplex.engines.scoring import ensemble, ubjson
from coreplex.engines.scoring.ensemble import Ensemble
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.predictor import raw_of, respond
from coreplex.engines.scoring.xgboost import XgBoost
from tests.engines.scoring_samples import LIGHTGBM_SETTINGS, booster_target, frame, member, strange, table, target

ROWS = 2_100
"""More than from where LightGBM's trees are evaluated by blocks of rows."""


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("family", ["lightgbm", "forest", "xgboost", "linear", "mlp", "kernel"])
def test_many_rows_score_like_each_alone(family: str, task: str) -> None:
    learned = frame(300)
    one = member(learned, target(learned, task), task, family)
    matrix = one.encoder.transform(frame(ROWS, seed=3))
    raw, some = one.predictor.raw(matrix), np.random.default_rng(0).permutation(ROWS)[:150]
    alone = np.array([one.predictor.raw_row(row) for row in matrix[some].tolist()])
    np.testing.assert_allclose(raw[some], alone, atol=5e-6 * max(float(raw.std()), 1e-3))
    np.testing.assert_array_equal(raw, one.predictor.raw(matrix))


@pytest.fixture
def threads_used(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The names of the threads that scored; two may, whatever the machine has."""
    monkeypatch.setattr(ensemble, "cores", lambda: 2)
    ensemble._pool.cache_clear()
    used: set[str] = set()
    raw = LightGbm.raw
    monkeypatch.setattr(LightGbm, "raw", lambda one, rows: used.add(threading.current_thread().name) or raw(one, rows))
    yield used
    ensemble._pool().shutdown()
    ensemble._pool.cache_clear()


@pytest.mark.parametrize("combine", ["raw", "response"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_threads_change_no_bit_of_an_answer(task: str, combine: Any, threads_used: set[str]) -> None:
    learned = frame(300)
    trained = [member(learned, target(learned, task), task, "lightgbm", seed) for seed in range(3)]
    members = [replace(one, weight=weight) for one, weight in zip(trained, (1.0, 2.0, 3.0), strict=True)]
    one, many = Ensemble(tuple(members), combine), frame(ROWS, seed=3)
    said = one.predict(many)
    assert {"scoring_0"} <= threads_used <= {"scoring_0", "scoring_1"}
    parts = [m.predictor.raw(m.encoder.transform(many)) for m in members]
    alone = [part if combine == "raw" else respond(m.predictor.link, part) for m, part in zip(members, parts, strict=True)]
    mixed = sum(weight * part for weight, part in zip(one.weights, alone, strict=True))
    expected = respond(one.link, np.asarray(mixed) if one.mixes_raw else raw_of(one.link, np.asarray(mixed)))
    np.testing.assert_array_equal(said, expected)
    threads_used.clear()
    one.predict(many[:50])
    assert threads_used == {threading.current_thread().name}


def test_an_error_in_a_thread_is_the_error_of_the_call(threads_used: set[str]) -> None:
    learned = frame(300)
    one = member(learned, target(learned, "binary"), "binary", "lightgbm")
    with pytest.raises(ValueError, match="longer than"):
        Ensemble((one, one)).raw([np.zeros((ROWS, one.predictor.width + 1))])


@pytest.mark.parametrize(("told", "most"), [("1", 1), ("1,4", 1), ("100000", 8), ("", 8), ("many", 8)])
def test_no_more_threads_than_the_process_may_use(told: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert 1 <= ensemble.cores() <= min(most, os.cpu_count() or 1)


@pytest.mark.parametrize("categorical", [[], [4, 5]], ids=["numbers", "categories"])
@pytest.mark.parametrize("name", LIGHTGBM_SETTINGS)
def test_lightgbm_finds_the_same_leaves_for_many_rows(name: str, categorical: list[int]) -> None:
    settings = {**LIGHTGBM_SETTINGS[name], "verbosity": -1, "num_threads": 1}
    x, signal = table(1_800, 0)
    data = lgb.Dataset(x, booster_target(signal, settings["objective"]), categorical_feature=categorical)
    booster = lgb.train(settings, data, 36)
    one, rows = LightGbm.of(booster), table(ROWS, 1)[0] if name == "lines in leaves" else strange(ROWS)
    expected = booster.predict(rows, raw_score=True).reshape(ROWS, -1)
    np.testing.assert_allclose(one.raw(rows), expected, rtol=0, atol=5e-6 * max(float(expected.std()), 1e-3))
    # In whatever order the memory lies, and from several threads.
    found: list[np.ndarray[Any, Any]] = []
    callers = [threading.Thread(target=lambda: found.append(one.raw(np.asfortranarray(rows)))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 3
    for again in found:
        np.testing.assert_array_equal(again, one.raw(rows))


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob", "reg:squarederror", "count:poisson"])
def test_xgboost_answers_and_explains_as_its_package_does(objective: str) -> None:
    x, signal = table(600, 0)
    y = {"multi:softprob": (signal > 0).astype(int) + (signal > 1.5), "reg:squarederror": signal}.get(objective, signal > 0)
    names, types = ["a", "b", "c", "d", "e", "f"], ["q", "q", "q", "q", "c", "c"]
    data = xgb.DMatrix(x, np.asarray(y, dtype=float), feature_names=names, feature_types=types, enable_categorical=True)
    classes = {"num_class": 3} if objective == "multi:softprob" else {}
    booster = xgb.train({"objective": objective, "nthread": 1, "max_cat_to_onehot": 2, **classes}, data, 8)
    one = XgBoost.of(booster)
    np.testing.assert_array_equal(one.raw(x), booster.predict(data, output_margin=True).reshape(600, -1))
    np.testing.assert_array_equal(one.contributions(x), booster.predict(data, pred_contribs=True, strict_shape=True))
    assert one.raw(x[:0]).shape == (0, one.raw_width)
    for wrong in (x[:, :5], x[0]):
        with pytest.raises(ValueError, match="6 encoded columns"):
            one.raw(wrong)


def test_binary_json_is_as_xgboost_writes_it() -> None:
    arrays = {kind: np.array([1, 0, 100], dtype=kind) for kind in ("<f4", "<f8", "<u1", "<i2", "<i4", "<i8", ">i4")}
    said = ubjson.dumps({"name": "é", "count": -3, "empty": [], "two": [{"a": 1}, "b"], **arrays})
    assert said.startswith(
        b"{L\0\0\0\0\0\0\0\4nameSL\0\0\0\0\0\0\0\2\xc3\xa9L\0\0\0\0\0\0\0\5countL\xff\xff\xff\xff\xff\xff\xff\xfd"
    )
    assert b"[$d#L\0\0\0\0\0\0\0\3\x3f\x80\0\0\0\0\0\0\x42\xc8\0\0" in said
    assert said.count(b"[$l#L\0\0\0\0\0\0\0\3\0\0\0\1\0\0\0\0\0\0\0\x64") == 2
    with pytest.raises(TypeError, match="set has no form"):
        ubjson.dumps([{1}])
