"""The linear layer over finished models: better than what it mixes, calibrated, and left out where it is not better."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.automl import stacking
from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.scoring.predictor import respond

Array = np.ndarray
CLASSES = SimpleNamespace(classification=True, seed=1)


def logloss(y: Array, p: Array) -> float:
    return -metrics.logloss(y.astype(np.int64), p)


def never() -> bool:
    return False


def views(seed: int, rows: int, classes: int, sharpness: float, models: int = 3) -> tuple[list[Array], Array, Array]:
    """Models that each see the log-odds of the truth through noise of their own; the codes, and what they are drawn from."""
    draw = np.random.default_rng(seed)
    width = 1 if classes == 2 else classes
    link = "logit" if classes == 2 else "softmax"
    raw = 1.5 * draw.normal(size=(rows, width))
    chances = respond(link, raw)
    y = (draw.random((rows, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    said = [respond(link, sharpness * (raw + draw.normal(size=raw.shape))) for _ in range(models)]
    return said, y, chances


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1_000), st.sampled_from([2, 3, 5]), st.floats(0.5, 3.0))
def test_the_layer_beats_every_model_and_has_its_own_temperature(seed: int, classes: int, sharpness: float) -> None:
    said, y, _ = views(seed, 900, classes, sharpness)
    found = stacking.blend(said, y, logloss, CLASSES, never)
    assert found.weights.sum() == pytest.approx(1.0)
    assert (found.weights >= 0).all()
    assert logloss(y, found.predicted) > max(logloss(y, p) for p in said)
    if found.calibration is not None:
        again = stacking.respond_all(stacking.logits(said), found.calibration.slope * found.weights)
        assert again.sum(axis=1) == pytest.approx(np.ones(len(y)))


def test_over_confident_models_are_cooled() -> None:
    said, y, chances = views(0, 6_000, 3, sharpness=3.0)
    found = stacking.blend(said, y, logloss, CLASSES, never)
    assert found.combine == "raw"
    assert found.calibration is not None
    assert found.calibration.slope < 0.6
    truth = logloss(y, chances)
    assert logloss(y, found.predicted) > truth - 0.12
    assert max(logloss(y, p) for p in said) < truth - 0.4


def test_models_of_noise_do_not_win() -> None:
    draw = np.random.default_rng(9)
    said, y, _ = views(2, 2_000, 2, 1.0, models=1)
    noise = [respond("logit", draw.normal(size=(2_000, 1))) for _ in range(6)]
    found = stacking.blend([*said, *noise], y, logloss, CLASSES, never)
    assert found.weights[0] > 0.6 > 0.2 > found.weights[1:].max()


def test_a_target_of_noise_leaves_the_greedy_choice() -> None:
    draw = np.random.default_rng(3)
    y = draw.integers(0, 2, 400)
    said = [respond("logit", draw.normal(size=(400, 1))) for _ in range(3)]
    found = stacking.blend(said, y, logloss, CLASSES, never)
    assert np.isfinite(found.predicted).all()
    assert found.weights.sum() == pytest.approx(1.0)


def test_numbers_and_runs_that_are_over_are_blended_greedily() -> None:
    said, y, _ = views(4, 300, 2, 1.0)
    assert stacking.blend(said, y, logloss, CLASSES, lambda: True).combine == "response"
    assert stacking.blend([p[:1] for p in said], y[:1], logloss, CLASSES, never).combine == "response"
    numbers = SimpleNamespace(classification=False, seed=1)
    values = [p[:, 1:] for p in said]
    score = lambda y, p: -float(np.mean((y - p[:, 0]) ** 2))  # noqa: E731
    assert stacking.blend(values, y.astype(float), score, numbers, never).combine == "response"


@pytest.mark.parametrize("classes", [1, 2, 4], ids=["numbers", "two", "four"])
def test_an_expensive_model_that_adds_nothing_is_left_out(classes: int) -> None:
    said, y, _ = views(6, 1_500, max(classes, 2), 1.0)
    task, score = CLASSES, logloss
    if classes == 1:
        said, y, task = [p[:, 1:] for p in said], y.astype(float), SimpleNamespace(classification=False, seed=1)
        score = lambda y, p: -float(np.mean((y - p[:, 0]) ** 2))  # noqa: E731
    twice = [*said, 0.999 * said[0] + 0.001 * said[1]]
    even = stacking.Blend(np.full(4, 0.25), sum(0.25 * p for p in twice))
    found = (
        even
        if classes == 1
        else stacking.fewer(stacking.Blend(even.weights, even.predicted, "raw"), twice, np.arange(4), y, task)
    )
    assert found is not None
    assert (found.weights > 0).all()
    cost = [1e-6, 1e-6, 1e-6, 1.0]
    assert stacking.pruned(found, twice, y, score, task, [2e-5] * 4, never) is found  # quick as it is
    assert stacking.pruned(found, twice, y, score, task, cost, lambda: True) is found
    assert stacking.pruned(found, twice, y, score, task, [1.0, 1.0, 1e-6, 1e-6], never).weights[2] > 0
    fewer = stacking.pruned(found, twice, y, score, task, cost, never)
    assert fewer.weights[3] == 0.0
    assert (fewer.weights[:3] > 0).all()
    assert fewer.weights.sum() == pytest.approx(1.0)
    assert fewer.combine == found.combine
    assert score(y, fewer.predicted) >= score(y, found.predicted)


def test_a_model_that_others_cannot_replace_stays_however_expensive() -> None:
    said, y, _ = views(7, 1_500, 3, 1.0)
    found = stacking.blend(said, y, logloss, CLASSES, never)
    assert stacking.pruned(found, said, y, logloss, CLASSES, [1.0, 1.0, 1.0], never) is found
