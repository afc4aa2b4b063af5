"""Deployments over REST (contract B.7): their life, what serves, and a log that loses nothing."""

import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

import orjson
import polars as pl
import pytest
from coreplexml import CorePlexMLClient

from coreplex.platform.document import MOST_KEPT
from tests import servers
from tests.factories.experiment import ROW, Lab, leaves
from tests.stack import ROOT

CHANGES = ("promote", "deactivate", "rollback", "predict")


@pytest.fixture
def project(trained: Lab) -> Lab:
    """The project with nothing deployed."""
    for item in listed(trained)["items"]:
        if item["status"] == "active":
            act(trained, item["id"], "deactivate")
        assert trained.client.delete(one(item["id"])).status_code == 200
    return trained


def listed(lab: Lab, **params: Any) -> dict[str, Any]:
    answer = lab.client.get(f"/api/mlops/projects/{lab.project_id}/deployments", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def one(deployment: str) -> str:
    return f"/api/mlops/deployments/{deployment}"


def deploy(lab: Lab, name: str = "d", stage: str = "production", model: int = 0, **more: Any) -> str:
    body = {"model_id": lab.models[model]["id"], "name": name, "stage": stage, **more}
    answer = lab.client.post(f"/api/mlops/projects/{lab.project_id}/deployments", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["deployment_id"])


def act(lab: Lab, deployment: str, action: str, status: int = 200, **body: Any) -> Any:
    answer = lab.client.post(f"{one(deployment)}/{action}", json=body or None)
    assert answer.status_code == status, answer.text
    return answer.json()


def state(lab: Lab, deployment: str) -> tuple[str, str]:
    found = lab.client.get(one(deployment)).json()["deployment"]
    return found["stage"], found["status"]


NOTHING = {
    **{"traffic_percent": 100, "strategy": "direct", "privacy_anonymize_logs": False, "privacy_anonymize_response": False},
    **{"privacy_column_map": {}, "privacy_policy_id": None, "privacy_threshold": None},
}
"""What is taken of fields whose modules do not exist yet (contract D.1), and what a deployment has of them."""


def test_a_deployment_and_its_fields(project: Lab) -> None:
    config = {**NOTHING, "mine": [1, {"a": None}]}
    body = {"model_id": project.models[0]["id"], "name": " d ", "stage": "staging", "config": config, **NOTHING}
    made = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body).json()
    assert made["id"] == made["deployment_id"] == made["deployment"]["id"]
    assert made["model"]["id"] == project.models[0]["id"]
    found = project.client.get(one(made["id"])).json()
    assert found == {"deployment": made["deployment"], "model": made["model"]}
    deployment = found["deployment"]
    assert (deployment["name"], deployment["stage"], deployment["status"]) == ("d", "staging", "active")
    assert {name: deployment[name] for name in NOTHING} == NOTHING
    assert deployment["config"] == config
    assert deployment["endpoint_url"] == f"{project.stack.base_url}{one(made['id'])}/predict"
    second = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body).json()["deployment"]
    assert second["version"] == 2
    wanted = {"name": "new", "traffic_percent": 100, "log_days": 30}
    changed = project.client.put(one(made["id"]), json=wanted).json()["deployment"]
    assert (changed["name"], changed["traffic_percent"], changed["log_days"]) == ("new", 100, 30)
    assert project.client.put(one(made["id"]), json={"log_days": 0}).json()["deployment"]["log_days"] is None
    assert listed(project, search="NEW")["total"] == 1
    assert listed(project, stage="production")["total"] == 0
    assert listed(project, status="active", sort_field="name", sort_direction="asc")["items"][0]["name"] == "d"


PROMISES = [
    ("privacy_anonymize_logs", True),
    *(("privacy_anonymize_response", True), ("privacy_column_map", {"x": "email"}), ("privacy_threshold", 0.5)),
]


@pytest.mark.parametrize(("name", "value"), PROMISES)
def test_what_no_module_does_yet_is_refused(project: Lab, name: str, value: Any) -> None:
    """Whoever asks for anonymous logs and gets them in clear is worse off than whoever is told that there are none."""
    body = {"model_id": project.models[0]["id"], "name": "d", "stage": "staging"}
    address = f"/api/mlops/projects/{project.project_id}/deployments"
    calls = [project.client.post(address, json={**body, **more}) for more in ({name: value}, {"config": {name: value}})]
    made = deploy(project, stage="staging")
    calls.append(project.client.put(one(made), json={"name": "other", name: value}))
    for answer in calls:
        assert answer.status_code == 422, answer.text
        (detail,) = answer.json()["detail"]
        assert (detail["loc"], detail["type"]) == (["body", name], "not_available")
        assert detail["msg"] == "Not available in this version; leave it out."
    assert project.client.get(one(made)).json()["deployment"].items() >= {**NOTHING, "name": "d"}.items()
    assert listed(project)["total"] == 1


@pytest.mark.parametrize("policy", ["01a22800-0000-7000-8000-000000000000", "nonsense"])
def test_there_is_no_policy_to_be_found(project: Lab, policy: str) -> None:
    body = {"model_id": project.models[0]["id"], "name": "d", "stage": "staging", "privacy_policy_id": policy}
    made = deploy(project, stage="staging")
    for answer in (
        project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body),
        project.client.put(one(made), json={"name": "other", "privacy_policy_id": policy}),
    ):
        assert (answer.status_code, answer.json()["detail"]) == (404, "Policy not found")
    assert project.client.get(one(made)).json()["deployment"]["name"] == "d"
    assert listed(project)["total"] == 1


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"stage": "moon"}, "stage"),
        ({"stage": None}, "stage"),
        ({"name": ""}, "name"),
        ({"model_id": None}, "model_id"),
        ({"traffic_percent": 0}, "traffic_percent"),
        ({"traffic_percent": 101}, "traffic_percent"),
        ({"traffic_percent": "50"}, "traffic_percent"),
        ({"log_days": -1}, "log_days"),
        ({"log_days": 3651}, "log_days"),
        ({"config": {"log_days": 1.5}}, "log_days"),
        ({"strategy": "luck"}, "strategy"),
        ({"config": [1]}, "config"),
        ({"config": {"traffic_percent": 0}}, "traffic_percent"),
        ({"privacy_threshold": 1.5}, "privacy_threshold"),
        ({"privacy_column_map": "x"}, "privacy_column_map"),
        ({"privacy_column_map": []}, "privacy_column_map"),
        ({"privacy_column_map": {"x": 1}}, "privacy_column_map"),
        ({"config": {"mine": "y" * MOST_KEPT}}, "config"),
        ({"config": {"privacy_column_map": {"x": "y" * MOST_KEPT}}}, "config"),
    ],
)
def test_wrong_values_are_named(project: Lab, more: dict[str, Any], key: str) -> None:
    body = {"model_id": project.models[0]["id"], "name": "d", "stage": "staging", **more}
    answer = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body)
    assert answer.status_code == 422, answer.text
    assert any(key in entry["loc"] for entry in answer.json()["detail"]), answer.text
    assert listed(project)["total"] == 0


def test_models_of_others(project: Lab) -> None:
    other = project.client.post("/api/projects", json={"name": "Other"}).json()["project_id"]
    body = {"model_id": project.models[0]["id"], "name": "d", "stage": "staging"}
    answer = project.client.post(f"/api/mlops/projects/{other}/deployments", json=body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "model_id"])
    for model in (str(uuid4()), "nonsense"):
        answer = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json={**body, "model_id": model})
        assert (answer.status_code, answer.json()["detail"]) == (404, "Model not found")
    with project.stack.client() as stranger:
        mine = stranger.post("/api/projects", json={"name": "Mine"}).json()["project_id"]
        answer = stranger.post(f"/api/mlops/projects/{mine}/deployments", json=body)
        assert (answer.status_code, answer.json()["detail"]) == (404, "Model not found")


def test_only_one_serves_in_production(project: Lab) -> None:
    first, second = deploy(project, "one"), deploy(project, "two", model=1)
    assert (state(project, first), state(project, second)) == (("production", "archived"), ("production", "active"))
    act(project, first, "predict", 409, inputs=ROW)
    third = deploy(project, "three", "staging")
    act(project, third, "promote", 422, to_stage="staging")
    assert act(project, third, "promote", 422, stage="production")["detail"][0]["loc"] == ["body", "to_stage"]
    act(project, third, "promote", to_stage="production")
    assert (state(project, second)[1], state(project, third)) == ("archived", ("production", "active"))
    act(project, third, "promote", 409, to_stage="production")
    act(project, second, "promote", 409, to_stage="production")
    flags = {model["id"]: model["is_production"] for model in project.models_of(project.experiment_id)}
    assert [flags[model["id"]] for model in project.models[:2]] == [True, False]


def test_going_back(project: Lab) -> None:
    only = deploy(project, "only")
    act(project, only, "rollback", 409)
    staged = deploy(project, "staged", "staging")
    act(project, staged, "rollback", 409)
    second = deploy(project, "second", model=1)
    back = act(project, second, "rollback")
    assert (back["id"], back["deployment"]["stage"], back["deployment"]["status"]) == (only, "production", "active")
    assert state(project, second) == ("production", "archived")
    named = act(project, only, "rollback", to_deployment_id=second)
    assert named["id"] == second
    act(project, second, "rollback", 409, to_deployment_id=second)
    act(project, second, "rollback", 404, to_deployment_id=str(uuid4()))
    both = act(project, second, "rollback", 422, to_deployment_id=only, to_model_id=project.models[0]["id"])
    assert both["detail"][0]["loc"] == ["body", "to_model_id"]
    model = act(project, second, "rollback", to_model_id=project.models[0]["id"])["deployment"]
    assert (model["id"], model["model_id"], model["previous_model_id"]) == (
        second,
        project.models[0]["id"],
        project.models[1]["id"],
    )
    act(project, second, "rollback", 409, to_model_id=project.models[0]["id"])
    act(project, staged, "rollback", to_model_id=project.models[1]["id"])
    assert act(project, staged, "rollback")["deployment"]["model_id"] == project.models[0]["id"]
    assert act(project, second, "predict", inputs=ROW)["model_id"] == project.models[0]["id"]


def test_no_way_back_displaces_or_changes_what_was_not_named(project: Lab) -> None:
    first, second = deploy(project, "first"), deploy(project, "second", model=1)
    before = project.client.get(one(first)).json()["deployment"]
    other = project.models[1]["id"]
    assert "only an active one" in act(project, first, "rollback", 409, to_model_id=other)["detail"]
    assert second in act(project, first, "rollback", 409)["detail"], "the one to roll back is named"
    challenger = deploy(project, "challenger", "staging")
    assert "promote it instead" in act(project, second, "rollback", 409, to_deployment_id=challenger)["detail"]
    assert project.client.get(one(first)).json()["deployment"] == before
    assert [state(project, one) for one in (second, challenger)] == [("production", "active"), ("staging", "active")]
    act(project, challenger, "deactivate")
    act(project, challenger, "rollback", 409, to_model_id=other)
    act(project, second, "rollback", to_deployment_id=challenger)
    assert [state(project, one) for one in (second, challenger)] == [("production", "active"), ("staging", "active")]
    act(project, second, "deactivate")
    assert act(project, second, "rollback")["id"] == first, "nothing serves: the one before does"


def test_deactivation_and_deletion(project: Lab) -> None:
    made = deploy(project)
    act(project, made, "predict", inputs=ROW)
    assert project.client.delete(one(made)).status_code == 409
    answer = project.client.post(f"{one(made)}/deactivate", content=b"", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["status"]) == (200, "inactive")
    assert "only an active one" in act(project, made, "predict", 409, inputs=ROW)["detail"]
    act(project, made, "deactivate", 409)
    act(project, made, "promote", 409, to_stage="production")
    assert project.client.delete(one(made)).json() == {"ok": True}
    for action in CHANGES:
        act(project, made, action, 404, inputs=ROW, to_stage="production")
    events = project.client.get(f"/api/projects/{project.project_id}/timeline").json()["events"]
    assert [event["type"] for event in events[:3]] == ["deployment.deleted", "deployment.deactivated", "deployment.created"]


def logged(lab: Lab, deployment: str, count: int) -> list[dict[str, Any]]:
    """The inference log once it has that many entries."""
    deadline = time.monotonic() + 30
    while True:
        found = lab.client.get(f"{one(deployment)}/logs", params={"limit": 500}).json()
        if found["total"] >= count or time.monotonic() > deadline:
            assert found["total"] == count
            return list(found["items"])
        time.sleep(0.1)


def test_every_row_is_logged_with_its_request(project: Lab) -> None:
    made = deploy(project)
    rows = [{**ROW, "size": float(i)} for i in range(5)]
    request = str(uuid4())
    answer = project.client.post(f"{one(made)}/predict", json={"inputs": rows}, headers={"X-Request-Id": request}).json()
    assert (answer["request_id"], answer["deployment_id"]) == (request, made)
    entries = sorted(logged(project, made, 5), key=lambda entry: entry["row_index"])
    assert [entry["row_index"] for entry in entries] == list(range(5))
    assert {entry["request_id"] for entry in entries} == {request}
    assert [entry["inputs"] for entry in entries] == rows
    assert [entry["output"] for entry in entries] == answer["predictions"]
    act(project, made, "predict", 422, inputs=[])
    act(project, made, "predict", inputs={**ROW, "kind": "a\0b"})
    entries = logged(project, made, 7)
    assert [entry["error"] is None for entry in entries].count(False) == 1
    deployment = project.client.get(one(made)).json()["deployment"]
    assert (deployment["request_count"], deployment["error_count"]) == (3, 1)
    assert project.client.get(f"{one(made)}/inference-logs").json()["total"] == 7


def test_the_log_as_a_file(project: Lab) -> None:
    made = deploy(project)
    rows = [{**ROW, "size": float(i)} for i in range(40)]
    answer = act(project, made, "predict", inputs=rows)
    act(project, made, "predict", 422, inputs=[])
    entries = logged(project, made, 41)

    def file(**params: Any) -> pl.DataFrame:
        found = project.client.get(f"{one(made)}/logs/download", params=params)
        assert (found.status_code, found.headers["content-type"]) == (200, "application/vnd.apache.parquet"), found.text
        return pl.read_parquet(found.content)

    whole = file()
    assert whole.height == 41
    assert [orjson.loads(one) for one in whole.filter(pl.col("error").is_null()).sort("row_index")["inputs"]] == rows
    assert set(whole["id"]) == {entry["id"] for entry in entries}
    first = orjson.loads(whole.filter(pl.col("error").is_null()).sort("row_index")["output"][0])
    assert first == answer["predictions"][0]
    assert whole["created_at"].is_sorted()
    assert file(failed=True)["error"].to_list() == [entry["error"] for entry in entries if entry["error"]]
    assert file(arm="shadow").height == file(created_from="2100-01-01T00:00:00Z").height == 0
    assert file(created_before="2100-01-01T00:00:00Z").height == 41
    asked = file(request_id=answer["request_id"].upper())
    assert set(asked["request_id"]) == {answer["request_id"]}
    assert (asked.height, asked["outcome"].null_count(), file(request_id="a\0b").height) == (40, 40, 0)
    refused = project.client.get(f"{one(made)}/logs/download", params={"created_from": "soon"})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["query", "created_from"])


def test_a_prediction_sent_again_under_its_key_is_logged_once(project: Lab) -> None:
    made = deploy(project)
    key = {"Idempotency-Key": str(uuid4())}
    first, again = [project.client.post(f"{one(made)}/predict", json={"inputs": ROW}, headers=key) for _ in range(2)]
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    act(project, made, "predict", inputs=ROW)
    logged(project, made, 2)
    # As a process leaves it that was killed after the entry was written and before the answer was kept.
    forget = "UPDATE idempotency_keys SET status = NULL, body = NULL, outcomes = '{}' WHERE key = "
    servers.execute(project.stack.database_url, f"{forget}'{key['Idempotency-Key']}'")
    rebuilt = project.client.post(f"{one(made)}/predict", json={"inputs": ROW}, headers=key)
    assert rebuilt.json()["predictions"] == first.json()["predictions"]
    assert rebuilt.json()["request_id"] == first.json()["request_id"], "by this the log knows it"
    other = project.client.post(f"{one(made)}/predict", json={"inputs": [ROW]}, headers=key)
    assert other.status_code == 409, "the key has an answer again"
    act(project, made, "predict", inputs=ROW)
    entries = logged(project, made, 3)
    assert sum(entry["request_id"] == first.json()["request_id"] for entry in entries) == 1


def test_a_mended_prediction_is_logged_as_of_now(project: Lab) -> None:
    """A refusal frees its key; what comes under it hours later has its own moment and request id."""
    made = deploy(project)
    key = {"Idempotency-Key": str(uuid4())}
    assert project.client.post(f"{one(made)}/predict", json={"inputs": []}, headers=key).status_code == 422
    earlier = f"UPDATE idempotency_keys SET created_at = created_at - interval '3 hours' WHERE key = '{key['Idempotency-Key']}'"
    servers.execute(project.stack.database_url, earlier)
    mended = project.client.post(f"{one(made)}/predict", json={"inputs": ROW}, headers=key)
    assert mended.headers["X-Request-Id"] == mended.json()["request_id"]
    entries = {entry["error"] is None: entry for entry in logged(project, made, 2)}
    assert entries[True]["request_id"] == mended.json()["request_id"]
    assert entries[True]["created_at"] >= entries[False]["created_at"]


def test_a_killed_web_process_loses_no_entry(project: Lab) -> None:
    made = deploy(project)
    for _ in range(5):
        act(project, made, "predict", inputs=[ROW, ROW])
    project.stack.kill("web")
    project.stack.start("web")
    entries = logged(project, made, 10)
    assert len({entry["request_id"] for entry in entries}) == 5
    assert project.client.get(one(made)).json()["deployment"]["request_count"] == 5


SCORE = """
import sys, orjson
from coreplex.engines.scoring.scorer import Scorer
predictions, _ = Scorer.load(sys.argv[1]).predict_rows(orjson.loads(sys.stdin.read()))
sys.stdout.write(orjson.dumps([dict(p) for p in predictions]).decode())
"""


def test_what_serves_is_what_was_trained(project: Lab, tmp_path: Any) -> None:
    """The deployment answers what the stored model answers in a process that knows no server."""
    names, *lines = leaves(40, seed=9).decode().splitlines()
    rows = [dict(zip(names.split(","), line.split(","), strict=True)) for line in lines]
    for number, model in enumerate(project.models):
        made = deploy(project, f"m{number}", model=number)
        served = act(project, made, "predict", inputs=rows)["predictions"]
        artifact = project.client.get(f"/api/models/{model['id']}").json()["artifact_id"]
        path = tmp_path / f"{number}.zip"
        path.write_bytes(project.client.get(f"/api/artifacts/{artifact}/download").content)
        command = [sys.executable, "-c", SCORE, str(path)]
        done = subprocess.run(command, input=orjson.dumps(rows), capture_output=True, cwd=ROOT, check=True)
        for ours, theirs in zip(served, orjson.loads(done.stdout), strict=True):
            assert ours["prediction"] == theirs["prediction"]
            assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-6)


def test_the_published_client(project: Lab) -> None:
    client = CorePlexMLClient(base_url=project.stack.base_url, api_key=project.key)
    made = client.deployments.create(project_id=project.project_id, model_id=project.models[0]["id"], name="c", stage="staging")
    assert client.deployments.list(project.project_id)["total"] == 1
    assert client.deployments.get(made["id"])
    assert client.deployments.promote(made["id"])["stage"] == "production"
    assert client.deployments.predict(deployment_id=made["id"], inputs=ROW)["predictions"]
    second = client.deployments.create(project_id=project.project_id, model_id=project.models[1]["id"], name="c2")
    client.deployments.promote(second["id"])
    client.deployments.rollback(second["id"])
    client.deployments.deactivate(made["id"])
    assert state(project, made["id"]) == ("production", "inactive")
