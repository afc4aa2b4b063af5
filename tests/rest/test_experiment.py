"""Experiments over REST, trained by a real worker (contract B.5): refusals, training, its end by every way, its traces."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from coreplexml import CorePlexMLClient

from coreplex.account.table import User
from coreplex.platform.database import Database
from coreplex.platform.permissions import Plan
from tests.factories.account import bearer, make_key, make_user
from tests.factories.dataset import table
from tests.factories.experiment import LONG, TINY, WRONG_CONFIG, Lab, laboratory
from tests.stack import Stack

RUN = {
    *("id", "experiment_id", "engine", "requested_engine", "status", "models_trained", "best_model_id", "best_metric"),
    *("error", "started_at", "finished_at"),
}


@pytest.fixture(scope="module")
def lab(stack: Stack) -> Iterator[Lab]:
    with laboratory(stack) as made:
        yield made


AMOUNT = {"target_column": "amount", "problem_type": "regression"}


def test_every_wrong_option_is_named(lab: Lab) -> None:
    for key, value in WRONG_CONFIG:
        answer = lab.ask(config={**TINY, key: value})
        assert answer.status_code == 422, (key, value, answer.text)
        places = [entry["loc"] for entry in answer.json()["detail"]]
        assert any(place[:3] == ["body", "config", key] for place in places), (key, value, places)
    both = lab.ask(config={"nfolds": "5", "max_models": -1}).json()["detail"]
    assert {entry["loc"][-1] for entry in both} == {"nfolds", "max_models"}
    assert lab.client.get("/api/experiments", params={"project_id": lab.project_id}).json()["total"] == 0


@pytest.mark.parametrize(
    ("more", "status", "key"),
    [
        ({"target_column": "nothing"}, 422, "target_column"),
        ({"target_column": "same"}, 422, "target_column"),
        ({"target_column": "empty"}, 422, "target_column"),
        ({"target_column": "kind", "problem_type": "regression"}, 422, "target_column"),
        ({"target_column": ""}, 422, "target_column"),
        ({"target_column": None}, 422, "target_column"),
        ({"problem_type": "clustering"}, 422, "problem_type"),
        ({"problem_type": None}, 422, "problem_type"),
        ({"name": " "}, 422, "name"),
        ({"config": []}, 422, "config"),
        ({"config": "x"}, 422, "config"),
        ({"config": {"ignored_columns": ["x" * (128 << 10)]}}, 422, "config"),
        ({"engine": "magic"}, 422, "engine"),
        ({"engine": 3}, 422, "engine"),
        ({"engines": "native"}, 422, "engines"),
        ({"execution_mode": "both"}, 422, "execution_mode"),
        ({"use_gpu": "yes"}, 422, "use_gpu"),
        ({"project_id": "nonsense"}, 404, "Project"),
        ({"project_id": str(uuid4())}, 404, "Project"),
        ({"dataset_version_id": "nonsense"}, 404, "Dataset version"),
        ({"dataset_version_id": str(uuid4())}, 404, "Dataset version"),
        ({"config": {"ignored_columns": ["size", "weight", "kind", "amount", "same", "empty"]}}, 422, "ignored_columns"),
        ({"config": {"ignored_columns": ["nothing"]}}, 422, "ignored_columns"),
        ({"config": {"ignored_columns": ["label"]}}, 422, "ignored_columns"),
        ({"config": {"ignored_columns": ["size", "weight", "kind", "amount"]}}, 422, "dataset_version_id"),
        ({"config": {"fold_column": "nothing"}}, 422, "fold_column"),
        ({"config": {"fold_column": "size"}}, 422, "fold_column"),
        (
            {**AMOUNT, "config": {"include_algos": ["GLM"], "distribution": "quantile"}},
            422,
            "include_algos",
        ),
        ({**AMOUNT, "engine": "flaml", "config": {"include_algos": ["GLM"]}}, 422, "include_algos"),
        ({**AMOUNT, "config": {"sort_metric": "rmsle"}}, 422, "sort_metric"),
        ({"config": {"weights_column": "label"}}, 422, "weights_column"),
    ],
)
def test_refusals_say_which_value(lab: Lab, more: dict[str, Any], status: int, key: str) -> None:
    answer = lab.ask(**more)
    assert answer.status_code == status, answer.text
    if status == 404:
        assert answer.json()["detail"] == f"{key} not found"
    else:
        assert any(key in entry["loc"] for entry in answer.json()["detail"]), answer.text


def test_what_is_misspelt_is_said_with_the_nearest(lab: Lab) -> None:
    detail = lab.ask(target_column="Labell").json()["detail"][0]["msg"]
    assert "Did you mean 'label'?" in detail
    assert "It has (nearest first): label" in detail
    folds = lab.ask(config={"group_column": "Kind "}).json()["detail"][0]["msg"]
    assert "Did you mean 'kind'?" in folds
    made = lab.ask(name="Twice", config={**TINY, "max_runtime_sec": 5, "zzz": 1}, dataset_id="x").json()
    assert "This endpoint takes no key 'dataset_id', which is ignored. Did you mean 'dataset_version_id'?" in made["warnings"]
    assert any(
        "no option 'max_runtime_sec', which is ignored. Did you mean 'max_runtime_secs'?" in one for one in made["warnings"]
    )
    assert any("no option 'zzz', which is ignored." in one for one in made["warnings"])
    again = lab.ask(name="twice", config=TINY).json()
    assert any("another experiment is called so" in one for one in again["warnings"])
    unnamed = [lab.ask(name="Experiment", config=TINY).json() for _ in range(2)]
    assert not any("called so" in one for one in unnamed[1]["warnings"]), "the published client's own default"
    for one in (made, again, *unnamed):
        assert lab.client.post(f"/api/experiments/{one['id']}/cancel").status_code == 200
        lab.wait(one["id"])
        assert lab.client.delete(f"/api/experiments/{one['id']}").status_code == 200


def test_tables_too_small_to_learn_from(lab: Lab) -> None:
    version = lab.upload(table([["a", "label"], [1, "x"], [2, "y"], [3, "x"]]), "Three rows")["version_id"]
    answer = lab.ask(dataset_version_id=version)
    assert answer.status_code == 422, answer.text


def test_a_version_of_another_project_and_of_another_person(lab: Lab, stack: Stack) -> None:
    other = lab.client.post("/api/projects", json={"name": "Other"}).json()["project_id"]
    mixed = lab.ask(project_id=other)
    assert (mixed.status_code, mixed.json()["detail"][0]["loc"]) == (422, ["body", "dataset_version_id"])
    with stack.client() as stranger:
        project = stranger.post("/api/projects", json={"name": "Mine"}).json()["project_id"]
        body = {"project_id": project, "dataset_version_id": lab.version_id, "name": "x", "target_column": "label"}
        answer = stranger.post("/api/experiments", json={**body, "problem_type": "classification"})
        assert (answer.status_code, answer.json()["detail"]) == (404, "Dataset version not found")


def set_plan(stack: Stack, plan: Plan) -> str:
    """A key of a new person with that plan."""

    async def make() -> str:
        database = Database(stack.database_url, pool_size=1)
        try:
            user = await make_user(database)
            async with database.transaction() as session:
                (await session.get_one(User, user.id)).plan = plan
            return (await make_key(database, user))[1]
        finally:
            await database.close()

    return asyncio.run(make())


def test_plans(stack: Stack) -> None:
    for plan, engine, parallel in ((Plan.free, 403, 403), (Plan.pro, 201, 403), (Plan.enterprise, 201, 201)):
        with laboratory(stack, set_plan(stack, plan)) as lab:
            able = lab.client.get("/api/experiments/capabilities").json()
            assert able["plan"] == plan
            assert ("flaml" in able["allowed_engines"]) == (engine == 201)
            assert ("parallel" in able["execution_modes"]) == (parallel == 201)
            made = lab.ask(engine="flaml", config={**TINY, "max_models": 900})
            assert made.status_code == engine, made.text
            if plan is Plan.pro:
                assert made.json()["experiment"]["config"]["max_models"] == 100
                assert any("capped" in warning for warning in made.json()["warnings"])
            both = lab.ask(execution_mode="parallel", engines=["native", "flaml"])
            assert both.status_code == parallel, both.text
            assert lab.client.delete(f"/api/projects/{lab.project_id}", params={"force": True}).status_code == 200


def test_shapes_of_a_finished_experiment(trained: Lab) -> None:
    client, one = trained.client, f"/api/experiments/{trained.experiment_id}"
    got = client.get(one).json()
    assert got["experiment"] == {name: value for name, value in got.items() if name != "experiment"}
    assert (got["status"], got["progress"], got["error"], got["sort_metric"]) == ("succeeded", 100, None, "auc")
    assert got["best_model_id"] == trained.models[0]["id"]
    status = client.get(f"{one}/status").json()
    assert (status["status"], status["models_trained"]) == ("succeeded", len(trained.models))
    listed = client.get("/api/experiments", params={"project_id": trained.project_id, "status": "succeeded"}).json()
    assert [item["id"] for item in listed["items"]] == [trained.experiment_id]
    assert client.get("/api/experiments", params={"search": "traiNED"}).json()["total"] == 1
    runs = client.get(f"{one}/engine-runs").json()
    assert [set(run) for run in runs["items"]] == [RUN]
    assert (runs["items"][0]["models_trained"], runs["items"][0]["status"]) == (len(trained.models), "succeeded")
    logs = client.get(f"{one}/logs").json()
    assert logs["logs"] == logs["items"]
    assert logs["limit"] == 50
    assert [entry["seq"] for entry in logs["logs"]] == sorted(entry["seq"] for entry in logs["logs"])
    assert len(client.get(f"{one}/logs", params={"limit": 2}).json()["logs"]) == 2
    explained = client.get(f"{one}/explain").json()
    assert explained["model_id"] == got["best_model_id"]
    assert {entry["feature"] for entry in explained["feature_importance"]} <= {
        "size",
        "weight",
        "kind",
        "amount",
        "same",
        "empty",
    }
    ranks = [(model["rank"], model["is_best"]) for model in trained.models]
    assert ranks == [(n, n == 1) for n in range(1, len(ranks) + 1)]
    aucs = [model["metrics"]["auc"] for model in trained.models]
    assert aucs == sorted(aucs, reverse=True)
    for action in ("cancel", "stop"):
        assert client.post(f"{one}/{action}").status_code == 409


def test_an_engine_that_is_not_installed(lab: Lab) -> None:
    answer = lab.ask(engine="h2o", use_gpu=True, config={**TINY, "max_models": 1})
    assert answer.status_code == 201
    made = answer.json()
    assert any("h2o" in warning for warning in made["warnings"])
    assert any("GPU" in warning for warning in made["warnings"])
    assert made["experiment"]["engines"] == ["native"]
    one = f"/api/experiments/{made['id']}"
    assert lab.client.get(f"{one}/engine-runs").json()["items"][0]["requested_engine"] == "h2o"
    assert any("h2o" in entry["message"] for entry in lab.client.get(f"{one}/logs").json()["logs"])
    assert lab.wait(made["id"])["status"] == "succeeded"


@pytest.mark.slow
def test_engines_side_by_side(lab: Lab) -> None:
    made = lab.start(execution_mode="parallel", engines=["native", "flaml"], config={**TINY, "max_runtime_secs": 20})
    assert lab.wait(made)["status"] == "succeeded", lab.stack.log()
    runs = lab.client.get(f"/api/experiments/{made}/engine-runs").json()["items"]
    assert [run["engine"] for run in runs] == ["native", "flaml"]
    assert all(run["models_trained"] > 0 and run["status"] == "succeeded" for run in runs)
    models = lab.models_of(made)
    assert sum(run["models_trained"] for run in runs) == len(models)
    assert {model["engine"] for model in models} == {"native", "flaml"}
    assert len({model["name"] for model in models}) == len(models)


def test_regression_and_progress(lab: Lab) -> None:
    made = lab.start(target_column="amount", problem_type="regression")
    seen: list[float] = []
    status = lab.until(made, lambda now: seen.append(now["progress"]) or now["status"] in {"succeeded", "failed"})
    assert status["status"] == "succeeded"
    assert seen == sorted(seen)
    assert seen[-1] == 100
    best = lab.models_of(made)[0]
    assert best["problem_type"] == "regression"
    assert best["metrics"]["r2"] > 0.3
    predicted = lab.client.post(
        f"/api/models/{best['id']}/predict", json={"inputs": {"size": 5, "weight": 0, "kind": "b"}}
    ).json()
    assert "probability" not in predicted["predictions"][0]
    assert predicted["predictions"][0]["prediction"] > 3


def test_cancelling_what_runs_and_what_waits(lab: Lab) -> None:
    made = lab.start(config=LONG)
    lab.until(made, lambda status: status["models_trained"] > 0)
    assert lab.client.delete(f"/api/datasets/{dataset_of(lab)}").status_code == 409
    assert lab.client.post(f"/api/experiments/{made}/cancel").status_code == 200
    status = lab.wait(made)
    assert (status["status"], status["error"]) == ("failed", "cancelled")
    assert lab.client.post(f"/api/experiments/{made}/cancel").status_code == 409
    rich = graphql(lab, "query($id: ID!) { experiment(id: $id) { status jobId } }", id=made)
    assert rich["experiment"]["status"] == "CANCELLED"
    job = graphql(lab, "query($id: ID!) { job(id: $id) { status } }", id=rich["experiment"]["jobId"])
    assert job["job"]["status"] == "CANCELLED"
    count = status["models_trained"]
    time.sleep(1)
    assert lab.status(made)["models_trained"] == count
    lab.stack.kill("worker")
    try:
        waiting = lab.start()
        cancelled = lab.client.post(f"/api/experiments/{waiting}/cancel", content=b"", headers={"Content-Length": "0"})
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "failed")
        stopped = lab.start()
        assert lab.client.post(f"/api/experiments/{stopped}/stop").json()["experiment"]["error"] == "cancelled"
    finally:
        lab.stack.start("worker")


def dataset_of(lab: Lab) -> str:
    items = lab.client.get("/api/datasets", params={"project_id": lab.project_id, "search": "Leaves"}).json()["items"]
    return str(items[0]["id"])


def graphql(lab: Lab, query: str, **variables: Any) -> dict[str, Any]:
    body = lab.client.post("/graphql", json={"query": query, "variables": variables}).json()
    assert "errors" not in body, body
    return dict(body["data"])


def test_stopping_keeps_the_best(lab: Lab) -> None:
    made = lab.start(config=LONG)
    lab.until(made, lambda status: status["models_trained"] > 1)
    assert lab.client.post(f"/api/experiments/{made}/stop").status_code == 200
    status = lab.wait(made)
    assert (status["status"], status["error"]) == ("succeeded", None)
    got = lab.client.get(f"/api/experiments/{made}").json()
    assert got["stopped"] is True
    assert got["best_model_id"] == lab.models_of(made)[0]["id"]


def test_deletion_while_it_runs_and_while_a_model_serves(lab: Lab) -> None:
    made = lab.start(config=LONG)
    lab.until(made, lambda status: status["models_trained"] > 0)
    model = lab.models_of(made)[0]["id"]
    deployments = f"/api/mlops/projects/{lab.project_id}/deployments"
    deployment = lab.client.post(deployments, json={"model_id": model, "name": "d", "stage": "staging"}).json()["id"]
    one = f"/api/experiments/{made}"
    refused = lab.client.delete(one)
    assert (refused.status_code, "running" in refused.json()["detail"]) == (409, True)
    assert lab.status(made)["status"] == "running"
    assert lab.client.post(f"{one}/stop").status_code == 200
    lab.wait(made)
    serving = lab.client.delete(one)
    assert (serving.status_code, "deactivate" in serving.json()["detail"]) == (409, True)
    assert lab.client.post(f"/api/mlops/deployments/{deployment}/deactivate").status_code == 200
    assert lab.client.delete(one).json() == {"ok": True}
    assert lab.client.get(one).status_code == lab.client.get(f"/api/models/{model}").status_code == 404
    assert lab.client.get(f"/api/mlops/deployments/{deployment}").status_code == 404
    stays_empty(lab.stack, lab.stack.data_dir / "storage" / "projects" / lab.project_id / "experiments" / made)


def files_in(folder: Path) -> list[str]:
    """Not by `rglob`, which fails where folders vanish under it."""
    return [name for _, _, names in os.walk(folder) for name in names]


def stays_empty(stack: Stack, folder: Path) -> None:
    """Files follow by a job; a training that was cut off must not bring any back, nor leave a trace in the log."""
    deadline = time.monotonic() + 30
    while left := files_in(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    time.sleep(1)
    assert files_in(folder) == []
    assert "Traceback" not in (stack.folder / "worker.log").read_text()


def test_deletion_of_a_project_that_trains(stack: Stack) -> None:
    with laboratory(stack) as lab:
        made = lab.start(config=LONG)
        lab.until(made, lambda status: status["models_trained"] > 0)
        refused = lab.client.delete(f"/api/projects/{lab.project_id}")
        assert (refused.status_code, "in training" in refused.json()["detail"]) == (409, True)
        model = lab.models_of(made)[0]["id"]
        deployments = f"/api/mlops/projects/{lab.project_id}/deployments"
        lab.client.post(deployments, json={"model_id": model, "name": "live", "stage": "production"})
        refused = lab.client.delete(f"/api/projects/{lab.project_id}")
        assert (refused.status_code, "“live” is active" in refused.json()["detail"]) == (409, True)
        assert lab.status(made)["status"] == "running"
        assert lab.client.delete(f"/api/projects/{lab.project_id}", params={"force": "perhaps"}).status_code == 422
        assert lab.client.delete(f"/api/projects/{lab.project_id}", params={"force": "true"}).json() == {"ok": True}
        assert lab.client.get(f"/api/experiments/{made}").status_code == 404
        assert lab.client.get("/api/jobs").json()["total"] == 0
        stays_empty(stack, stack.data_dir / "storage" / "projects" / lab.project_id)
        stays_empty(stack, stack.data_dir / "work")


@pytest.mark.slow
def test_a_killed_worker_costs_time_only(lab: Lab) -> None:
    made = lab.start(config={**TINY, "max_models": 4, "nfolds": 3})
    lab.until(made, lambda status: status["models_trained"] > 0 or status["status"] == "succeeded")
    lab.stack.kill("worker")
    lab.stack.start("worker")
    assert lab.wait(made)["status"] == "succeeded"
    models = lab.models_of(made)
    status = lab.status(made)
    assert status["models_trained"] == len(models)
    kinds = [(model["algo"], model["name"].removeprefix("retry2_")) for model in models]
    assert len(set(kinds)) == len(kinds), "models of the attempt that died are there twice"
    logs = lab.client.get(f"/api/experiments/{made}/logs").json()["logs"]
    assert any("Attempt 2" in entry["message"] for entry in logs)


def test_the_budget_holds(lab: Lab) -> None:
    made = lab.start(config={"max_runtime_secs": 8, "max_models": 500})
    lab.wait(made, "running")
    assert lab.wait(made)["status"] == "succeeded"
    assert lab.models_of(made)[-1]["algo"] == "Baseline"


def test_the_published_client(trained: Lab) -> None:
    client = CorePlexMLClient(base_url=trained.stack.base_url, api_key=trained.key)
    assert client.experiments.list(project_id=trained.project_id)["total"] == 1
    assert client.experiments.get(trained.experiment_id)["id"] == trained.experiment_id
    assert client.experiments.wait(trained.experiment_id, interval=0.1)["status"] == "succeeded"
    assert client.experiments.explain(trained.experiment_id)["feature_importance"]
    assert client.experiments.logs(trained.experiment_id)["logs"]
    assert client.experiments.engine_runs(trained.experiment_id)["items"]


def test_a_revoked_right_ends_with_the_membership(trained: Lab, stack: Stack) -> None:
    with stack.client() as other:
        answer = other.get(f"/api/experiments/{trained.experiment_id}", headers=bearer(trained.key))
        assert answer.status_code == 200
        assert other.get(f"/api/experiments/{trained.experiment_id}").status_code == 404
