"""What REST says of stored documents is what is stored, key by key, though it comes by way of the contract's types."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from httpx import AsyncClient

from coreplex.engines.automl.evaluation import curves, intervals, metrics
from coreplex.engines.automl.evaluation.measures import Predictions
from coreplex.engines.explain.importance import explain
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.scorer import Scorer
from coreplex.experiment.table import Experiment
from coreplex.model.table import Evaluation
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.engines.scoring_samples import frame, manifest, member, target
from tests.factories.account import browser, serving
from tests.factories.world import World, add_model, world

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
