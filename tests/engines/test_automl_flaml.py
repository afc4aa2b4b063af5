"""FLAML as the engine: the same folds, the same time, the best it finds."""

from pathlib import Path

import pytest

from coreplex.engines.automl import train
from coreplex.engines.automl.options.engine_registry import ENGINES, STACKED
from coreplex.engines.scoring.scorer import Scorer
from tests.engines.runs import Report, request, table


def test_flaml_on_the_same_folds(tmp_path: Path) -> None:
    asked = request(table(), "answer", "classification", tmp_path, max_models=2, max_runtime_secs=4)
    report = Report()
    result = train.run({**asked, "engine": "flaml"}, report)
    assert result["best"].endswith("_AutoML_flaml")
    check = report.models[0]
    assert check["engine"] == "flaml"
    assert Scorer.load(check["bundle"]["path"]).predict_row({"x0": 1.0})[0]["prediction"] in ("Yes", "No")


@pytest.mark.parametrize(
    ("most", "nfolds"),
    [(1, 3), pytest.param(2, 3, marks=pytest.mark.slow), pytest.param(1, 0, marks=pytest.mark.slow), (2, 0)],
)
def test_flaml_publishes_the_best_it_finds_in_its_time(most: int, nfolds: int, tmp_path: Path) -> None:
    """Its first configurations are its cheapest: a small number of models must not end the search with them."""
    asked = request(table(400), "answer", "classification", tmp_path, max_models=most, nfolds=nfolds, max_runtime_secs=5)
    asked["config"]["include_algos"] = ["GBM", "XGBoost", "StackedEnsemble"]
    pytest.importorskip("coreplex.engines.automl.searches.flaml_adapter")  # loading it is not what is timed
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


def test_what_is_said_of_flaml_without_loading_it_is_what_its_adapter_has() -> None:
    adapter = pytest.importorskip("coreplex.engines.automl.searches.flaml_adapter")
    assert {STACKED, *(one.algo for one in adapter.LEARNER.values())} == set(ENGINES["flaml"].algos)
