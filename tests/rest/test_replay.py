"""Replays over REST: logged rows answered by a candidate, what they come to, and the gate that asks for one."""

import csv
from collections.abc import Iterator
from typing import Any

import pytest

from tests.factories.dataset import table
from tests.factories.experiment import FINAL, ONE_MODEL, Lab, leaves
from tests.rest.test_deployment import act, deploy, one, project, state
from tests.rest.test_outcome import post
from tests.rest.test_rollout import predict, until

__all__ = ["project"]
LEAVES = list(csv.DictReader(leaves(400, seed=5).decode().splitlines()))
ROWS = [{name: row[name] for name in ("size", "weight", "kind")} for row in LEAVES]
OTHER = {"yes": "no", "no": "yes"}


def contrary() -> bytes:
    """The table with the other label in each row: a model of it says the contrary of what the others say."""
    return leaves().replace(b",yes,", b",YES,").replace(b",no,", b",yes,").replace(b",YES,", b",no,")


@pytest.fixture
def candidate(project: Lab) -> Iterator[str]:
    """A model that says the contrary, whose table is older than what is asked."""
    version = project.upload(contrary(), "Contrary")["version_id"]
    experiment = project.start(dataset_version_id=version, config=ONE_MODEL)
    assert project.wait(experiment)["status"] == "succeeded"
    yield project.models_of(experiment)[0]["id"]
    assert project.client.delete(f"/api/experiments/{experiment}?force=true").status_code in (200, 204)


def asked(lab: Lab, deployment: str, rows: list[Any] = ROWS) -> list[tuple[dict[str, Any], str]]:
    """Where each row is, and what was answered; afterwards the log has them."""
    before = lab.client.get(f"{one(deployment)}/logs").json()["total"]
    found = predict(lab, deployment, rows)
    until(lambda: lab.client.get(f"{one(deployment)}/logs").json()["total"], lambda got: got == before + len(rows))
    return [
        ({"request_id": found["request_id"], "row_index": place}, one["prediction"])
        for place, one in enumerate(found["predictions"])
    ]


def replay(lab: Lab, deployment: str, model: str, wanted: str = "succeeded", **more: Any) -> dict[str, Any]:
    made = lab.client.post(f"{one(deployment)}/replays", json={"model_id": model, **more})
    assert made.status_code == 202, made.text
    assert made.json()["status"] == "queued"
    path = f"/api/mlops/replays/{made.json()['replay_id']}"
    ended = until(lambda: lab.client.get(path).json()["replay"], lambda got: got["status"] in ("succeeded", "failed"), 90)
    assert ended["status"] == wanted, (ended, lab.stack.log()[-3000:])
    return dict(ended)


def answers(lab: Lab, model: str, rows: list[Any] = ROWS) -> list[str]:
    body = {"inputs": rows}
    return [one["prediction"] for one in lab.client.post(f"/api/models/{model}/predict", json=body).json()["predictions"]]


def test_a_candidate_answers_what_was_asked_and_proves_itself_before_it_comes_in(project: Lab, candidate: str) -> None:
    present = deploy(project, "present")
    rows = asked(project, present)
    theirs = answers(project, candidate)
    first = replay(project, present, candidate)
    agreement = sum(mine == given for mine, (_, given) in zip(theirs, rows, strict=True)) / len(rows)
    assert agreement < 0.2
    assert (first["row_count"], first["logged_row_count"], first["failed_row_count"]) == (400, 400, 0)
    assert (first["verdict"], first["agreement"], first["look"]) == ("no_outcomes", pytest.approx(agreement), 1)
    assert (first["outcome_count"], first["gain"], first["warnings"]) == (0, None, [])
    changes = {(one["served"], one["candidate"]): one["row_count"] for one in first["report"]["changes"]}
    assert sum(changes.values()) == 400
    assert sum(rows for (a, b), rows in changes.items() if a == b) == round(agreement * 400)
    far = first["report"]["disagreements"]
    assert len(far) == 20
    assert [one["distance"] for one in far] == sorted((one["distance"] for one in far), reverse=True)
    assert {one["request_id"] for one in far} == {rows[0][0]["request_id"]}
    assert all(one["served"] == rows[one["row_index"]][1] != one["candidate"] for one in far)
    assert first["report"]["latency_ms"]["p50"] > 0

    # What production asks for: a proof, which there is none of yet.
    gate = f"/api/mlops/projects/{project.project_id}/promotion-gate"
    made = project.client.put(gate, json={"replay_verdict": "not_worse"}).json()["promotion_gate"]
    assert (made["replay_verdict"], made["replay_margin"], made["replay_max_age_days"], made["metric"]) == (
        "not_worse",
        None,
        7,
        None,
    )
    staged = deploy_model(project, candidate)
    refused = act(project, staged, "promote", 409, to_stage="production")
    assert "knows no outcomes" in refused["detail"]
    assert (state(project, staged), state(project, present)) == (("staging", "active"), ("production", "active"))

    # The outcomes are what the candidate says in all but a few rows: it is better, and comes in.
    truth = [OTHER[said] if place % 20 == 0 else said for place, said in enumerate(theirs)]
    post(project, present, [{**place, "outcome": said} for (place, _), said in zip(rows, truth, strict=True)])
    found = replay(project, present, candidate, slices=["kind", "size", "colour"])
    wrong = [given != said for (_, given), said in zip(rows, truth, strict=True)]
    served = sum(wrong) / 400
    assert (found["outcome_count"], found["look"]) == (400, 1), "the same rows, with more outcomes"
    assert found["unit_count"] == len({tuple(row.values()) for row in ROWS})
    assert (found["served_loss"], found["candidate_loss"]) == (pytest.approx(served), pytest.approx(0.05))
    assert found["gain"] == pytest.approx(served - 0.05, abs=0.02), "over the different rows"
    assert 0 < found["gain_lower"] < found["gain"] < found["gain_upper"] <= 1
    assert (found["verdict"], found["margin"]) == ("better", 0.01)
    accuracy = next(one for one in found["report"]["metrics"] if one["name"] == "accuracy")
    assert (accuracy["served"], accuracy["candidate"]) == (pytest.approx(1 - served), pytest.approx(0.95))
    assert ["'colour'" in one for one in found["warnings"]] == [True]
    slices = found["report"]["slices"]
    assert {one["column"] for one in slices} == {"kind", "size"}
    assert [one["gain_upper"] for one in slices] == sorted(one["gain_upper"] for one in slices)
    assert sum(one["row_count"] for one in slices if one["column"] == "size") == 400
    assert {one["value"] for one in slices if one["column"] == "kind"} == {"a", "b", "c"}
    strict = {"verdict": "better", "margin": 0.5, "max_age_days": 1}
    act(project, staged, "promote", to_stage="production", require_replay=strict)
    assert (state(project, staged), state(project, present)) == (("production", "active"), ("production", "archived"))
    assert project.client.put(gate, json={"replay_verdict": None}).json() == {"promotion_gate": None}


def deploy_model(lab: Lab, model: str) -> str:
    body = {"model_id": model, "name": "candidate", "stage": "staging"}
    answer = lab.client.post(f"/api/mlops/projects/{lab.project_id}/deployments", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["deployment_id"])


def test_the_gate_keeps_out_what_costs_more_by_every_way_in(project: Lab, candidate: str) -> None:
    present = deploy(project, "present")
    rows = asked(project, present)
    staged = deploy_model(project, candidate)
    refused = act(project, staged, "promote", 409, to_stage="production", require_replay={"verdict": "better"})
    assert "none of this model has succeeded" in refused["detail"], "asked for without a gate of the project"
    post(project, present, [{**place, "outcome": said} for place, said in rows])
    found = replay(project, present, candidate)
    assert (found["verdict"], found["served_loss"]) == ("worse", 0)
    wide = replay(project, present, candidate, margin=2)
    assert (wide["verdict"], wide["look"]) == ("not_worse", 1), "by a margin that the gate does not take over"
    unsure = replay(project, present, candidate, margin=2, confidence_level=0.5)
    assert unsure["gain_upper"] < wide["gain_upper"]
    assert found["gain_upper"] < 0
    gate = f"/api/mlops/projects/{project.project_id}/promotion-gate"
    assert project.client.put(gate, json={"replay_verdict": "splendid"}).status_code == 422
    assert project.client.put(gate, json={"replay_verdict": "not_worse", "replay_max_age_days": 0}).status_code == 422
    assert project.client.put(gate, json={"replay_verdict": "not_worse"}).status_code == 200
    refused = act(project, staged, "promote", 409, to_stage="production")
    assert "does not say that it is not_worse" in refused["detail"]
    assert wide["id"] in refused["detail"], "the latest of those that are certain enough"
    direct = {"model_id": candidate, "name": "direct", "stage": "production"}
    path = f"/api/mlops/projects/{project.project_id}/deployments"
    for strategy in ("direct", "blue_green"):
        assert project.client.post(path, json={**direct, "strategy": strategy}).status_code == 409
    act(project, present, "rollback", 409, to_model_id=candidate)
    act(project, present, "canary", 409, candidate_deployment_id=staged, steps=[100])
    act(project, present, "canary", 201, candidate_deployment_id=staged, steps=[50])
    act(project, present, "canary/advance", 409)
    assert state(project, present) == ("production", "active")
    assert project.client.put(gate, json={"replay_verdict": "not_worse", "replay_margin": 1.5}).status_code == 200
    act(project, present, "canary/advance")
    assert (state(project, staged), state(project, present)[1]) == (("production", "active"), "archived")
    assert project.client.put(gate, json={"replay_verdict": None}).json() == {"promotion_gate": None}


def test_rows_that_a_candidate_cannot_answer_are_failures_with_their_reason(project: Lab) -> None:
    version = project.upload(leaves().replace(b"size,weight,kind", b"length,mass,form"), "Other names")["version_id"]
    experiment = project.start(dataset_version_id=version, config=ONE_MODEL)
    assert project.wait(experiment)["status"] == "succeeded"
    model = project.models_of(experiment)[0]["id"]
    present = deploy(project, "present")
    rows = asked(project, present, [*ROWS[:60], *({**row, "length": row["size"]} for row in ROWS[60:100])])
    post(project, present, [{**place, "outcome": said} for place, said in rows])
    found = replay(project, present, model)
    (failure,) = found["report"]["failures"]
    assert (failure["reason"], failure["row_count"], failure["request_id"]) == ("no_column_known", 60, rows[0][0]["request_id"])
    assert (found["row_count"], found["failed_row_count"]) == (100, 60)
    assert found["candidate_loss"] >= 0.6, "a row without an answer is a wrong one"
    assert found["verdict"] == "worse"
    strict = replay(project, present, model, is_strict=True)
    assert (strict["failed_row_count"], strict["look"]) == (100, 2), "another way of asking is another look"
    reasons = {one["reason"]: one["row_count"] for one in strict["report"]["failures"]}
    assert reasons.pop("no_column_known") == 60
    assert set(reasons) <= {"strict_missing_column", "strict_extra_column"}
    assert sum(reasons.values()) == 40
    wider = strict["gain_upper"] - strict["gain_lower"]
    assert wider > 0


def test_what_cannot_be_replayed_is_refused(project: Lab) -> None:
    present, model = deploy(project, "present"), project.models[1]["id"]
    path = f"{one(present)}/replays"
    amounts = project.start(target_column="amount", problem_type="regression", config=ONE_MODEL)
    assert project.wait(amounts)["status"] == "succeeded"
    number = project.models_of(amounts)[0]["id"]
    for part, wrong in {
        "predicts “amount”": {"model_id": number},
        "length of time": {"window": "a while"},
        "not both": {"window": "1d", "since": "2020-01-01T00:00:00Z"},
        "before until": {"since": "2999-01-01T00:00:00Z"},
        "answers nobody": {"arm": "shadow"},
        "before all times": {"until": "0001-01-02T00:00:00Z", "window": "90d"},
        "years 1 to 9999": {"since": "0001-01-01T00:00:00+14:00"},
        "before until, which": {"since": "9999-12-31T23:59:59Z"},
        "two classes": {"model_id": number, "threshold": 0.5},
        "margin": {"margin": -1},
        "max_row_count": {"max_row_count": 10},
        "slices": {"slices": ["x"] * 11},
        "NUL": {"slices": ["a\0"]},
    }.items():
        answer = project.client.post(path, json={"model_id": model, **wrong})
        assert (answer.status_code, part in answer.text) == (422, True), answer.text
    assert project.client.post(path, json={"model_id": present}).status_code == 404
    assert project.client.get(path).json()["total"] == 0
    gate = f"/api/mlops/projects/{project.project_id}/promotion-gate"
    assert project.client.put(gate, json={"replay_verdict": "better"}).status_code == 200
    body = {"model_id": number, "name": "another question", "stage": "production"}
    deployments = f"/api/mlops/projects/{project.project_id}/deployments"
    assert project.client.post(deployments, json={**body, "model_id": model}).status_code == 409
    assert project.client.post(deployments, json=body).status_code == 201, "it cannot be replayed"
    assert project.client.put(gate, json={"replay_verdict": None}).status_code == 200
    failed = replay(project, present, model, "failed")
    assert "has answered no row" in failed["error"]
    assert project.client.delete(f"/api/mlops/replays/{failed['id']}").json() == {"ok": True}
    assert project.client.get(f"/api/mlops/replays/{failed['id']}").status_code == 404


def test_numbers_a_sample_and_a_table_that_is_younger_than_the_rows(project: Lab) -> None:
    config = {**ONE_MODEL, "include_algos": ["GLM"]}
    amounts = project.start(target_column="amount", problem_type="regression", config=config)
    assert project.wait(amounts)["status"] == "succeeded"
    served = project.models_of(amounts)[0]["id"]
    body = {"model_id": served, "name": "amounts", "stage": "staging"}
    present = project.client.post(f"/api/mlops/projects/{project.project_id}/deployments", json=body).json()["deployment_id"]
    leaved = list(csv.DictReader(leaves(600, seed=5).decode().splitlines()))
    sent = [{name: row[name] for name in ROWS[0]} for row in leaved]
    rows = asked(project, present, sent)
    same = [[*row.values(), leaf["amount"]] for row, leaf in zip(sent, leaved, strict=True)]
    version = project.upload(table([["size", "weight", "kind", "amount"], *same]), "Younger")["version_id"]
    younger = project.start(dataset_version_id=version, target_column="amount", problem_type="regression", config=ONE_MODEL)
    assert project.wait(younger)["status"] == "succeeded"
    model = project.models_of(younger)[0]["id"]
    post(project, present, [{**place, "outcome": float(said) + (-1) ** number} for number, (place, said) in enumerate(rows)])
    found = replay(project, present, model)
    theirs = project.client.post(f"/api/models/{model}/predict", json={"inputs": sent}).json()["predictions"]
    apart = [abs(mine["prediction"] - float(given)) for mine, (_, given) in zip(theirs, rows, strict=True)]
    assert found["report"]["differences"]["mean"] == pytest.approx(sum(apart) / 600)
    assert found["report"]["differences"]["correlation"] > 0.5
    assert found["report"]["changes"] == []
    assert (found["served_loss"], found["margin"]) == (pytest.approx(1.0), pytest.approx(0.01))
    assert found["gain_lower"] < found["gain"] < found["gain_upper"]
    (warning,) = found["warnings"]
    assert "after 600 of the rows with outcomes were answered. None of these is in it" in warning
    post(project, present, [{**place, "outcome": float(leaf["amount"])} for (place, _), leaf in zip(rows, leaved, strict=True)])
    learned = replay(project, present, model)
    assert "600 of these are in it, by their values and outcome: this comparison flatters" in learned["warnings"][0]
    assert (learned["verdict"], learned["look"]) == ("better", 1)
    few = replay(project, present, model, max_row_count=200)
    assert (few["is_sampled"], few["logged_row_count"], few["look"]) == (True, 600, 2)
    assert 80 < few["row_count"] <= 200
    assert any("uniform sample" in one for one in few["warnings"])
    itself = replay(project, present, served)
    assert (itself["agreement"], itself["gain"], itself["verdict"]) == (1.0, 0.0, "inconclusive"), "too few to say"


def test_a_replay_is_ended_and_goes_with_what_it_is_of(project: Lab, candidate: str) -> None:
    present = deploy(project, "present")
    asked(project, present, ROWS[:20])
    made = [project.client.post(f"{one(present)}/replays", json={"model_id": candidate}).json() for _ in range(2)]
    assert project.client.post(f"/api/jobs/{made[0]['job_id']}/cancel").status_code in (200, 409)
    assert project.client.delete(f"/api/mlops/replays/{made[1]['replay_id']}").json() == {"ok": True}
    (left,) = project.client.get(f"{one(present)}/replays").json()["items"]
    assert left["id"] == made[0]["id"]
    ended = until(
        lambda: project.client.get(f"{one(present)}/replays").json()["items"][0]["status"], lambda got: got in FINAL, 60
    )
    assert ended in FINAL
    events = project.client.get(f"/api/projects/{project.project_id}/timeline", params={"limit": 50}).json()["events"]
    kinds = [event["type"] for event in events]
    assert {"replay.created", "replay.deleted"} <= set(kinds)
    act(project, present, "deactivate")
    assert project.client.delete(one(present)).status_code == 200
    assert project.client.get(f"/api/mlops/replays/{made[0]['replay_id']}").status_code == 404
