"""Whole training runs on small tables: what is reported, and what is kept when a run is stopped."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl import train
from coreplex.engines.automl.options.engine_registry import BASELINE
from coreplex.engines.scoring.contributions import contributions
from coreplex.engines.scoring.scorer import Scorer
from tests.engines.runs import Report, request, run, table


@pytest.mark.parametrize(
    ("target", "problem", "metric", "classes"),
    [
        ("answer", "classification", "auc", ["No", "Yes"]),
        ("kind", "multiclass", "logloss", ["high", "low", "mid"]),
        ("amount", "regression", "rmse", []),
    ],
)
def test_a_whole_run(target: str, problem: str, metric: str, classes: list[str], tmp_path: Path) -> None:
    result, report = run(table(), target, problem, tmp_path, max_models=3)
    base = [m for m in report.models if m["algo"] != "StackedEnsemble"]
    assert len(base) == 3
    (first,) = report.baselines
    assert result["models_trained"] == len(report.models) + 1
    assert result["leaderboard"][0] == result["best"]
    assert result["leaderboard"][-1] == first["name"], "on such a table every model beats the baseline"
    assert sorted(result["leaderboard"]) == sorted({m["name"] for m in [first, *report.models]})
    check_baseline(first, target, classes)
    assert (result["sort_metric"], result["stopped"]) == (metric, False)
    assert report.fractions[-1] == 1.0
    assert report.fractions == sorted(report.fractions)
    assert any("folds" in line for line in report.logs)
    for model in report.models:
        check_model(model, metric, classes, tmp_path)


def check_baseline(model: dict[str, Any], target: str, classes: list[str]) -> None:
    """It answers the shares of the classes, or the mean, for every row, says that it uses no column, and has its curves."""
    known = table()[target]
    scorer = Scorer.load(model["bundle"]["path"], model["bundle"]["sha256"])
    answer, warnings = scorer.predict_row({"x0": 1.0, "group": "g1"})
    assert (answer, []) == (scorer.predict_row({})[0], warnings)
    explanation = json.loads(Path(model["explanation"]["path"]).read_bytes())
    assert (model["features"], explanation["feature_importance"]) == ([], [])
    assert "uses no column" in explanation["note"]
    assert contributions(scorer, [{"x0": 1.0}])[0]["contributions"] == []
    assert json.loads(Path(model["curves"]["path"]).read_bytes())["kind"]
    if classes:
        shares = {label: known.eq(label).mean() for label in classes}
        assert answer["probabilities"] == pytest.approx(shares)
        assert model["metrics"]["auc"] == 0.5
    else:
        assert answer["prediction"] == pytest.approx(known.mean())
        assert model["metrics"]["r2"] == pytest.approx(0.0, abs=1e-12)


def check_model(model: dict[str, Any], metric: str, classes: list[str], folder: Path) -> None:
    assert model["name"].endswith("_AutoML")
    assert model["score"] == model["metrics"][metric]
    assert set(model["cv_metrics"][metric]) == {"mean", "std"}
    assert model["classes"] == classes
    assert set(model["features"]) <= {"x0", "x1", "group"}
    assert model["engine"] == "native"
    assert model["latency_ms"] > 0
    for part in ("bundle", "curves", "explanation", "predictions"):
        data = Path(model[part]["path"]).read_bytes()
        assert model[part]["sha256"] == hashlib.sha256(data).hexdigest()
        assert model[part]["size"] == len(data)
        assert Path(model[part]["path"]).is_relative_to(folder / model["name"])
    explanation = json.loads(Path(model["explanation"]["path"]).read_bytes())
    assert explanation["feature_importance"][0]["feature"] in model["features"]
    scorer = Scorer.load(model["bundle"]["path"], model["bundle"]["sha256"])
    prediction, _ = scorer.predict_row({"x0": 2.5, "x1": None, "group": "never seen"})
    if classes:
        assert prediction["prediction"] in classes
        assert list(prediction["probabilities"]) == classes
    else:
        assert np.isfinite(prediction["prediction"])


def test_the_same_seed_gives_the_same_leaderboard(tmp_path: Path) -> None:
    seen = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        result, report = run(table(), "answer", "classification", folder, max_models=4, seed=11, max_runtime_secs=900)
        seen.append(
            (result["leaderboard"], [m["metrics"] for m in report.models], [m["bundle"]["sha256"] for m in report.models])
        )
    assert seen[0][:2] == seen[1][:2]


def test_a_random_target_scores_at_chance(tmp_path: Path) -> None:
    """Every row has a high-cardinality category: encoding it with its own target would look like knowledge."""
    draw = np.random.default_rng(5)
    n = 600
    frame = pl.DataFrame(
        {
            "city": [f"city {i}" for i in draw.integers(0, 240, n)],
            "x": draw.normal(size=n),
            "answer": draw.choice(["Yes", "No"], n),
        }
    )
    _, report = run(frame, "answer", "classification", tmp_path, max_models=4)
    for model in report.models:
        assert abs(model["metrics"]["auc"] - 0.5) < 0.08


def test_stop_keeps_the_best(tmp_path: Path) -> None:
    report = Report(stop_after=1)
    result = train.run(request(table(), "amount", "regression", tmp_path, max_models=50), report)
    assert result["stopped"] is True
    assert result["best"] == report.models[0]["name"]


def test_even_a_second_makes_a_model(tmp_path: Path) -> None:
    result, report = run(table(400), "answer", "classification", tmp_path, max_runtime_secs=1, max_models=50)
    assert result["best"] in {m["name"] for m in report.models}


def test_stopped_before_the_first_model_there_is_still_a_good_one(tmp_path: Path) -> None:
    report = Report(stop_after=0)
    train.run(request(table(), "answer", "classification", tmp_path, max_models=50), report)
    assert len(report.models) == 1
    assert report.models[0]["metrics"]["auc"] > 0.8


def test_in_a_child_process(tmp_path: Path) -> None:
    asked = request(table(), "kind", "classification", tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "coreplex.engines.child", "coreplex.engines.automl.train:run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        # Left open: a closed stdin tells the child that its parent is gone.
        child.stdin.write(json.dumps(asked).encode() + b"\n")
        child.stdin.flush()
        events = [json.loads(line) for line in child.stdout]
    assert events[-1]["event"] == "done"
    assert events[-1]["result"]["best"] in {e["name"] for e in events if e["event"] == "model"}
    assert {"log", "progress", "model"} <= {e["event"] for e in events}


@pytest.mark.parametrize(("algo", "learned", "said"), [("GBM", 500, True), ("GBM", 20_000, False), (BASELINE, 500, False)])
def test_a_best_model_of_few_rows_is_said_to_be_one(algo: str, learned: int, said: bool) -> None:
    """On a busy machine the clock may leave nothing but a quick first model, which looks like any other on the leaderboard."""
    run = SimpleNamespace(task=SimpleNamespace(plan=SimpleNamespace(folds=[SimpleNamespace(train=range(35_962))])))
    told = train._from_few_rows(cast(Any, run), cast(Any, SimpleNamespace(algo=algo, learned=learned)))
    assert (told is not None and "500 of 35962 rows" in told) == said
