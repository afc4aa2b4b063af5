"""Canaries, shadows and shares of traffic over REST (contract B.7): who answers, what is counted, and how it ends."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from scipy.stats import binomtest

from tests.factories.experiment import ONE_MODEL, ROW, Lab, leaves
from tests.rest.test_deployment import act, deploy, listed, logged, one, project, state

__all__ = ["project"]
ROWS = [{**ROW, "size": float(number) / 100} for number in range(400)]


def predict(lab: Lab, deployment: str, rows: Any, **options: Any) -> dict[str, Any]:
    body = {"inputs": rows, **({"options": options} if options else {})}
    answer = lab.client.post(f"{one(deployment)}/predict", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def arms(lab: Lab, deployment: str, rows: list[Any], **options: Any) -> list[str]:
    """Which deployment answered each row."""
    answer = predict(lab, deployment, rows, **options)
    return [str(one.get("deployment_id", answer["deployment_id"])) for one in answer["predictions"]]


def until(found: Callable[[], Any], enough: Callable[[Any], bool], secs: float = 20) -> Any:
    deadline = time.monotonic() + secs
    while not enough(got := found()):
        assert time.monotonic() < deadline, got
        time.sleep(0.1)
    return got


def canary(lab: Lab, deployment: str) -> dict[str, Any]:
    answer = lab.client.get(f"{one(deployment)}/canary")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["canary"])


def shadow(lab: Lab, deployment: str) -> dict[str, Any]:
    return dict(lab.client.get(f"{one(deployment)}/shadow").json()["shadow"])


def start(lab: Lab, deployment: str, kind: str = "canary", status: int = 201, **body: Any) -> Any:
    answer = lab.client.post(f"{one(deployment)}/{kind}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_a_share_of_production_leaves_the_rest_to_the_one_before(project: Lab) -> None:
    body = {"model_id": project.models[1]["id"], "name": "b", "stage": "production", "traffic_percent": 25}
    alone = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body)
    assert (alone.status_code, listed(project)["total"]) == (409, 0), "nothing would answer the rest"
    before = deploy(project, "a")
    new = deploy(project, "b", model=1, traffic_percent=25)
    assert state(project, before) == ("production", "archived")
    found = arms(project, new, ROWS)
    assert binomtest(found.count(new), len(ROWS), 0.25).pvalue > 1e-4
    assert set(found) == {before, new}
    shuffled = [dict(reversed(row.items())) for row in ROWS]
    assert arms(project, new, shuffled) == found, "the order of columns is not the row"
    single = [predict(project, new, row) for row in ROWS[:20]]
    assert [answer["deployment_id"] for answer in single] == found[:20]
    models = {before: project.models[0]["id"], new: project.models[1]["id"]}
    assert [answer["model_id"] for answer in single] == [models[deployment] for deployment in found[:20]]
    assert project.client.delete(one(before)).status_code == 409
    assert project.client.delete(f"/api/models/{project.models[0]['id']}").status_code == 409
    assert act(project, new, "rollback")["id"] == before
    assert predict(project, before, ROW)["deployment_id"] == before


def test_every_row_has_the_answer_of_its_deployment(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    own = {deployment: predict(project, deployment, ROWS)["predictions"] for deployment in (before, new)}
    started = start(project, before, candidate_deployment_id=new, steps=[40, 100])["canary"]
    assert (started["percent"], started["status"], started["baseline_deployment_id"]) == (40, "running", before)
    answer = predict(project, before, [*ROWS, {**ROW, "kind": "never seen"}])
    split = answer["predictions"][:-1]
    chosen = [prediction.pop("deployment_id") for prediction in split]
    for prediction in split:
        prediction.pop("model_id")
    assert split == [own[deployment][place] for place, deployment in enumerate(chosen)]
    assert Counter(chosen).keys() == {before, new}
    assert [warning["row"] for warning in answer["warnings"] if warning["kind"] == "unseen_category"] == [400]
    assert {prediction["prediction"] for prediction in predict(project, new, ROWS)["predictions"]} <= {"yes", "no"}
    assert set(arms(project, new, ROWS)) == {new}, "in staging the candidate answers alone"
    until(lambda: canary(project, new), lambda found: found["candidate_row_count"] + found["baseline_row_count"] >= 401)
    rows = project.client.get(f"{one(new)}/logs", params={"limit": 500, "arm": "candidate"}).json()["items"]
    assert sorted(entry["row_index"] for entry in rows if entry["request_id"] == answer["request_id"]) == [
        place
        for place, deployment in enumerate(arms(project, before, [*ROWS, {**ROW, "kind": "never seen"}]))
        if deployment == new
    ]
    later = {"created_from": "2100-01-01T00:00:00Z", "arm": "candidate", "request_id": answer["request_id"]}
    assert project.client.get(f"{one(new)}/logs", params=later).json()["total"] == 0


def test_keys_decide_over_the_arm(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, before, candidate_deployment_id=new, steps=[50, 100])
    keys = [f"customer-{number % 40}" for number in range(400)]
    found = arms(project, before, ROWS, keys=keys)
    by_key = {key: {arm for other, arm in zip(keys, found, strict=True) if other == key} for key in keys}
    assert all(len(of_key) == 1 for of_key in by_key.values()), "one key, one arm"
    assert set(found) == {before, new}
    plain = {**ROW, "amount": 1.0}
    odd = [{**plain, "kind": "never seen"} if place in {250, 251, 252, 253} else plain for place in range(400)]
    strict = project.client.post(f"{one(before)}/predict", json={"inputs": odd, "options": {"keys": keys, "strict": True}})
    assert strict.status_code == 422
    assert {error["loc"][2] for error in strict.json()["detail"]} <= {250, 251, 252, 253}, strict.text
    assert arms(project, before, [ROW] * 40, keys=keys[:40]) == found[:40]
    wrong = project.client.post(f"{one(before)}/predict", json={"inputs": ROWS[:3], "options": {"keys": ["a"]}})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "options", "keys"])


def test_a_canary_goes_to_the_end_and_both_addresses_go_on(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, before, candidate_deployment_id=new, steps=[5, 50], min_row_count=3)
    refused = project.client.post(f"{one(before)}/canary/advance")
    assert refused.status_code == 409
    assert "of at least 3 rows" in refused.json()["detail"]
    found = arms(project, before, ROWS)
    early = {place for place, deployment in enumerate(found) if deployment == new}
    until(lambda: canary(project, before), lambda got: got["step_lacks"] is None)
    stepped = act(project, before, "canary/advance", from_percent=5)["canary"]
    assert (stepped["percent"], stepped["step"]) == (50, 1)
    late = project.client.post(f"{one(before)}/canary/advance", json={"from_percent": 5, "force": True})
    assert (late.status_code, late.json()["detail"]) == (409, "It has 50 % of the rows by now; look again.")
    assert canary(project, before)["percent"] == 50
    later = {place for place, deployment in enumerate(arms(project, before, ROWS)) if deployment == new}
    assert early < later, "what a candidate answers it keeps"
    done = act(project, before, "canary/advance", force=True)["canary"]
    assert (done["status"], done["percent"]) == ("completed", 100)
    assert (state(project, new), state(project, before)) == (("production", "active"), ("production", "archived"))
    assert set(arms(project, before, ROWS)) == set(arms(project, new, ROWS)) == {new}
    back = act(project, new, "rollback")
    assert back["id"] == before
    assert set(arms(project, before, ROWS)) == set(arms(project, new, ROWS)) == {before}
    events = project.client.get(f"/api/projects/{project.project_id}/timeline").json()["events"]
    assert {"canary.started", "canary.advanced", "canary.completed"} <= {event["type"] for event in events}


def test_a_deployment_may_come_as_a_canary(project: Lab) -> None:
    body = {"model_id": project.models[1]["id"], "name": "b", "stage": "production", "strategy": "canary"}
    address = f"/api/mlops/projects/{project.project_id}/deployments"
    assert project.client.post(address, json=body).status_code == 409, "none to stand beside"
    before = deploy(project, "a")
    new = deploy(project, "b", model=1, strategy="canary", traffic_percent=30)
    made = project.client.get(one(new)).json()["deployment"]
    assert (made["stage"], made["status"], made["traffic_percent"], made["is_candidate"]) == ("production", "active", 30, True)
    assert canary(project, before)["steps"] == [30, 50, 100]
    assert arms(project, new, ROWS) == arms(project, before, ROWS), "both are the address of production"
    assert project.client.put(one(new), json={"traffic_percent": 60}).status_code == 409
    aborted = act(project, before, "canary/abort", reason="too slow")["canary"]
    assert (aborted["status"], aborted["reason"]) == ("aborted", "too slow")
    assert state(project, new) == ("production", "inactive")
    assert set(arms(project, before, ROWS)) == {before}
    act(project, before, "canary/abort", 409)
    assert act(project, before, "predict", inputs=ROW)["deployment_id"] == before


@pytest.mark.parametrize("way", ["rollback", "deactivate", "promote"])
def test_other_ways_to_end_a_canary(project: Lab, way: str) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, new)
    if way == "rollback":
        assert act(project, before, "rollback")["id"] == before
        assert (state(project, new), canary(project, new)["status"]) == (("staging", "active"), "aborted")
    elif way == "deactivate":
        act(project, before, "deactivate")
        assert (state(project, new), canary(project, new)["status"]) == (("staging", "active"), "aborted")
    else:
        act(project, new, "promote", to_stage="production")
        assert (state(project, before)[1], canary(project, new)["status"]) == ("archived", "completed")
        assert predict(project, before, ROW)["deployment_id"] == new


def test_what_cannot_stand_beside_each_other(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    third = deploy(project, "c", "staging", model=1)
    start(project, third, candidate_deployment_id=new, status=409)
    start(project, before, candidate_deployment_id=before, status=422)
    start(project, before, status=422)
    start(project, before, candidate_deployment_id=str(uuid4()), status=404)
    start(project, before, candidate_deployment_id=new, candidate_model_id=project.models[1]["id"], status=422)
    for steps in ([], [50, 20], [0, 50], [10, 10], [101], "all", [{"percent": 5}]):
        start(project, before, candidate_deployment_id=new, steps=steps, status=422)
    wrong = start(project, before, candidate_deployment_id=new, steps=[50, 0], status=422)
    assert wrong["detail"][0]["loc"] == ["body", "steps", 1]
    start(project, before, candidate_deployment_id=new, max_error_increase=1.5, status=422)
    assert project.client.get(f"{one(before)}/canary").json() == {"canary": None}
    assert listed(project)["total"] == 3
    assert start(project, before, candidate_model_id=project.models[1]["id"])["canary"]["status"] == "running"
    start(project, before, candidate_deployment_id=new, status=409)
    start(project, before, "shadow", candidate_deployment_id=new)
    assert listed(project)["total"] == 4
    rollouts = project.client.get(f"/api/mlops/projects/{project.project_id}/rollouts", params={"kind": "shadow"}).json()
    assert (rollouts["total"], rollouts["items"][0]["candidate_deployment_id"]) == (1, new)
    for taking_part in (before, new):
        refused = project.client.put(one(taking_part), json={"name": "share", "traffic_percent": 50})
        assert (refused.status_code, "takes part in a" in refused.json()["detail"]) == (409, True)
    assert project.client.put(one(before), json={"name": "a", "traffic_percent": 100}).status_code == 200
    act(project, new, "deactivate")
    assert shadow(project, before)["status"] == "aborted"
    act(project, before, "canary/abort")
    start(project, before, candidate_model_id=project.models[1]["id"])
    assert {made["version"] for made in listed(project)["items"] if made["name"] == "a candidate"} == {1, 2}


def stranger(lab: Lab) -> str:
    """A staging deployment of a model that knows no column of the rows, and predicts the same."""
    content = leaves(seed=3).replace(b"size,weight,kind", b"length,mass,species")
    version = lab.upload(content, "Other names")["version_id"]
    experiment = lab.start(dataset_version_id=version, config={**ONE_MODEL, "ignored_columns": ["amount"]})
    assert lab.wait(experiment)["status"] == "succeeded"
    model = lab.models_of(experiment)[0]["id"]
    body = {"model_id": model, "name": "stranger", "stage": "staging"}
    return str(lab.client.post(f"/api/mlops/projects/{lab.project_id}/deployments", json=body).json()["deployment_id"])


def test_a_canary_that_fails_stops_by_itself_and_costs_no_answer(own_lab: Lab) -> None:
    """It knows none of the columns: each request it is given fails, and the production deployment answers."""
    project = own_lab
    before, new = deploy(project, "a"), stranger(project)
    start(project, before, candidate_deployment_id=new, steps=[50, 100])
    failed = 0
    for row in ROWS:
        answer = predict(project, before, row)
        assert answer["deployment_id"] == before
        failed += any(warning["kind"] == "candidate_failed" for warning in answer["warnings"])
        if failed == 50:
            break
    assert failed
    stopped = until(lambda: canary(project, before), lambda got: got["status"] == "stopped", 10)
    assert "requests failed" in stopped["reason"]
    assert state(project, new) == ("staging", "active")
    assert stopped["candidate_error_count"] == stopped["candidate_request_count"] > 0
    assert stopped["baseline_error_count"] == 0
    assert set(arms(project, before, ROWS)) == {before}


def test_a_shadow_is_asked_and_never_heard(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    own = predict(project, before, ROWS)["predictions"]
    theirs = predict(project, new, ROWS)["predictions"]
    logged(project, new, 400)
    start(project, before, "shadow", candidate_deployment_id=new)
    answer = predict(project, before, ROWS)
    assert (answer["predictions"], answer["deployment_id"]) == (own, before)
    entries = [entry for entry in logged(project, new, 800) if entry["arm"] == "shadow"]
    assert sorted(entry["row_index"] for entry in entries) == list(range(400))
    assert {entry["request_id"] for entry in entries} == {answer["request_id"]}
    for entry in entries:
        assert entry["output"] == theirs[entry["row_index"]]
    found = until(lambda: shadow(project, new), lambda got: got["compared_row_count"] == 400)
    same = sum(mine["prediction"] == other["prediction"] for mine, other in zip(own, theirs, strict=True))
    assert found["agreement_rate"] == pytest.approx(same / 400)
    assert (found["candidate_row_count"], found["skipped_row_count"]) == (400, 0)
    assert project.client.get(one(new)).json()["deployment"]["request_count"] == 1, "of what it answered"
    stopped = act(project, new, "shadow/stop")["shadow"]
    assert stopped["status"] == "aborted"
    predict(project, before, ROWS)
    logged(project, before, 1200)
    assert shadow(project, new)["candidate_row_count"] == 400


def test_a_canary_advances_by_itself(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, before, candidate_deployment_id=new, steps=[50, 80], min_row_count=5, min_secs=1, auto_advance=True)

    def asked() -> dict[str, Any]:
        predict(project, before, ROWS[:50])
        return canary(project, before)

    assert until(asked, lambda got: got["status"] == "completed", 60)["reason"] is None
    assert state(project, new) == ("production", "active")
