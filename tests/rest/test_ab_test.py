"""A/B tests over REST (contract B.7): who answers, what is counted, and how a test ends."""

import random
from collections.abc import Callable
from typing import Any

from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import act, deploy, one, project, state
from tests.rest.test_rollout import ROWS, arms, predict, start, until

__all__ = ["project"]
OTHER = {"yes": "no", "no": "yes"}


def call(lab: Lab, verb: str, path: str, status: int = 200, /, **body: Any) -> Any:
    answer = lab.client.request(verb, f"/api/mlops{path}", json=body or None)
    assert answer.status_code == status, answer.text
    return answer.json()


def create(lab: Lab, a: str, b: str, status: int = 201, **more: Any) -> Any:
    body = {"name": "Old against new", "deployment_a_id": a, "deployment_b_id": b, **more}
    made = call(lab, "POST", f"/projects/{lab.project_id}/ab-tests", status, **{k: v for k, v in body.items() if v is not None})
    return made["ab_test"]["id"] if status == 201 else made


def running(lab: Lab, a: str, b: str, **more: Any) -> str:
    test = create(lab, a, b, **more)
    assert call(lab, "POST", f"/ab-tests/{test}/start")["status"] == "running"
    return str(test)


def sides(lab: Lab, **more: Any) -> tuple[str, str, str]:
    """A running test of a deployment in production and one in staging."""
    a, b = deploy(lab, "a"), deploy(lab, "b", "staging", model=1)
    return running(lab, a, b, **more), a, b


def shown(lab: Lab, test: str) -> dict[str, Any]:
    return dict(call(lab, "GET", f"/ab-tests/{test}")["ab_test"])


def results(lab: Lab, test: str) -> dict[str, Any]:
    return dict(call(lab, "GET", f"/ab-tests/{test}/results"))


def known(found: dict[str, Any], name: str = "row_count") -> int:
    return sum(side[name] for side in found["variants"])


def logged(lab: Lab, test: str, request_id: str) -> int:
    """Rows of a request that the log has, of either side."""
    places = [f"{one(side['deployment_id'])}/logs" for side in results(lab, test)["variants"]]
    return sum(lab.client.get(place, params={"request_id": request_id}).json()["total"] for place in places)


def asked(lab: Lab, test: str, rows: list[Any] = ROWS, **options: Any) -> list[tuple[dict[str, Any], str, str]]:
    """For each row where it is, what was answered and by whom; afterwards the log has them."""
    found = call(lab, "POST", f"/ab-tests/{test}/predict", inputs=rows, options=options)
    until(lambda: logged(lab, test, found["request_id"]), lambda got: got == len(rows))
    return [
        ({"request_id": found["request_id"], "row_index": index}, said["prediction"], said["deployment_id"])
        for index, said in enumerate(found["predictions"])
    ]


def tell(lab: Lab, test: str, items: list[Any], status: int = 200) -> Any:
    return call(lab, "POST", f"/ab-tests/{test}/outcomes", status, items=items)


def answered(lab: Lab, test: str, b: str, right: Callable[[bool], float], rows: list[Any] = ROWS) -> list[dict[str, Any]]:
    """Outcomes of rows that were asked: each side is right with its probability."""
    chance = random.Random(7)
    asked_rows = asked(lab, test, rows)
    return [{**place, "outcome": said if chance.random() < right(who == b) else OTHER[said]} for place, said, who in asked_rows]


def test_a_test_runs_to_its_winner_and_promotes_nobody(project: Lab) -> None:
    test, a, b = sides(project, traffic_split=40, min_samples=50)
    found = arms(project, a, ROWS)
    assert set(found) == {a, b}, "rows sent to production are split"
    assert [who for *_, who in asked(project, test)] == found, "and those of the test in the same way"
    early = results(project, test)
    assert (early["winner"], early["conclusive"], early["p_value"]) == (None, False, None)
    assert "0 and 0 outcomes" in early["reason"]
    assert [side["deployment_id"] for side in early["variants"]] == [a, b]
    assert known(early, "unit_count") == len(ROWS), "the same row again is no further unit"
    until(lambda: known(results(project, test)), lambda got: got == 2 * len(ROWS))
    items = answered(project, test, b, lambda theirs: 0.9 if theirs else 0.6)
    done = tell(project, test, items)
    assert (done["recorded_count"], done["refused"]) == (len(ROWS), [])
    ended = until(lambda: shown(project, test), lambda got: got["status"] != "running")
    assert (ended["status"], ended["winner"]) == ("completed", "b"), ended
    assert ended["reason"].startswith("B is better: accuracy is 0.")
    last = results(project, test)
    assert (last["winner"], last["conclusive"], last["reason"]) == ("b", True, ended["reason"])
    assert last["p_value"] < 0.05
    assert last["difference_lower"] > 0
    assert last["sample_ratio_p_value"] > 0.01
    assert known(last, "outcome_count") == len(ROWS)
    assert (state(project, a), state(project, b)) == (("production", "active"), ("staging", "active"))
    assert arms(project, a, ROWS) == [a] * len(ROWS), "rows are split no more"
    tell(project, test, items, 409)
    call(project, "POST", f"/ab-tests/{test}/predict", 409, inputs=[ROW])
    call(project, "POST", f"/ab-tests/{test}/stop", 409)
    call(project, "POST", f"/ab-tests/{test}/start", 409)
    assert results(project, test) == last


def test_a_request_sent_again_under_its_key_is_counted_once(project: Lab) -> None:
    test, a, _ = sides(project)
    said: dict[str, Any] = {"json": {"inputs": ROWS[:40]}, "headers": {"Idempotency-Key": "once"}}
    first, again = [project.client.post(f"/api/mlops/ab-tests/{test}/predict", **said) for _ in range(2)]
    assert (first.status_code, again.json()["predictions"]) == (200, first.json()["predictions"])
    later = predict(project, a, ROWS[40:60])["request_id"]
    until(lambda: logged(project, test, later), lambda got: got == 20)
    assert (known(results(project, test)), known(results(project, test), "unit_count")) == (60, 60)
    refused = project.client.put(one(a), json={"traffic_percent": 50})
    assert (refused.status_code, "(ab_test)" in refused.json()["detail"]) == (409, True)


def test_outcomes_are_corrected_and_count_once(project: Lab) -> None:
    test, _, b = sides(project)
    items = answered(project, test, b, lambda _: 1.0)
    assert tell(project, test, items[:100])["recorded_count"] == 100
    again = tell(project, test, items[:100])
    assert (again["recorded_count"], again["unchanged_count"]) == (0, 100)
    wrong = [{**item, "outcome": OTHER[item["outcome"]]} for item in items[:100]]
    assert tell(project, test, wrong)["recorded_count"] == 100
    found = results(project, test)
    assert (known(found, "outcome_count"), [side["mean"] for side in found["variants"]]) == (100, [0.0, 0.0])


def test_a_customer_is_one_unit_however_often_they_come(project: Lab) -> None:
    """Ten customers, 40 rows each, always right or always wrong: that is not much, and not 400 outcomes."""
    test, a, b = sides(project)
    keys = [f"customer-{number % 10}" for number in range(400)]
    rows = asked(project, test, ROWS, keys=keys)
    places = {key: who for key, (*_, who) in zip(keys, rows, strict=True)}
    right = [{**place, "outcome": said if who == b else OTHER[said]} for place, said, who in rows]
    for part in (right[:150], right[100:300], right):
        tell(project, test, part)
    found = results(project, test)
    assert [side["unit_count"] for side in found["variants"]] == [list(places.values()).count(who) for who in (a, b)]
    assert known(found, "outcome_count") == 400
    assert [side["mean"] for side in found["variants"]] == [0.0, 1.0]
    assert (found["p_value"], found["sample_ratio_p_value"] > 0.01, found["winner"]) == (None, True, None)


def test_what_a_customer_did_is_compared_too(project: Lab) -> None:
    """A bayesian test of two deployments that are not in production, counting a number that is no outcome of the model."""
    a, b = deploy(project, "a", "staging"), deploy(project, "b", "staging", model=1)
    test = running(project, a, b, metric="outcome", method="bayesian", goal="minimize", min_samples=60)
    alone = predict(project, a, ROWS)
    assert alone["deployment_id"] == a, "its own address is nobody else's"
    chance = random.Random(3)
    rows = asked(project, test)
    items = [{**place, "outcome": chance.gauss(5 if who == b else 9, 4)} for place, _, who in rows]
    refused = tell(project, test, [{**items[0], "outcome": "yes"}, {"request_id": alone["request_id"], "outcome": 1}])
    assert [one["index"] for one in refused["refused"]] == [0, 1]
    assert tell(project, test, [{**items[0], "outcome": True}])["recorded_count"] == 1
    assert tell(project, test, items)["recorded_count"] == len(items)
    ended = until(lambda: shown(project, test), lambda got: got["status"] != "running")
    assert (ended["status"], ended["winner"]) == ("completed", "b"), ended
    found = results(project, test)
    assert found["probability_b_better"] > 0.95
    assert found["expected_loss_b"] < found["expected_loss_a"]
    assert abs(found["difference"] + 4) < 1.5
    logs = project.client.get(f"{one(b)}/logs", params={"limit": 5, "arm": "candidate"}).json()["items"]
    assert {entry["outcome"] for entry in logs} == {None}, "what is true of the model is another thing"
    assert {type(entry["worth"]) for entry in logs} == {float}


def test_a_test_without_a_difference_ends_inconclusive(project: Lab) -> None:
    test, _, b = sides(project, max_samples=300)
    tell(project, test, answered(project, test, b, lambda _: 0.8))
    ended = until(lambda: shown(project, test), lambda got: got["status"] != "running")
    assert (ended["status"], ended["winner"]) == ("completed", None)
    assert "without a winner" in ended["reason"]
    assert results(project, test)["conclusive"] is False


def test_it_crosses_no_canary_and_ends_with_its_deployments(project: Lab) -> None:
    test, a, b = sides(project)
    start(project, a, status=409, candidate_deployment_id=b)
    other = deploy(project, "c", "staging")
    start(project, a, status=409, candidate_deployment_id=other)
    second = create(project, a, other)
    call(project, "POST", f"/ab-tests/{second}/start", 409)
    call(project, "DELETE", f"/ab-tests/{test}", 409)
    act(project, b, "promote", to_stage="production")
    ended = shown(project, test)
    assert (ended["status"], ended["reason"]) == ("stopped", "a deployment of it was promoted to production")
    assert (state(project, a)[1], state(project, b)) == ("archived", ("production", "active"))
    call(project, "POST", f"/ab-tests/{second}/start", 409)
    third = running(project, b, other)
    assert call(project, "POST", f"/ab-tests/{third}/stop", reason="enough")["ab_test"]["reason"] == "enough"
    start(project, b, candidate_deployment_id=other)
    fourth = create(project, b, other)
    call(project, "POST", f"/ab-tests/{fourth}/start", 409)
    for gone in (test, second, third, fourth):
        assert call(project, "DELETE", f"/ab-tests/{gone}") == {"ok": True}
    assert call(project, "GET", f"/projects/{project.project_id}/ab-tests")["total"] == 0


def test_what_makes_no_sense_is_refused(project: Lab) -> None:
    a, b = deploy(project, "a"), deploy(project, "b", "staging", model=1)
    wrong = (
        {"deployment_b_id": a},
        {"deployment_b_id": None},
        {"model_b_id": project.models[0]["id"]},
        {"metric": "mae"},
        {"metric": "acuracy"},
        {"goal": "minimize"},
        {"max_expected_loss": 0.1},
        {"traffic_split": 100},
        {"min_duration_hours": 700},
        {"max_samples": 100},
        {"confidence_level": 1},
    )
    for more in wrong:
        create(project, a, b, 422, **more)
    assert call(project, "GET", f"/projects/{project.project_id}/ab-tests")["total"] == 0
    assert "baseline (a)" in create(project, b, a, 409)["detail"]
    assert call(project, "GET", f"/projects/{project.project_id}/ab-tests")["total"] == 0
    made = create(project, a, None, model_b_id=project.models[1]["id"])  # type: ignore[arg-type]
    b_of_model = shown(project, made)["deployment_b_id"]
    assert state(project, b_of_model) == ("staging", "active")
    call(project, "POST", f"/ab-tests/{made}/predict", 409, inputs=[ROW])
    act(project, b_of_model, "deactivate")
    call(project, "POST", f"/ab-tests/{made}/start", 409)
    assert results(project, made)["reason"] == "It has not begun."
