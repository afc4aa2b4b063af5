"""Promises of models that are judged forward in time: they allow for the next stretch being another one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl.evaluation import forward
from tests.engines.runs import run


@pytest.mark.parametrize("name", ["rmse", "auc"])
def test_nine_in_ten_next_scores_are_covered(name: str) -> None:
    """Five scores of a kind, and the sixth: far more often inside than between the least and the greatest of the five."""
    draw = np.random.default_rng(0)
    scores = np.exp(draw.normal(0, 0.4, (400, 6))) if name == "rmse" else draw.normal(0.75, 0.05, (400, 6))
    ends = np.array([forward.widened(name, 1.0, 1.0, row[:5].tolist()) for row in scores])
    covered = (ends[:, 0] <= scores[:, 5]) & (scores[:, 5] <= ends[:, 1])
    assert covered.mean() >= 0.9
    assert covered.mean() > ((scores[:, :5].min(axis=1) <= scores[:, 5]) & (scores[:, 5] <= scores[:, :5].max(axis=1))).mean()


def test_a_line_is_followed_and_equal_scores_widen_nothing() -> None:
    low, high = forward.widened("rmse", 1.4, 1.6, [1.0, 1.21, 1.4, 1.73, 2.05])
    assert low < 1.4
    assert high > 2.4, "the next point of the line"
    assert forward.widened("rmse", 0.9, 1.1, [1.0, 1.0, 1.0, 1.0]) == (0.9, 1.1)
    assert forward.widened("rmse", 0.9, 1.1, [1.0, None, 9.0]) == (0.9, 1.1), "two say nothing of a third"
    assert forward.widened("mae", -1.0, 1.0, [0.0, 0.1, 0.2])[0] == -1.0, "a loss of zero has no logarithm"


def test_what_is_said_of_stretches() -> None:
    assert "gets worse" in str(forward.doubts("rmse", [1.0, 1.21, 1.4, 1.73, 2.05]))
    assert "gets worse" in str(forward.doubts("auc", [0.9, 0.87, 0.85, 0.82, 0.8]))
    assert forward.doubts("auc", [0.80, 0.82, 0.85, 0.87, 0.88]) is None, "it gets better"
    assert "differs much" in str(forward.doubts("rmse", [0.7, 1.6, 0.72, 1.1, 0.78]))
    assert forward.doubts("rmse", [0.7, 0.72, 0.71, 0.69, 0.7]) is None
    assert forward.doubts("rmse", [0.7, 2.0]) is None


def test_a_run_on_what_gets_noisier_says_so_and_promises_less(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    x, noise = draw.normal(size=900), draw.normal(size=900) * np.linspace(0.2, 2.5, 900)
    frame = pl.DataFrame({"x": x, "moment": np.arange(900), "y": x + noise})
    told = {}
    for validation in ("time", "random"):
        folder = tmp_path / validation
        folder.mkdir()
        options = {"validation": validation, "nfolds": 5, "max_models": 1}
        options |= {"time_column": "moment"} if validation == "time" else {}
        told[validation] = run(frame, "y", "regression", folder, include_algos=["GLM"], **options)[1]
    assert any("gets worse" in warning and "rmse was 0." in warning for warning in told["time"].warnings)
    assert not any("stretches" in warning for warning in told["random"].warnings)
    (promise,) = [one for one in told["time"].models[0]["metric_intervals"] if one["metric"] == "rmse"]
    next_ones = 2.5 * (1 + 0.5 / 6)  # the deviation of the noise in the middle of what comes next
    assert promise["low"] < promise["value"] < next_ones < promise["high"]


def test_a_perfect_stretch_does_not_widen_a_promise_without_end() -> None:
    for scores in ([1e-16, 1e-16, 1.0], [1e-300, 1e-300, 1e300, 1e300]):
        low, high = forward.widened("mse", 0.5, 0.6, scores)
        assert 0.0 <= low <= 0.5
        assert 0.6 <= high <= 10.001 * max(scores)
