"""Explanations: they add up, name their method, find what matters, agree with each other, and keep their time."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.explain import importance
from coreplex.engines.explain.importance import explain
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.contributions import contributions, exact, sampled
from coreplex.engines.scoring.ensemble import Ensemble, Member
from coreplex.engines.scoring.linear import Linear
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import TableSchema
from tests.engines.scoring_samples import column, frame, manifest, member, target

TABLE = frame(300)
CASES = {
    ("lightgbm",): "tree_shap",
    ("forest",): "tree_shap",
    ("xgboost",): "tree_shap",
    ("linear",): "linear",
    ("mlp",): "permutation",
    ("lightgbm", "linear"): None,
}


def made(task: str, families: tuple[str, ...], combine: str = "response") -> Scorer:
    members = [member(TABLE, target(TABLE, task), task, family) for family in families]
    return Scorer.load(bundle.dumps(manifest(TABLE, task, combine=combine), members))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("families", "method"), CASES.items(), ids=map(str, CASES))
def test_an_explanation_names_its_method_and_adds_up(task: str, families: tuple[str, ...], method: str | None) -> None:
    scorer = made(task, families)
    if method is None:
        method = "tree_shap" if task == "regression" else "permutation"
    found = explain(scorer, TABLE[:60], target(TABLE, task)[:60], 0, budget_secs=3)
    json.dumps(found, allow_nan=False)
    assert found["method"] == method
    assert found["shap"]["max_residual"] < (1e-5 if "xgboost" in families else 1e-6)
    listed = found["feature_importance"]
    assert {row["feature"] for row in listed} == set(scorer.features)
    assert [row["importance"] for row in listed] == sorted((row["importance"] for row in listed), reverse=True)
    assert sum(row["percentage"] for row in listed) == pytest.approx(100)
    assert listed[0]["relative_importance"] == 1
    first = found["shap"]["sample"][0]
    assert len(first["values"]) == len(first["contributions"]) == len(found["shap"]["features"])
    if families != ("mlp",) and "linear" not in families:
        assert {listed[0]["feature"], listed[1]["feature"]} & {"age", "plan"}


@pytest.mark.parametrize("combine", ["raw", "response"])
def test_the_answer_of_a_row_adds_up(combine: str) -> None:
    scorer = made("binary", ("lightgbm", "linear"), combine)
    answers = contributions(scorer, TABLE[:5].to_dicts(), top=2)
    for answer, row in zip(answers, TABLE[:5].to_dicts(), strict=True):
        assert len(answer["contributions"]) == 2
        total = answer["base_value"] + sum(part["contribution"] for part in answer["contributions"]) + answer["others"]
        probability = scorer.predict_row(row)[0]["probabilities"]["yes"]
        assert total + answer["residual"] == pytest.approx(np.log(probability / (1 - probability)), abs=1e-6)
        assert abs(answer["residual"]) < 1e-6
        assert answer["class"] == "yes"
        assert answer["method"] == ("tree_shap" if combine == "raw" else "sampling")
        assert all(("std_error" in part) == (combine == "response") for part in answer["contributions"])


def test_sampling_agrees_with_the_exact_answer_of_a_linear_model() -> None:
    """Against the same background rows, Shapley values of a linear model are weights × deviation."""
    encoder, matrix = Encoder.fit_transform(
        TABLE, [column("amount", "float"), column("age", "integer")], None, kind="dense", task="regression"
    )
    weights = np.random.default_rng(0).normal(size=encoder.width)
    ensemble = Ensemble((Member(encoder, Linear(weights, 1.0, "identity", matrix[:40].mean(axis=0))),))
    wanted = exact(ensemble, [matrix[50:60]], encoder.features)
    # Enough walks to use each background row equally often.
    found = sampled(ensemble, [matrix[50:60]], [matrix[:40]], encoder.features, evaluations=6 * 40 * 10)
    np.testing.assert_allclose(found.contributions, wanted.contributions, atol=1e-9)
    np.testing.assert_allclose(found.base, wanted.base, atol=1e-9)


def test_shuffling_finds_the_column_that_matters_and_nothing_in_noise() -> None:
    rng = np.random.default_rng(0)
    table = pl.DataFrame({"signal": rng.normal(size=400), "noise": rng.normal(size=400)})
    columns = (column("signal", "float"), column("noise", "float"))
    y = (table["signal"].to_numpy() > 0).astype(int)
    encoder, _ = Encoder.fit_transform(table, columns, y, kind="dense", task="binary")
    a = Member(encoder, Linear(np.array([3.0, 0.0]), 0.0, "logit"))
    head: dict[str, Any] = {"task": "binary", "target": "y", "classes": (0, 1), "feature_schema": TableSchema(columns).to_json()}
    scorer = Scorer.load(
        bundle.dumps(Manifest(**head, algo="GLM"), [a, Member(encoder, Linear(np.array([2.0, 0.0]), 0.0, "logit"))])
    )
    found = explain(scorer, table, y, 0, budget_secs=2)
    assert found["method"] == "permutation"
    signal, noise = found["feature_importance"]
    assert (signal["feature"], noise["importance"]) == ("signal", 0)
    assert signal["std"] < signal["importance"]


def test_a_tiny_budget_still_gives_an_answer() -> None:
    for families in (("lightgbm",), ("lightgbm", "mlp")):
        found = explain(made("binary", families), TABLE, target(TABLE, "binary"), 0, budget_secs=0)
        assert found["shap"]["rows"] >= 1
        assert len(found["feature_importance"]) == 7
        assert all(row["importance"] is not None for row in found["feature_importance"])


def test_a_column_that_was_not_shuffled_is_not_called_useless() -> None:
    ranked = importance._ranked(["a", "b", "c"], np.array([-0.1, np.nan, 0.3]), np.array([0.1, np.nan, np.nan]))
    assert [(row["feature"], row["importance"], row["percentage"]) for row in ranked] == [
        ("c", 0.3, 100),
        ("a", 0, 0),
        ("b", None, None),
    ]
    assert [row["std"] for row in ranked] == [None, 0.1, None]


def test_without_the_target_shuffling_measures_the_change() -> None:
    found = explain(made("binary", ("mlp",)), TABLE[:50], None, 0, budget_secs=1)
    assert found["feature_importance"][0]["importance"] > 0
