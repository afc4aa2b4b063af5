"""Whole training runs on small tables: what is reported, what is refused, what is kept when a run is stopped."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl import train
from coreplex.engines.automl.registry import BASELINE
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.reading import read
from coreplex.errors import Invalid


class Report:
    """Collects events, the baseline's apart from those of the other models; after `stop_after` of these it asks to stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.models: list[dict[str, Any]] = []
        self.baselines: list[dict[str, Any]] = []
        self.logs: list[str] = []
        self.warnings: list[str] = []
        self.fractions: list[float] = []
        self.stop_after = stop_after
        self.stop_when: Callable[[], bool] = lambda: False

    def log(self, message: str, level: str = "info") -> None:
        self.logs.append(f"{level}: {message}")

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, fraction: float, message: str = "") -> None:
        self.fractions.append(fraction)

    def model(self, **manifest: Any) -> None:
        models = self.baselines if manifest["algo"] == BASELINE else self.models
        models.append(json.loads(json.dumps(manifest)))

    @property
    def stopped(self) -> bool:
        return self.stop_when() or (self.stop_after is not None and len(self.models) >= self.stop_after)


def table(rows: int = 150, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 2))
    group = draw.integers(0, 3, rows)
    signal = x[:, 0] + (group == 1) + 0.3 * draw.normal(size=rows)
    return pl.DataFrame(
        {
            "x0": x[:, 0].round(3),
            "x1": [None if hole else v for hole, v in zip(draw.random(rows) < 0.1, x[:, 1].round(3), strict=True)],
            "group": [f"g{i}" for i in group],
            "moment": draw.permutation(rows),
            "answer": ["Yes" if s > 0.3 else "No" for s in signal],
            "kind": [("low", "mid", "high")[int(s > 0) + int(s > 1)] for s in signal],
            "amount": np.exp(signal).round(3),
        }
    )


def request(frame: pl.DataFrame, target: str, problem: str, folder: Path, **config: Any) -> dict[str, Any]:
    source, stored = folder / "table.csv", folder / "table.parquet"
    frame.write_csv(source)
    schema = read(source, "table.csv", stored).schema.to_json()
    others = ({"answer", "kind", "amount", "moment"} & set(frame.columns)) - {target, config.get("time_column")}
    config = {"max_models": 2, "nfolds": 3, "max_runtime_secs": 600, "ignored_columns": sorted(others), **config}
    return {
        "table": str(stored),
        "schema": schema,
        "target": target,
        "problem_type": problem,
        "config": config,
        "work_dir": str(folder),
        "threads": 1,
    }


def run(frame: pl.DataFrame, target: str, problem: str, folder: Path, **config: Any) -> tuple[dict[str, Any], Report]:
    report = Report()
    return train.run(request(frame, target, problem, folder, **config), report), report


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
    assert scorer.contributions([{"x0": 1.0}])[0]["contributions"] == []
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


def test_a_metric_without_meaning_is_refused(tmp_path: Path) -> None:
    frame = table().with_columns(amount=pl.col("amount") - 3)
    with pytest.raises(Invalid, match="below zero"):
        run(frame, "amount", "regression", tmp_path, sort_metric="RMSLE")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pl.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "a"]}), "at least 10"),
        (pl.DataFrame({"x": range(30), "y": ["a"] * 30}), "the same"),
        (pl.DataFrame({"x": range(30), "y": [None] * 30}, schema={"x": pl.Int64, "y": pl.String}), "missing"),
        (pl.DataFrame({"x": range(30), "z": ["a", "b"] * 15}), "not in this dataset"),
        (pl.DataFrame({"y": ["a", "b"] * 15}), "no column besides"),
        (pl.DataFrame({"id": range(30), "y": ["a", "b"] * 15}), "No column can be used"),
    ],
)
def test_what_cannot_be_learned_is_refused(frame: pl.DataFrame, says: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=says):
        run(frame, "y", "classification", tmp_path)


def test_unknown_special_columns_are_refused(tmp_path: Path) -> None:
    for key in ("fold_column", "group_column", "time_column", "weights_column"):
        with pytest.raises(Invalid) as caught:
            run(table(), "amount", "regression", tmp_path, **{key: "nowhere"})
        assert caught.value.errors[0].loc == ("config", key)


def test_rare_classes_and_missing_targets_are_left_out_aloud(tmp_path: Path) -> None:
    frame = table().with_columns(answer=pl.Series(["Maybe", None, *table()["answer"].to_list()[2:]]))
    _, report = run(frame, "answer", "classification", tmp_path)
    assert report.models[0]["classes"] == ["No", "Yes"]
    assert report.warnings[:2] == [
        "Rows without a value in 'answer' are left out: 1.",
        "Left out: 1 class with a single row (Maybe).",
    ]
    assert "Only 148 rows" in report.warnings[2]
    assert {f"warning: {warning}" for warning in report.warnings} <= set(report.logs)


def test_one_class_beside_rare_ones_is_not_told_apart(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(0, 90, 3), "y": ["a"] * 29 + ["b"]})
    with pytest.raises(Invalid, match="1 class in 29 rows without 1 class with a single row \\(b\\)"):
        run(frame, "y", "classification", tmp_path)


def words(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(1)
    good, bad = ["lovely", "great", "fine", "happy"], ["awful", "broken", "late", "sad"]
    filler = ["the", "parcel", "was", "and", "it", "very", "box", "today", "again"]
    answer = draw.choice(["Yes", "No"], rows)
    notes = [
        " ".join([*draw.choice(filler, 8), *draw.choice(good if a == "Yes" else bad, 2), str(i)]) for i, a in enumerate(answer)
    ]
    return pl.DataFrame({"note": notes, "answer": answer})


def test_text_only(tmp_path: Path) -> None:
    result, report = run(words(120), "answer", "classification", tmp_path)
    assert max(m["metrics"]["auc"] for m in report.models) > 0.9
    assert result["best"]


def test_categories_only(tmp_path: Path) -> None:
    _, report = run(table().select("group", "answer"), "answer", "classification", tmp_path)
    assert len(report.models) >= 2


@pytest.mark.parametrize("columns", [300, pytest.param(1_500, marks=pytest.mark.slow)])
def test_more_columns_than_rows(columns: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(80, columns)).round(3)
    names = [f"c{i}" for i in range(columns)]
    frame = pl.DataFrame(x, schema=names).with_columns(y=pl.Series(np.where(x[:, 0] > 0, "a", "b")))
    _, report = run(frame, "y", "classification", tmp_path, nfolds=2)
    assert len(report.models) >= 2


@pytest.mark.parametrize(
    ("config", "strategy"),
    [
        ({"nfolds": 0}, "one holdout (validation 'stratified')"),
        ({"nfolds": -1, "validation": "random"}, "8 folds (validation 'random')"),
        ({"time_column": "moment"}, "3 folds (validation 'time' by 'moment')"),
        ({"validation": "time"}, "3 folds (validation 'time' by the order of the rows in the file)"),
        ({"group_column": "group"}, "3 folds (validation 'group' by 'group')"),
        ({"group_column": "group", "time_column": "moment"}, "3 folds (validation 'group_time' by 'group' and 'moment')"),
        ({"fold_column": "group"}, "3 folds (validation 'column' by 'group')"),
        ({"weights_column": "moment"}, "3 folds (validation 'stratified')"),
        ({"balance_classes": True}, "3 folds (validation 'stratified')"),
    ],
)
def test_ways_to_validate(config: dict[str, Any], strategy: str, tmp_path: Path) -> None:
    _, report = run(table(), "answer", "classification", tmp_path, **config)
    assert any(strategy in line for line in report.logs)
    assert len(report.models) >= 2
    assert all(m["metrics"]["auc"] > 0.6 for m in report.models)


@pytest.mark.parametrize("distribution", ["poisson", "gamma", "tweedie", "laplace", "quantile", "huber"])
def test_distributions(distribution: str, tmp_path: Path) -> None:
    algos = ["GBM", "XGBoost"]
    _, report = run(table(), "amount", "regression", tmp_path, distribution=distribution, include_algos=algos, max_models=3)
    assert {m["algo"] for m in report.models} <= {*algos, "StackedEnsemble"}
    assert report.models[0]["metrics"]["rmse"] < table()["amount"].std()


def test_only_the_algorithms_asked_for(tmp_path: Path) -> None:
    _, report = run(table(), "answer", "classification", tmp_path, include_algos=["GLM", "XRT"], max_models=5)
    assert {m["algo"] for m in report.models} == {"GLM", "XRT"}


def test_flaml_on_the_same_folds(tmp_path: Path) -> None:
    asked = request(table(), "answer", "classification", tmp_path, max_models=2, max_runtime_secs=4)
    report = Report()
    result = train.run({**asked, "engine": "flaml"}, report)
    assert result["best"].endswith("_AutoML_flaml")
    check = report.models[0]
    assert check["engine"] == "flaml"
    assert Scorer.load(check["bundle"]["path"]).predict_row({"x0": 1.0})[0]["prediction"] in ("Yes", "No")


@pytest.mark.parametrize(("most", "nfolds"), [(1, 3), (2, 3), (1, 0), (2, 0)])
def test_flaml_publishes_the_best_it_finds_in_its_time(most: int, nfolds: int, tmp_path: Path) -> None:
    """Its first configurations are its cheapest: a small number of models must not end the search with them."""
    asked = request(table(400), "answer", "classification", tmp_path, max_models=most, nfolds=nfolds, max_runtime_secs=5)
    asked["config"]["include_algos"] = ["GBM", "XGBoost", "StackedEnsemble"]
    pytest.importorskip("coreplex.engines.automl.flaml_adapter")  # loading it is not what is timed
    report = Report()
    result = train.run({**asked, "engine": "flaml"}, report)
    base = [m for m in report.models if m["algo"] != "StackedEnsemble"]
    assert 1 <= len(base) <= most
    assert all(later["score"] >= base[0]["score"] for later in base)
    assert result["best"] in {m["name"] for m in [*report.models, *report.baselines]}
    assert report.fractions == sorted(report.fractions)
    assert report.fractions[-2] > 0.5, "the search went on until its time was over"


@pytest.mark.parametrize("nfolds", [3, 0])
def test_flaml_told_to_stop_publishes_the_best_it_has(nfolds: int, tmp_path: Path) -> None:
    report = Report()
    report.stop_when = lambda: len(report.fractions) > 20
    asked = request(table(400), "answer", "classification", tmp_path, max_models=1, nfolds=nfolds, max_runtime_secs=120)
    result = train.run({**asked, "engine": "flaml"}, report)
    assert (len(report.models), result["stopped"]) == (1, True)
    assert report.models[0]["metrics"]["auc"] > 0.7


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot train here"):
        train.run({**request(table(), "answer", "classification", tmp_path), "engine": "h2o"}, Report())


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_run_without_a_model_leaves_the_baseline_and_says_so(share: float, tmp_path: Path) -> None:
    """Quantile regression by a linear model is not on offer, so nothing remains to train."""
    options = {"include_algos": ["GLM"], "distribution": "quantile", "quantile_alpha": share, "weights_column": "moment"}
    result, report = run(table(), "amount", "regression", tmp_path, **options)
    assert (result["best"], report.models) == (report.baselines[0]["name"], [])
    assert "only the baseline" in report.warnings[-1]
    said = Scorer.load(report.baselines[0]["bundle"]["path"]).predict_row({})[0]["prediction"]
    below = table().filter(pl.col("amount") <= said)["moment"].sum() / table()["moment"].sum()
    assert share <= below < share + 0.05


def test_a_model_worse_than_the_baseline_does_not_lead(tmp_path: Path) -> None:
    """Labels that contradict each other: what is learned on one half is wrong on the other."""
    x = np.arange(200) % 100
    half = np.arange(200) // 100
    frame = pl.DataFrame(
        {"x": x / 7, "half": [f"h{h}" for h in half], "answer": np.where((x % 2 == 1) ^ (half == 1), "Yes", "No")}
    )
    for metric in ("logloss", "auc"):
        result, report = run(frame, "answer", "classification", tmp_path, fold_column="half", sort_metric=metric)
        assert report.models
        assert result["best"] in {
            m["name"] for m in [*report.baselines, *report.models] if m["score"] >= 0.5 or metric == "logloss"
        }
        scores = {m["name"]: m["score"] for m in [*report.baselines, *report.models]}
        assert scores[result["best"]] == (min if metric == "logloss" else max)(scores.values())
        if metric == "logloss":
            assert result["best"] == report.baselines[0]["name"]


def test_a_metric_the_judged_rows_leave_undefined_is_replaced(tmp_path: Path) -> None:
    """Forward in time all that is judged is of one class: AUC has no value there, and every model would be left out."""
    frame = table(60).with_columns(moment=pl.Series(range(60)), answer=pl.Series(["Yes", "No"] * 10 + ["No"] * 40))
    result, report = run(frame, "answer", "classification", tmp_path, time_column="moment", nfolds=2)
    assert result["sort_metric"] == "logloss"
    assert any("not defined" in warning for warning in report.warnings)
    assert report.models


def test_in_a_child_process(tmp_path: Path) -> None:
    asked = request(table(), "kind", "classification", tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "coreplex.engines.child", "coreplex.engines.automl.train:run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"},
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
