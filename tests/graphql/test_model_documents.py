"""Metrics, curves and explanations of models as types: one class, another threshold, what fits another task."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest

from coreplex.engines.automl.evaluation.curves import classification, regression
from coreplex.engines.automl.evaluation.measures import confusion
from coreplex.experiment.table import Experiment
from coreplex.model.table import Model
from tests.factories.asking import Asker
from tests.factories.world import add_model

CURVES = """query($id: ID!, $label: Value, $at: Float) { model(id: $id) { curves { %s
  confusion(label: $label, threshold: $at) { labels counts threshold } } } }"""
METRICS = """query($id: ID!, $name: MetricName!) { model(id: $id) {
  metrics { name value higherIsBetter foldMean foldStd interval { lower upper level rowCount holdoutRowCount } }
  metric(name: $name) { name value } } }"""
INTERVAL = {"metric": "auc", "value": 0.9, "low": 0.8, "high": 1.0, "level": 0.9, "rows": 120, "holdout_rows": 24}


async def model_with(asker: Asker, **documents: Any) -> str:
    async with asker.world.database.transaction() as session:
        experiment = await session.get_one(Experiment, UUID(asker.world.ids["experiment"]))
        return str((await add_model(session, asker.world.services, experiment, "Documented", 0.9, **documents)).id)


def classes(k: int) -> tuple[Any, Any, Any]:
    chance = np.random.default_rng(3)
    y = np.concatenate([np.arange(k), chance.integers(0, k, 400)])
    p = chance.dirichlet(np.ones(k), len(y)) + 0.6 * np.eye(k)[y]
    return y, p / p.sum(axis=1, keepdims=True), list(range(10, 10 + k))


async def curves_of(asker: Asker, model: str, what: str, **variables: Any) -> Any:
    return (await asker.data(CURVES % what, id=model, **variables))["model"]["curves"]


async def test_metrics_are_named_and_say_what_to_expect(asker: Asker) -> None:
    folds = {"auc": {"mean": 0.85, "std": 0.01}}
    model = await model_with(asker, metrics={"logloss": None, "auc": 0.9}, cv_metrics=folds, metric_intervals=[INTERVAL])
    found = (await asker.data(METRICS, id=model, name="AUC"))["model"]
    interval = {"lower": 0.8, "upper": 1.0, "level": 0.9, "rowCount": 120, "holdoutRowCount": 24}
    auc = {"name": "AUC", "value": 0.9, "higherIsBetter": True, "foldMean": 0.85, "foldStd": 0.01, "interval": interval}
    loss = {**dict.fromkeys(auc), "name": "LOGLOSS", "higherIsBetter": False}
    assert found == {"metrics": [auc, loss], "metric": {"name": "AUC", "value": 0.9}}
    assert (await asker.data(METRICS, id=model, name="RMSE"))["model"]["metric"] is None


async def test_a_curve_of_one_class(asker: Asker) -> None:
    y, p, labels = classes(3)
    model = await model_with(asker, curves=classification(y, p, labels))
    what = """labels roc(label: $label) {
      label points { falsePositiveRate truePositiveRate threshold } }
      precisionRecall(label: $label) { label }
      calibration(label: $label) { label bins { count } } residuals { mean } errorBands { level }"""
    every = await curves_of(asker, model, what)
    assert [one["label"] for one in every["roc"]] == labels == every["labels"]
    assert (every["residuals"], every["errorBands"]) == (None, None)
    for label in (11, "11"):
        one = await curves_of(asker, model, what, label=label)
        assert one["roc"] == [every["roc"][1]]
        assert one["calibration"] == [every["calibration"][1]]
        assert sum(one["count"] for one in one["calibration"][0]["bins"]) == len(y)
    refused = await asker.refused(CURVES % what, id=model, label="lion")
    assert (refused["status"], refused["message"]) == (
        422,
        "label: there is no such curve of the class 'lion'; there is: 10, 11, 12",
    )


async def test_gains_and_the_confusion_at_another_threshold(asker: Asker) -> None:
    y, p, labels = classes(2)
    model = await model_with(asker, curves=classification(y, p, labels))
    (curve,) = (await curves_of(asker, model, "gain { label points { share gain lift } }"))["gain"]
    assert curve["label"] == labels[1]
    assert (curve["points"][0], curve["points"][-1]) == (
        {"share": 0, "gain": 0, "lift": None},
        {"share": pytest.approx(1), "gain": 1, "lift": pytest.approx(1)},
    )
    middle = curve["points"][len(curve["points"]) // 2]
    best = np.argsort(-p[:, 1], kind="stable")[: round(middle["share"] * len(y))]
    assert middle["gain"] == pytest.approx((y[best] == 1).sum() / (y == 1).sum(), abs=1e-4)

    what = "labels"
    usual = (await curves_of(asker, model, what))["confusion"]
    assert usual == {"labels": labels, "counts": confusion(y, (p[:, 1] >= 0.5).astype(int), 2).tolist(), "threshold": None}
    for at in (0.0, 0.3, 0.777, 2.0):
        found = (await curves_of(asker, model, what, at=at))["confusion"]
        cut = found["threshold"]
        decided = np.zeros(len(y), dtype=int) if at > p[:, 1].max() else (p[:, 1] >= cut - 1e-6).astype(int)
        assert found["counts"] == confusion(y, decided, 2).tolist(), at
        assert found["labels"] == labels
        assert cut >= min(at, 1.0)


async def test_the_confusion_of_one_of_many(asker: Asker) -> None:
    y, p, labels = classes(4)
    model = await model_with(asker, curves=classification(y, p, labels))
    what = "labels"
    decided = p.argmax(axis=1)
    found = (await curves_of(asker, model, what, label=12))["confusion"]
    assert found["labels"] == ["(other)", 12]
    assert found["counts"] == confusion((y == 2).astype(int), (decided == 2).astype(int), 2).tolist()
    found = (await curves_of(asker, model, what, label=12, at=0.5))["confusion"]
    assert found["counts"] == confusion((y == 2).astype(int), (p[:, 2] >= found["threshold"] - 1e-6).astype(int), 2).tolist()
    refused = await asker.refused(CURVES % what, id=model, at=0.5)
    assert (refused["status"], refused["message"].partition(":")[0]) == (422, "label")


async def test_numbers_have_residuals(asker: Asker) -> None:
    chance = np.random.default_rng(1)
    y = chance.normal(size=300)
    model = await model_with(asker, curves=regression(y, y[:, None] + 0.1 + chance.normal(size=300)[:, None] / 10))
    found = await curves_of(
        asker,
        model,
        """labels roc { label } gain { label } bestThresholds { metric } errorBands { level halfWidth }
        predictedVsActual { actual predicted residual }
        residuals { mean std histogram { lower upper count } quantiles { probability value } }""",
    )
    assert [found[name] for name in ("labels", "roc", "gain", "confusion", "bestThresholds")] == [None] * 5
    assert found["residuals"]["mean"] == pytest.approx(-0.1, abs=0.02)
    assert sum(one["count"] for one in found["residuals"]["histogram"]) == 300
    assert [one["probability"] for one in found["residuals"]["quantiles"]][4] == 0.5
    assert len(found["predictedVsActual"]) == 200
    assert [one["level"] for one in found["errorBands"]] == [0.5, 0.8, 0.9, 0.95]


async def test_what_a_model_goes_by(asker: Asker) -> None:
    query = """query($id: ID!) { model(id: $id) { explanation { method note error { message }
      importance(first: 2) { feature importance percent }
      shap { method space features { feature meanAbs } baseValues
        sample { label contributions { feature value contribution } } } } } }"""
    found = (await asker.data(query, id=asker.world.ids["model"]))["model"]["explanation"]
    assert (found["method"], found["note"], found["error"]) == ("LINEAR", None, None)
    assert len(found["importance"]) == 2
    assert found["shap"]["space"] == "LOGIT"
    assert [len(found["shap"]["baseValues"]), found["shap"]["sample"][0]["label"]] == [1, None]
    features = [one["feature"] for one in found["shap"]["features"]]
    assert [one["feature"] for one in found["shap"]["sample"][0]["contributions"]] == features


async def test_one_document_that_is_gone_leaves_the_other(asker: Asker) -> None:
    model = asker.world.ids["model"]
    async with asker.world.database.transaction() as session:
        (await session.get_one(Model, UUID(model))).curves_artifact_id = None
    body = await asker.ask("query($id: ID!) { model(id: $id) { curves { labels } explanation { method } } }", id=model)
    assert body["data"]["model"] == {"curves": None, "explanation": {"method": "LINEAR"}}
    assert [error["path"] for error in body["errors"]] == [["model", "curves"]]
