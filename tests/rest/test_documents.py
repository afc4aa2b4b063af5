"""What REST says of stored documents is what is stored, key by key, though it comes by way of the contract's types."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest
from httpx import AsyncClient

from coreplex.engines.automl.evaluation import curves, intervals, metrics
from coreplex.engines.automl.evaluation.measures import Predictions
from coreplex.engines.explain.importance import explain
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.calibration import Conformal
from coreplex.engines.scoring.contributions import contributions
from coreplex.engines.scoring.scorer import Scorer
from coreplex.experiment.table import Experiment
from coreplex.model.table import Evaluation
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.engines.scoring_samples import frame, manifest, member, target
from tests.factories.account import browser, serving
from tests.factories.world import ROW, World, add_model, world

TABLE = frame(120)
LABELS = {"binary": ["no", "yes"], "multiclass": [3, 4, 5], "many": [f"c{i:02}" for i in range(25)]}


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[World, AsyncClient]]:
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        yield made, client


def judged(task: str) -> tuple[Any, Any]:
    """Truth and predictions of a task."""
    chance = np.random.default_rng(7)
    if task == "regression":
        y = chance.normal(size=600) * 1e21
        return y, (y + chance.normal(size=600) * 1e20)[:, None]
    y = np.concatenate([np.arange(len(LABELS[task])), chance.integers(0, len(LABELS[task]), 600)])
    p = chance.dirichlet(np.ones(len(LABELS[task])), len(y)) + 0.5 * np.eye(len(LABELS[task]))[y]
    return y, p / p.sum(axis=1, keepdims=True)


def curves_of(task: str) -> dict[str, Any]:
    y, p = judged(task)
    return curves.regression(y, p) if task == "regression" else curves.classification(y, p, LABELS[task])


def explained(task: str, *families: str) -> dict[str, Any]:
    members = [member(TABLE, target(TABLE, task), task, family) for family in families]
    scorer = Scorer.load(bundle.dumps(manifest(TABLE, task), members))
    return explain(scorer, TABLE[:20], target(TABLE, task)[:20], budget_secs=1)


async def stored(made: World, **documents: Any) -> str:
    """A model of which this is kept."""
    async with made.database.transaction() as session:
        experiment = await session.get_one(Experiment, UUID(made.ids["experiment"]))
        name = f"M{np.random.default_rng().integers(10**9)}"
        return str((await add_model(session, made.services, experiment, name, 0.5, **documents)).id)


@pytest.mark.parametrize("task", ["binary", "multiclass", "many", "regression"])
async def test_curves(lab: tuple[World, AsyncClient], task: str) -> None:
    made, client = lab
    found = curves_of(task)
    model = await stored(made, curves=found)
    assert (await client.get(f"/api/models/{model}/curves")).json() == {"model_id": model, "curves": found}


EXPLAINED = [
    ("binary", "lightgbm"),
    ("binary", "mlp"),
    ("multiclass", "lightgbm"),
    ("multiclass", "mlp"),
    ("regression", "linear"),
]
NONE = {"method": "none", "feature_importance": [], "shap": None, "error": "no reason"}


@pytest.mark.parametrize(("task", "family"), EXPLAINED)
async def test_explanations(lab: tuple[World, AsyncClient], task: str, family: str) -> None:
    made, client = lab
    found = explained(task, family)
    model = await stored(made, explanation=found)
    assert (await client.get(f"/api/models/{model}/explain")).json() == {"model_id": model, **found}


async def test_an_explanation_that_failed(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    model = await stored(made, explanation=NONE)
    assert (await client.get(f"/api/models/{model}/explain")).json() == {"model_id": model, **NONE, "shap": None}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
async def test_metrics(lab: tuple[World, AsyncClient], task: str) -> None:
    made, client = lab
    y, p = judged(task)
    folds = [metrics.evaluate(task, y[part::2], p[part::2]) for part in (0, 1)]
    predicted = metrics.decided(p)
    kept = {
        "metrics": metrics.evaluate(task, y, p, predicted=predicted, quantile=0.3),
        "cv_metrics": metrics.spread(folds),
        "metric_intervals": intervals.intervals(
            Predictions(y, p, predicted), metrics.of_task(task), folds, 0, shift={}, gains={}
        ),
        "classes": LABELS.get(task, []),
    }
    model = await stored(made, **kept)
    got = (await client.get(f"/api/models/{model}")).json()
    assert {name: got[name] for name in kept} == kept == {name: got["model"][name] for name in kept}
    for path in ("/api/models?limit=500", f"/api/experiments/{made.ids['experiment']}/leaderboard"):
        (listed,) = [one for one in (await client.get(path)).json()["items"] if one["id"] == model]
        assert listed["metrics"] == kept["metrics"]
        assert not {"cv_metrics", "metric_intervals"} & listed.keys()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
async def test_evaluations(lab: tuple[World, AsyncClient], task: str) -> None:
    made, client = lab
    y, p = judged(task)
    found = curves_of(task)
    if task == "multiclass":
        found = {name: found[name] for name in ("kind", "labels", "confusion_matrix")}
    kept = {
        "metrics": metrics.evaluate(task, y, p),
        "curves": found,
        "warnings": [
            {"column": "age", "kind": "missing_column", "message": "It is not in the table."},
            {"column": "plan", "kind": "unseen_category", "message": "Two rows.", "rows": 2},
        ],
        "promises": [{"metric": "auc", "promised": 0.5, "low": 0.1, "high": 0.9, "level": 0.9, "value": 0.5, "holds": True}],
    }
    model = made.ids["model"]
    async with made.database.transaction() as session:
        session.add(
            Evaluation(project_id=UUID(made.ids["project"]), model_id=UUID(model), rows=600, rows_used=600, notes=[], **kept)
        )
    (got,) = (await client.get(f"/api/models/{model}/evaluations")).json()["items"]
    assert {name: got[name] for name in kept} == kept


OFFERED = {
    "texts": ("binary", ("no", "yes")),
    "yes and no": ("binary", (False, True)),
    "whole numbers": ("multiclass", (3, -4, 5)),
    "numbers": ("multiclass", (1.5, 2.0, 1e-7)),
    "as the file spells them": ("multiclass", ("01", "1,0", "+2")),
    "a number": ("regression", ()),
}
ROWS = [ROW, {"age": 30, "plan": "basic", "odd": 1}, {"town": "nowhere"}]


@pytest.mark.parametrize("family", ["lightgbm", "mlp"])
@pytest.mark.parametrize("offered", OFFERED)
async def test_predictions(lab: tuple[World, AsyncClient], offered: str, family: str) -> None:
    made, client = lab
    task, labels = OFFERED[offered]
    y = target(TABLE, task)
    p = member(TABLE, y, task, family)
    spread = Conformal.of_numbers(y, y + 0.1) if task == "regression" else Conformal.of_classes(y, np.eye(len(labels))[y])
    data = bundle.dumps(manifest(TABLE, task, classes=labels, conformal=spread.to_json()), [p])
    model, scorer = await stored(made, model=data), Scorer.load(data)
    for options in ({}, {"interval": 0.8}, {"contributions": 2}):
        answers, warnings = scorer.predict_rows(ROWS)
        expected: list[dict[str, Any]] = [dict(answer) for answer in answers]
        if "interval" in options:
            scorer.add_intervals(expected, 0.8)  # type: ignore[arg-type]
        for answer, why in zip(expected, contributions(scorer, ROWS, 2) if "contributions" in options else (), strict=False):
            answer["contributions"], answer["residual"] = why.pop("contributions"), why.pop("residual")
            answer["explanation"] = why
        got = await client.post(f"/api/models/{model}/predict", json={"inputs": ROWS, "options": options, "odd": 1})
        assert got.status_code == 200, got.text
        assert got.json()["predictions"] == orjson.loads(orjson.dumps(expected)), options
        kinds = [*(one["kind"] for one in warnings), "unknown_key"]
        assert [one["kind"] for one in got.json()["warnings"]] == kinds


async def test_a_log_keeps_what_was_answered(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    deployment = made.ids["production"]
    body = {"inputs": ROWS, "options": {"contributions": 2}}
    said = (await client.post(f"/api/mlops/deployments/{deployment}/predict", json=body)).json()
    assert (await client.post(f"/api/mlops/deployments/{deployment}/predict", json={"inputs": []})).status_code == 422
    await made.settled()
    logged = (await client.get(f"/api/mlops/deployments/{deployment}/logs")).json()["items"]
    kept = {one["row_index"]: one["output"] for one in logged if one["request_id"] == said["request_id"]}
    assert kept == dict(enumerate(said["predictions"]))
    assert [one["output"] for one in logged if one["error"]] == [None]
