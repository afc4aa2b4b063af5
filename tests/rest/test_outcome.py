"""Outcomes over REST (contract B.7): what was true, beside what had been answered, and a canary that is judged by it."""

from typing import Any
from uuid import uuid4

import httpx

from coreplex.platform.identifier import new_text_id
from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import act, deploy, logged, one, project
from tests.rest.test_rollout import ROWS, canary, predict, start, until

__all__ = ["project"]


def post(lab: Lab, deployment: str, items: list[Any], status: int = 200) -> dict[str, Any]:
    answer = lab.client.post(f"{one(deployment)}/feedback", json={"items": items})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_a_call_sent_again_under_its_key_undoes_no_correction(project: Lab) -> None:
    deployment = deploy(project, "a")
    request = predict(project, deployment, [ROW])["request_id"]
    logged(project, deployment, 1)
    items = [{"request_id": request, "outcome": "yes"}, {"request_id": str(uuid4()), "outcome": "yes"}]

    def send(key: str, items: list[Any]) -> httpx.Response:
        headers = {"Idempotency-Key": key}
        return project.client.post(f"{one(deployment)}/feedback", json={"items": items}, headers=headers)

    first = send("first", items)
    assert (first.status_code, counts(first.json())) == (200, (1, 0, 1)), first.text
    assert send("second", [{**items[0], "outcome": "no"}]).json()["recorded_count"] == 1
    assert send("first", items).content == first.content
    assert entries(project, deployment, 1) == {(request, 0): "no"}


def counts(done: dict[str, Any]) -> tuple[int, int, int]:
    return done["recorded_count"], done["unchanged_count"], len(done["refused"])


def entries(lab: Lab, deployment: str, count: int) -> dict[tuple[str, int], Any]:
    return {(entry["request_id"], entry["row_index"]): entry["outcome"] for entry in logged(lab, deployment, count)}


def test_outcomes_are_taken_once_and_corrected(project: Lab) -> None:
    deployment = deploy(project, "a")
    request = predict(project, deployment, [ROW] * 3)["request_id"]
    logged(project, deployment, 3)
    items = [{"request_id": request, "row_index": index, "outcome": "yes"} for index in range(3)]
    assert counts(post(project, deployment, items[:2])) == (2, 0, 0)
    assert counts(post(project, deployment, items)) == (1, 2, 0)
    items[1]["outcome"] = "no"
    assert counts(post(project, deployment, items)) == (1, 2, 0)
    assert entries(project, deployment, 3) == {(request, 0): "yes", (request, 1): "no", (request, 2): "yes"}


def test_what_cannot_be_taken_is_refused_by_line_and_the_others_are_taken(project: Lab) -> None:
    deployment = deploy(project, "a")
    request = predict(project, deployment, [ROW] * 4)["request_id"]
    assert project.client.post(f"{one(deployment)}/predict", json={"inputs": []}).status_code == 422
    entry = {entry["request_id"] for entry in logged(project, deployment, 5)} - {request}
    done = post(
        project,
        deployment,
        [
            {"request_id": str(uuid4()), "outcome": "yes"},
            {"request_id": request, "outcome": "yes"},
            {"request_id": request, "outcome": "no"},
            {"request_id": request, "row_index": 1, "outcome": "x" * 301},
            {"request_id": request, "row_index": 4, "outcome": "yes"},
            {"request_id": request, "row_index": 2, "outcome": "no", "at": "2999-01-01T00:00:00Z"},
            {"request_id": entry.pop(), "outcome": "yes"},
            {"request_id": request, "row_index": 3, "outcome": 1},
        ],
    )
    assert counts(done) == (2, 0, 6)
    assert [one["index"] for one in done["refused"]] == [0, 2, 3, 4, 5, 6]
    told = [one["reason"] for one in done["refused"]]
    for part, reason in zip(("no such row", "before", "300", "not in the log yet", "future", "not answered"), told, strict=True):
        assert part in reason
    assert sorted(map(str, entries(project, deployment, 5).values())) == ["1", "None", "None", "None", "yes"]
    empty = post(project, deployment, [{"request_id": request, "row_index": 1, "outcome": value} for value in ("", " ")])
    assert [one["code"] for one in empty["refused"]] == ["outcome_empty", "outcome_twice"]
    beyond = [{"outcome": value} for value in ("a\0b", 1e300, 10**400, -(10**101))] + [{"request_id": "a\0"}, {"at": "yesterday"}]
    for one_item in beyond:
        post(project, deployment, [{"request_id": request, "outcome": "yes", **one_item}], 422)
    post(project, deployment, [{"request_id": request, "row_index": 2, "outcome": 10**30, "at": "2020-01-01T00:00:00"}], 200)
    told = {
        "items.0.row_index": {"outcome": "yes", "row_index": -1},
        "items.0.outcome: must not be null": {"outcome": None},
        "Did you mean 'row_index'?": {"outcome": "yes", "row_indx": 1},
    }
    for part, wrong_item in told.items():
        assert part in post(project, deployment, [{"request_id": request, **wrong_item}], 422)["message"]
    for wrong in ([], [{}], [{"request_id": request}], [{"request_id": request, "outcome": {"a": 1}}], [1], {"a": 1}):
        post(project, deployment, wrong, 422)  # type: ignore[arg-type]


def test_what_is_not_in_the_log_is_refused_by_why(project: Lab) -> None:
    """An id that never was, one of 2020 and one that was made just now."""
    deployment = deploy(project, "a")
    ids = ("nonsense", str(uuid4()), "016f5e66-e800-7000-8000-000000000000", new_text_id())
    done = post(project, deployment, [{"request_id": one_id, "outcome": "yes"} for one_id in ids])
    assert [one["code"] for one in done["refused"]] == ["no_such_entry", "no_such_entry", "past_retention", "not_logged_yet"]
    assert len({one["reason"] for one in done["refused"]}) == 3
    assert done["past_retention_count"] == 1


def answered(lab: Lab, deployment: str, rows: list[Any]) -> list[tuple[dict[str, Any], str, str]]:
    """For each row where it is, what was answered and by whom."""
    found = predict(lab, deployment, rows)
    return [
        ({"request_id": found["request_id"], "row_index": index}, one["prediction"], one["deployment_id"])
        for index, one in enumerate(found["predictions"])
    ]


def test_a_canary_that_is_wrong_more_often_stops_by_itself(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, before, candidate_deployment_id=new, steps=[50])
    rows = answered(project, before, ROWS[:120])
    logged(project, before, sum(who == before for *_, who in rows))
    logged(project, new, sum(who == new for *_, who in rows))
    # Eight are too few to stop it while they are being corrected.
    other = {"yes": "no", "no": "yes"}
    items = [{**place, "outcome": other[said] if who == new else said} for place, said, who in rows]
    assert counts(post(project, before, items[:8])) == (8, 0, 0)
    assert counts(post(project, before, items[:8])) == (0, 8, 0)
    theirs = sum(who == new for *_, who in rows[:8])
    found = canary(project, new)
    assert (found["candidate_outcome_count"], found["baseline_outcome_count"]) == (theirs, 8 - theirs)
    assert (found["candidate_mean_loss"], found["baseline_mean_loss"], found["loss"]) == (1, 0, "misclassification")
    right = [{**place, "outcome": said} for place, said, _ in rows[:8]]
    assert counts(post(project, new, right)) == (theirs, 8 - theirs, 0), "a correction, sent to the other side"
    assert (canary(project, new)["candidate_mean_loss"], canary(project, new)["candidate_outcome_count"]) == (0, theirs)
    post(project, before, items)
    stopped = until(lambda: canary(project, before), lambda got: got["status"] == "stopped", 10)
    assert "outcomes were not what it had answered" in stopped["reason"]
    assert stopped["loss_increase_lower"] > 0
    assert predict(project, before, ROWS[:60])["deployment_id"] == before


def test_a_canary_may_be_allowed_to_be_worse(project: Lab) -> None:
    before, new = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    start(project, before, candidate_deployment_id=new, steps=[50], max_loss_increase=-1, status=422)
    start(project, before, candidate_deployment_id=new, steps=[50], max_loss_increase=1)
    rows = answered(project, before, ROWS[:60])
    logged(project, before, sum(who == before for *_, who in rows))
    logged(project, new, sum(who == new for *_, who in rows))
    post(project, before, [{**place, "outcome": "neither"} for place, *_ in rows])
    assert canary(project, before)["candidate_mean_loss"] == 1
    assert canary(project, before)["status"] == "running"
    act(project, before, "canary/abort")


def test_others_say_nothing(project: Lab) -> None:
    deployment = deploy(project, "a")
    request = predict(project, deployment, ROW)["request_id"]
    logged(project, deployment, 1)
    body = {"items": [{"request_id": request, "outcome": "yes"}]}
    with project.stack.client() as stranger:
        assert stranger.post(f"{one(deployment)}/feedback", json=body).status_code == 404
    assert httpx.post(f"{project.stack.base_url}{one(deployment)}/feedback", json=body).status_code == 401
    assert entries(project, deployment, 1) == {(request, 0): None}


def test_ten_thousand_outcomes_with_their_times_fit_into_a_graphql_request(project: Lab) -> None:
    deployment, at = deploy(project, "a"), "2026-01-01T00:00:00.000000+00:00"
    items = [{"requestId": new_text_id(), "rowIndex": place, "outcome": "x" * 30, "at": at} for place in range(10_000)]
    record = "mutation($input: RecordOutcomesInput!) { recordOutcomes(input: $input) { refused { code } } }"
    asked = {"query": record, "variables": {"input": {"deploymentId": deployment, "items": items}}}
    answer = project.client.post("/graphql", json=asked)
    assert len(answer.json()["data"]["recordOutcomes"]["refused"]) == 10_000
