"""The registry of models over REST (contract B.7): versions, stages, lineage, notes, and the gate before production."""

import csv
from collections.abc import Mapping, Sequence
from typing import Any

from tests.factories.experiment import ONE_MODEL, Lab, leaves
from tests.rest.test_deployment import act, deploy, project, state
from tests.rest.test_rollout import predict, until

__all__ = ["project"]


def registered(lab: Lab) -> list[dict[str, Any]]:
    answer = lab.client.get(f"/api/mlops/projects/{lab.project_id}/registry", params={"limit": 100, "sort_field": "version"})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def trained_on(lab: Lab, version: str) -> list[dict[str, Any]]:
    experiment = lab.start(dataset_version_id=version, config=ONE_MODEL)
    assert lab.wait(experiment)["status"] == "succeeded"
    return [one for one in registered(lab) if one["experiment_id"] == experiment]


def test_versions_say_what_callers_must_know(own_lab: Lab) -> None:
    project = own_lab
    first = registered(project)
    serving = deploy(project, "a")
    parent = project.client.get(f"/api/mlops/deployments/{serving}").json()["deployment"]["model_id"]
    renamed = project.upload(leaves(seed=4).replace(b"size,weight", b"length,mass"), "Renamed")["version_id"]
    other, again = trained_on(project, renamed), trained_on(project, renamed)
    numbers = [[tuple(map(int, one["version"].split("."))) for one in models] for models in (first, other, again)]
    majors = [{number[0] for number in found} for found in numbers]
    assert majors[1] == majors[2] == {next(iter(majors[0])) + 1}, "other columns are another first number"
    assert {number[1] for number in numbers[1]} == {0}
    assert {number[1] for number in numbers[2]} == {1}, "another experiment, the same columns"
    for found in numbers:
        assert sorted(number[2] for number in found) == list(range(len(found)))
    everywhere = [one["version"] for one in registered(project)]
    assert len(set(everywhere)) == len(everywhere) > len(first)
    assert {one["parent_model_id"] for one in (*other, *again)} == {parent}
    assert {one["dataset_version_id"] for one in other} == {renamed}


def test_stages_and_notes(project: Lab) -> None:
    def stages() -> dict[str, str]:
        return {one["id"]: one["stage"] for one in registered(project)}

    first, second = (project.models[place]["id"] for place in (0, 1))
    assert stages()[first] == "candidate"
    staged = deploy(project, "a", "staging")
    assert stages()[first] == "staging"
    act(project, staged, "promote", to_stage="production")
    deploy(project, "b", model=1)
    assert (stages()[first], stages()[second]) == ("retired", "production")
    noted = project.client.put(f"/api/models/{second}", json={"notes": "Holds on the table of May."})
    assert noted.json()["model"]["notes"] == "Holds on the table of May."
    assert project.client.put(f"/api/models/{second}", json={"notes": "x" * 10_001}).status_code == 422
    assert next(one for one in registered(project) if one["id"] == second)["notes"] == "Holds on the table of May."


def test_the_gate_keeps_worse_models_out_unless_somebody_says_why(project: Lab) -> None:
    metrics = [model["metrics"]["logloss"] for model in project.models[:2]]
    worse = metrics.index(max(metrics))
    gate = f"/api/mlops/projects/{project.project_id}/promotion-gate"
    assert project.client.get(gate).json() == {"promotion_gate": None}
    assert project.client.put(gate, json={"metric": "luck"}).status_code == 422
    keyed = {"Idempotency-Key": "gate"}
    made, again = [project.client.put(gate, json={"metric": "logloss"}, headers=keyed) for _ in range(2)]
    assert (again.content, again.headers["Idempotent-Replayed"]) == (made.content, "true")
    made = made.json()["promotion_gate"]
    assert (made["metric"], made["max_loss"]) == ("logloss", 0)
    present = deploy(project, "good", model=1 - worse)
    body = {"model_id": project.models[worse]["id"], "name": "bad", "stage": "production"}
    refused = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body)
    assert (refused.status_code, state(project, present)) == (409, ("production", "active"))
    assert "logloss of this model is" in refused.json()["detail"]
    staged = deploy(project, "bad", "staging", model=worse)
    act(project, staged, "promote", 409, to_stage="production")
    act(project, present, "canary", 201, candidate_deployment_id=staged, steps=[50])
    act(project, present, "canary/advance", 409)
    act(project, present, "canary/advance", 409, override_reason=" \n")
    assert state(project, staged) == ("staging", "active")
    act(project, present, "canary/advance", override_reason="the better one needs a column we lose")
    assert (state(project, staged), state(project, present)[1]) == (("production", "active"), "archived")
    events = project.client.get(f"/api/projects/{project.project_id}/timeline", params={"limit": 50}).json()["events"]
    (told,) = [event["message"] for event in events if event["type"] == "deployment.gate_overridden"]
    assert "the better one needs a column we lose" in told
    wide = max(metrics) - min(metrics) + 1
    assert project.client.put(gate, json={"metric": "logloss", "max_loss": wide}).status_code == 200
    deploy(project, "better", model=1 - worse)
    deploy(project, "within the limit", model=worse)
    for nothing in ({}, {"max_loss": 1}, {"metrik": "logloss"}):
        refused = project.client.put(gate, json=nothing)
        assert refused.status_code == 422, nothing
    assert "you sent 'metrik'" in refused.text
    assert project.client.get(gate).json()["promotion_gate"]["max_loss"] == wide
    assert project.client.put(gate, json={"metric": None}).json() == {"promotion_gate": None}


def test_there_is_no_way_around_the_gate(project: Lab) -> None:
    metrics = [model["metrics"]["logloss"] for model in project.models[:2]]
    worse = metrics.index(max(metrics))
    bad, good = (project.models[number]["id"] for number in (worse, 1 - worse))
    present = deploy(project, "good", model=1 - worse)
    swapped = deploy(project, "swapped", "staging", model=worse)
    act(project, swapped, "rollback", to_model_id=good)
    project.client.put(f"/api/mlops/projects/{project.project_id}/promotion-gate", json={"metric": "logloss"})
    act(project, present, "rollback", 409, to_model_id=bad)
    act(project, present, "canary", 409, candidate_model_id=bad, steps=[100])
    tried = deploy(project, "tried", model=worse, strategy="canary")
    act(project, tried, "canary/abort")
    act(project, present, "rollback", 409, to_deployment_id=tried)
    assert (state(project, present), state(project, tried)) == (("production", "active"), ("production", "inactive"))
    act(project, swapped, "promote", to_stage="production")
    act(project, swapped, "rollback", 409, to_model_id=bad)
    assert act(project, swapped, "rollback", to_model_id=bad, override_reason="we must")["deployment"]["model_id"] == bad
    act(project, swapped, "rollback", to_model_id=good)
    assert act(project, swapped, "rollback", to_model_id=bad)["deployment"]["previous_model_id"] == good, "it has served there"
    act(project, swapped, "rollback")
    started = act(project, present, "canary", 201, candidate_model_id=good, steps=[100], override_reason="it is as good")
    assert started["canary"]["percent"] == 100


def test_the_gate_looks_at_what_production_is_asked(project: Lab) -> None:
    gate = f"/api/mlops/projects/{project.project_id}/promotion-gate"
    made = project.client.put(gate, json={"max_drift": 0.25}).json()["promotion_gate"]
    assert (made["metric"], made["max_drift"]) == (None, 0.25)
    assert project.client.put(gate, json={"max_drift": 0}).status_code == 422

    def ask(deployment: str, rows: Sequence[Mapping[str, Any]]) -> None:
        logs = f"/api/mlops/deployments/{deployment}/logs"
        predict(project, deployment, rows)
        until(lambda: dict(project.client.get(logs).json()), lambda found: found["total"] == len(rows))

    usual = list(csv.DictReader(leaves(300, seed=9).decode().splitlines()))
    first = deploy(project, "first")
    second = deploy(project, "nothing was asked yet", model=1)
    assert state(project, first)[1] == "archived"
    ask(second, usual)
    third = deploy(project, "what was asked is as usual")
    ask(third, [{**row, "size": float(row["size"]) + 3} for row in usual])
    body = {"model_id": project.models[1]["id"], "name": "moved", "stage": "production"}
    path = f"/api/mlops/projects/{project.project_id}/deployments"
    refused = project.client.post(path, json=body)
    assert (refused.status_code, state(project, third)) == (409, ("production", "active"))
    assert "column 'size' has a PSI of" in refused.json()["detail"]
    assert project.client.post(path, json={**body, "override_reason": "the scale was exchanged"}).status_code == 201
    assert state(project, third)[1] == "archived"
    assert project.client.put(gate, json={"max_drift": None}).json() == {"promotion_gate": None}
