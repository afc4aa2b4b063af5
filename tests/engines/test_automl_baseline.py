"""The baseline: where nothing is trained, where nothing is better, where a metric says nothing."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coreplex.engines.scoring.scorer import Scorer
from tests.engines.runs import run, table


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
