"""Predictors: files and back to the bit, rows like matrices, contributions that add up, the trained library's own scores."""

import itertools
import threading
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

from coreplex.engines.scoring import archive
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.ensemble import Ensemble, Member
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.scoring.linear import Linear
from coreplex.engines.scoring.mlp import Mlp
from coreplex.engines.scoring.predictor import from_files, raw_of, respond, respond_row
from coreplex.errors.tree import BadInput
from tests.engines.scoring_samples import Made, frame, member, target

TABLE = frame(300)
FAMILIES = ["lightgbm", "forest", "xgboost", "linear", "mlp", "kernel"]
TASKS = ["binary", "multiclass", "regression"]
MEMBERS = Made(itertools.product(FAMILIES, TASKS), lambda which: member(TABLE, target(TABLE, which[1]), which[1], which[0]))


@pytest.fixture(scope="module", params=MEMBERS, ids="-".join)
def one(request: pytest.FixtureRequest) -> Member:
    found: Member = MEMBERS[request.param]
    return found


def test_files_hold_the_whole_predictor(one: Member) -> None:
    matrix = one.encoder.transform(TABLE)
    again = from_files(one.predictor.kind, one.predictor.files())
    np.testing.assert_array_equal(again.predict(matrix), one.predictor.predict(matrix))
    assert again.files() == one.predictor.files()


def test_a_row_scores_like_a_matrix(one: Member) -> None:
    matrix = one.encoder.transform(TABLE)[:40]
    raw = one.predictor.raw(matrix)
    rows = np.array([one.predictor.raw_row(row) for row in matrix.tolist()])
    np.testing.assert_allclose(rows, raw, atol=1e-12)
    responses = [respond_row(one.predictor.link, row) for row in rows.tolist()]
    np.testing.assert_allclose(responses, one.predictor.predict(matrix), atol=1e-12)


def test_contributions_add_up(one: Member) -> None:
    if one.predictor.method is None:
        pytest.skip("no exact contributions")
    matrix = one.encoder.transform(TABLE)[:30]
    parts = one.predictor.contributions(matrix)
    assert parts.shape == (30, one.predictor.raw_width, one.predictor.width + 1)
    # XGBoost adds up in float32.
    np.testing.assert_allclose(
        parts.sum(axis=2), one.predictor.raw(matrix), atol=1e-5 if one.predictor.kind == "xgboost" else 1e-6
    )


@pytest.mark.parametrize("objective", ["binary", "regression", "poisson", "gamma", "tweedie", "regression_l1", "cross_entropy"])
@pytest.mark.parametrize("boosting", ["gbdt", "rf"])
def test_lightgbm_answers_as_lightgbm_does(objective: str, boosting: str) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(300, 4))
    y = (matrix[:, 0] > 0).astype(float) if objective in ("binary", "cross_entropy") else np.exp(matrix[:, 0])
    parameters = {"objective": objective, "boosting": boosting, "bagging_freq": 1, "bagging_fraction": 0.6}
    booster = lgb.train({**parameters, "verbosity": -1, "num_threads": 1}, lgb.Dataset(matrix, y), 12)
    expected = booster.predict(matrix)
    np.testing.assert_allclose(LightGbm.of(booster).predict(matrix)[:, -1], expected, rtol=1e-12, atol=1e-12)


def test_scikit_learn_weights_give_scikit_learn_answers() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(120, 5))
    for classes in (2, 3):
        y = rng.integers(0, classes, 120)
        logistic = LogisticRegression().fit(matrix, y)
        linear = Linear(logistic.coef_.T, logistic.intercept_, "logit" if classes == 2 else "softmax")
        np.testing.assert_allclose(linear.predict(matrix), logistic.predict_proba(matrix), atol=1e-12)
        network = MLPClassifier((6, 4), activation="tanh", max_iter=5, early_stopping=True, random_state=0)
        with pytest.warns(match="Maximum iterations"):
            network.fit(matrix, y)
        np.testing.assert_allclose(Mlp.of(network).predict(matrix), network.predict_proba(matrix), atol=1e-12)


def test_a_network_for_values_undoes_the_scaling_of_its_target() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(120, 5))
    y = 1000 + 50 * matrix[:, 0]
    network = MLPRegressor(hidden_layer_sizes=(6,), max_iter=3, random_state=0)
    with pytest.warns(match="Maximum iterations"):
        network.fit(matrix, (y - 1000) / 50)
    answers = Mlp.of(network, centre=1000, scale=50).predict(matrix)[:, 0]
    np.testing.assert_allclose(answers, network.predict(matrix) * 50 + 1000, rtol=1e-12)


def test_threads_share_a_predictor() -> None:
    one = MEMBERS["lightgbm", "binary"]
    matrix = one.encoder.transform(TABLE)
    expected = one.predictor.raw(matrix)[:, 0].tolist()
    wrong: list[int] = []

    def work() -> None:
        for _ in range(5):
            got = [one.predictor.raw_row(row)[0] for row in matrix.tolist()]
            wrong.extend(i for i, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind", ["lightgbm", "xgboost", "linear", "mlp", "pickle", ""])
@pytest.mark.parametrize(
    "files",
    [
        {},
        {"model.txt": b"tree\n", "model.ubj": b"{}", "linear.json": b"{}", "mlp.json": b"[]"},
        {"model.txt": b"", "model.ubj": b"", "linear.json": b"", "mlp.json": b""},
    ],
)
def test_files_that_make_no_model_are_refused(kind: str, files: dict[str, bytes]) -> None:
    with pytest.raises(BadInput):
        from_files(kind, files)


def _npy(header: str, data: bytes = b"") -> bytes:
    padded = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        b"\x80\x04\x95",
        _npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"\x80\x04N."),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"),
        _npy("{'descr': '<U9', 'fortran_order': False, 'shape': (0,)}"),
        _npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", b"\0" * 8),
        _npy("__import__('os').getpid()"),
        _npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': ()}"),
    ],
)
def test_arrays_that_are_not_plain_numbers_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        archive.load_array(data)


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 4)), np.float32([[1], [2]]), np.asfortranarray(np.eye(3))]
)
def test_arrays_come_back_as_they_were(array: Any) -> None:
    again = archive.load_array(archive.dump_array(array))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype


@pytest.mark.parametrize("link", ["logit", "softmax", "log", "identity"])
def test_links_are_undone(link: Any) -> None:
    raw = np.random.default_rng(0).normal(size=(50, 3 if link == "softmax" else 1))
    response = respond(link, raw)
    np.testing.assert_allclose(respond(link, raw_of(link, response)), response, atol=1e-12)
    extreme = respond(link, np.full_like(raw, -1e308))
    assert not np.isnan(extreme).any()


@pytest.mark.parametrize("combine", ["raw", "response"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("calibration", [None, Calibration("temperature", slope=0.5)])
def test_an_ensemble_is_the_weighted_mean(combine: Any, task: str, calibration: Calibration | None) -> None:
    a, b = MEMBERS["lightgbm", task], MEMBERS["linear", task]
    pair = (Member(a.encoder, a.predictor, 3.0), Member(b.encoder, b.predictor, 1.0))
    ensemble = Ensemble(pair, combine, calibration)
    matrices = ensemble.encode(TABLE)
    if calibration is None:
        if combine == "raw" or task == "regression":
            expected = respond(a.predictor.link, 0.75 * a.predictor.raw(matrices[0]) + 0.25 * b.predictor.raw(matrices[1]))
        else:
            expected = 0.75 * a.predictor.predict(matrices[0]) + 0.25 * b.predictor.predict(matrices[1])
        np.testing.assert_allclose(ensemble.predict(TABLE), expected, atol=1e-9)
    rows = [ensemble.respond_rows([m[i].tolist() for m in matrices]) for i in range(30)]
    np.testing.assert_allclose(rows, ensemble.predict(TABLE[:30]), atol=1e-9)


def test_a_logarithm_of_the_target_is_undone() -> None:
    one = MEMBERS["linear", "regression"]
    plain, logged = Ensemble((one,)), Ensemble((one,), target_transform="log1p")
    np.testing.assert_allclose(logged.predict(TABLE), np.expm1(plain.predict(TABLE)))
    row = [logged.encode(TABLE[:1])[0][0].tolist()]
    np.testing.assert_allclose(logged.respond_rows(row), logged.predict(TABLE[:1])[0])


@pytest.mark.parametrize("combine", ["raw", "response"])
def test_members_that_do_not_fit_are_refused(combine: Any) -> None:
    with pytest.raises(ValueError, match="members"):
        Ensemble((), combine)
    with pytest.raises(ValueError, match="outputs"):
        Ensemble((MEMBERS["linear", "binary"], MEMBERS["linear", "multiclass"]), combine)
    with pytest.raises(ValueError, match="columns"):
        Member(MEMBERS["linear", "binary"].encoder, MEMBERS["lightgbm", "binary"].predictor)


def test_calibrations_improve_what_they_are_fitted_on() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=2000)
    y = (rng.random(2000) < 1 / (1 + np.exp(-truth))).astype(int)
    raw = (3 * truth + 1)[:, None]

    def loss(probabilities: Any) -> float:
        return float(-np.mean(np.log(probabilities[np.arange(2000), y])))

    before = loss(respond("logit", raw))
    platt, temperature = Calibration.platt(raw, y), Calibration.temperature("logit", raw, y)
    assert platt.slope == pytest.approx(1 / 3, abs=0.1)
    assert loss(respond("logit", platt.raw(raw))) < loss(respond("logit", temperature.raw(raw))) < before
    isotonic = Calibration.isotonic(respond("logit", raw)[:, 1], y)
    assert loss(isotonic.response(respond("logit", raw))) < before
    for fitted in (platt, temperature, isotonic):
        assert Calibration.from_json(fitted.to_json()) == fitted
