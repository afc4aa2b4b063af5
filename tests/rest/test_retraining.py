"""Retraining over REST (contract B.7): a policy, a training that is due, its challenger, and what is refused."""

from typing import Any
from uuid import UUID

from tests import servers
from tests.factories.experiment import Lab, leaves
from tests.rest.test_deployment import deploy, one, project
from tests.rest.test_rollout import until

__all__ = ["project"]


def call(lab: Lab, verb: str, path: str, status: int = 200, /, **body: Any) -> Any:
    answer = lab.client.request(verb, path, json=body or None)
    assert answer.status_code == status, answer.text
    return answer.json()


def grow(lab: Lab, seed: int = 1) -> str:
    """Another version of the lab's dataset."""
    version = lab.client.get("/api/datasets", params={"project_id": lab.project_id}).json()["items"][0]
    files = {"file": ("t.csv", leaves(260, seed))}
    answer = lab.client.post("/api/datasets/upload", data={"dataset_id": version["id"]}, files=files)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["version_id"])


def runs(lab: Lab, deployment: str, **params: str) -> list[dict[str, Any]]:
    return list(lab.client.get(f"{one(deployment)}/retrain-runs", params=params).json()["items"])


def ended(lab: Lab, deployment: str, number: int = 1) -> dict[str, Any]:
    """The newest of so many retrainings, once it has ended."""
    known = ("succeeded", "failed", "skipped", "cancelled")
    found = until(lambda: runs(lab, deployment), lambda got: len(got) == number and got[0]["status"] in known, secs=120)
    return dict(found[0])


def make_due(lab: Lab, deployment: str) -> None:
    """The schedule was due a week ago: nobody looked."""
    asked = f"UPDATE retrain_policies SET next_run_at = now() - interval '7 days' WHERE deployment_id = '{UUID(deployment)}'"
    servers.execute(lab.stack.database_url, asked)


def test_a_schedule_makes_a_challenger_and_promotes_nobody(own_lab: Lab) -> None:
    deployment = deploy(own_lab, "Leaves")
    policy = f"{one(deployment)}/retrain-policy"
    assert call(own_lab, "GET", policy) == {"retrain_policy": None}
    budget = {"max_models": 1, "max_runtime_secs": 50}
    made = call(own_lab, "PUT", policy, schedule="0 3 * * *", time_zone="Europe/Berlin", **budget)["retrain_policy"]
    assert (made["is_enabled"], len(made["next_runs"]), made["next_runs"][0]) == (True, 5, made["next_run_at"])

    make_due(own_lab, deployment)
    skipped = ended(own_lab, deployment)
    assert (skipped["status"], skipped["trigger"]) == ("skipped", "schedule")
    assert skipped["reason"] == "Nothing is new: version 1 was learned from already."
    version = grow(own_lab)
    make_due(own_lab, deployment)
    run = ended(own_lab, deployment, 2)
    assert run["status"] == "succeeded", run["reason"]
    assert (run["dataset_version_id"], run["previous_model_id"]) == (version, own_lab.models[0]["id"])
    assert (run["new_row_count"], run["metric"]) == (20, "auc")
    assert run["value"] is not None
    experiment = call(own_lab, "GET", f"/api/experiments/{run['experiment_id']}")
    assert {name: experiment["config"][name] for name in budget} == budget
    registry = call(own_lab, "GET", f"/api/mlops/projects/{own_lab.project_id}/registry")["items"]
    assert {one["id"]: one["challenger_of"] for one in registry if one["challenger_of"]} == {run["model_id"]: deployment}
    assert {one["parent_model_id"] for one in registry if one["id"] == run["model_id"]} == {own_lab.models[0]["id"]}
    assert call(own_lab, "GET", one(deployment))["deployment"]["model_id"] == own_lab.models[0]["id"]

    assert [one["id"] for one in runs(own_lab, deployment, status="succeeded", trigger="schedule")] == [run["id"]]
    assert runs(own_lab, deployment, trigger="drift") == []
    refused = call(own_lab, "PUT", policy, 422, schedule="0 3 * * *", time_zone="Europe/Zuerich")
    assert (refused["detail"][0]["loc"], "Europe/Zurich" in refused["detail"][0]["msg"]) == (["body", "time_zone"], True)

    answer = call(own_lab, "POST", f"{one(deployment)}/retrain", 202)
    assert answer["status"] == "pending"
    assert ended(own_lab, deployment, 3)["reason"] == "Nothing is new: version 2 was learned from already."
    assert call(own_lab, "DELETE", policy) == {"ok": True}
    assert call(own_lab, "DELETE", policy, 404)["detail"] == "Retrain policy not found"
