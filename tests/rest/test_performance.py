"""How right a deployment is over REST: what outcomes say beside what is estimated without them, by time and by slice."""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from tests import servers
from tests.factories.experiment import ONE_MODEL, Lab, laboratory, leaves
from tests.rest.test_alert import alerts, make
from tests.rest.test_deployment import deploy, one
from tests.rest.test_monitoring import get
from tests.rest.test_outcome import post
from tests.rest.test_rollout import predict, until
from tests.stack import Stack

ROWS = pl.read_csv(leaves(300, seed=5)).drop("same", "empty").to_dicts()


@pytest.fixture(scope="module")
def lab(stack: Stack) -> Iterator[Lab]:
    """Models of the label, which is not to be read off the amount."""
    with laboratory(stack) as made:
        made.models = models(made, config={**ONE_MODEL, "ignored_columns": ["amount"]})
        yield made


def models(lab: Lab, **wanted: Any) -> list[dict[str, Any]]:
    experiment = lab.start(name=f"Try {wanted.get('target_column', 'label')}", **wanted)
    assert lab.wait(experiment)["status"] == "succeeded"
    return lab.models_of(experiment)


def figures(part: dict[str, Any] | None) -> dict[str, Any]:
    assert part is not None
    return {figure["name"]: figure for figure in part["metrics"]}


def ask(lab: Lab, deployment: str) -> tuple[str, list[Any]]:
    """The request, and the answers; when they are counted."""
    answer = predict(lab, deployment, [{name: row[name] for name in ("size", "weight", "kind")} for row in ROWS])
    until(lambda: get(lab, deployment, "performance"), lambda found: found["answered_count"] == len(ROWS))
    return answer["request_id"], [one["prediction"] for one in answer["predictions"]]


def test_outcomes_stand_beside_estimates_and_what_was_promised(lab: Lab) -> None:
    deployment = deploy(lab, str(uuid4()), "staging")
    nothing = get(lab, deployment, "performance", window="10m", bucket="5m")
    assert (nothing["answered_count"], nothing["realised"]["metrics"], nothing["estimated"]) == (0, [], None)
    assert "fewer than 30" in nothing["not_estimable"]
    assert len(nothing["buckets"]) in (2, 3)
    request, answers = ask(lab, deployment)
    early = get(lab, deployment, "performance")
    assert (early["answered_count"], early["outcome_count"], early["not_estimable"]) == (300, 0, None)
    assert (early["realised"]["row_count"], early["realised"]["metrics"]) == (0, [])
    promised = {metric["name"]: metric["value"] for metric in early["promised"]}
    estimated = figures(early["estimated"])
    assert estimated["accuracy"]["value"] == pytest.approx(promised["accuracy"], abs=0.08)
    assert estimated["auc"]["lower"] < estimated["auc"]["value"] < estimated["auc"]["upper"]
    items = [{"request_id": request, "row_index": index, "outcome": row["label"]} for index, row in enumerate(ROWS[:200])]
    post(lab, deployment, [*items, {"request_id": request, "row_index": 250, "outcome": "perhaps"}])
    found = get(lab, deployment, "performance")
    hits = sum(answer == row["label"] for answer, row in zip(answers[:200], ROWS, strict=False))
    realised = figures(found["realised"])
    assert (found["outcome_count"], found["realised"]["unknown_class_count"]) == (201, 1)
    assert realised["accuracy"]["value"] == pytest.approx(hits / 201)
    assert realised["accuracy"]["standard_error"] == pytest.approx(sqrt(hits / 201 * (1 - hits / 201) / 201), rel=0.6)
    assert realised["logloss"]["higher_is_better"] is False
    assert realised["accuracy"]["value"] == pytest.approx(estimated["accuracy"]["value"], abs=0.1)
    assert figures(found["estimated"]) == estimated
    assert sum(bucket["outcome_count"] for bucket in found["buckets"]) == 201
    assert sum(bucket["answered_count"] for bucket in found["buckets"]) == 300
    (full,) = [bucket for bucket in found["buckets"] if bucket["answered_count"]]
    assert figures(full["realised"])["accuracy"]["value"] == realised["accuracy"]["value"]
    assert get(lab, deployment, "performance", arm="shadow")["answered_count"] == 0


def test_a_model_from_before_estimates_has_outcomes_alone(lab: Lab) -> None:
    """Of one from before its answers were put in bins, too, the log itself is counted."""
    old = models(lab, config={**ONE_MODEL, "ignored_columns": ["amount"]})[:1]
    for table in ("estimation_baselines", "answer_baselines"):
        servers.execute(lab.stack.database_url, f"DELETE FROM {table} WHERE model_id = '{old[0]['id']}'")
    deployment = deploy(replace(lab, models=old), str(uuid4()), "staging")
    request, answers = ask(lab, deployment)
    post(lab, deployment, [{"request_id": request, "row_index": i, "outcome": one} for i, one in enumerate(answers)])
    found = get(lab, deployment, "performance", slice_by="kind")
    assert (found["answered_count"], found["outcome_count"], found["estimated"]) == (300, 300, None)
    assert "Train it again" in found["not_estimable"]
    assert figures(found["realised"])["accuracy"]["value"] == 1
    assert {one["label"] for one in found["slices"]} == {"a", "b", "c"}
    assert {one["estimated"] for one in found["slices"]} == {None}
    assert {metric["name"] for metric in found["promised"]} >= {"accuracy", "auc"}
    rule = {"deployment_id": deployment, "kind": "metric", "metric": "accuracy", "threshold": 0.9999, **FIRST_LOOK}
    silent = make_alert(lab, **rule, basis="estimated")["id"]
    fine = make_alert(lab, **rule)["id"]
    seen = until(lambda: lab.client.get(f"/api/mlops/alerts/{fine}").json()["alert"], lambda alert: alert["value"] is not None)
    assert (seen["state"], seen["value"]) == ("ok", 1)
    assert lab.client.get(f"/api/mlops/alerts/{silent}").json()["alert"]["value"] is None


def test_of_few_rows_of_a_class_in_training_nothing_is_estimated(lab: Lab) -> None:
    """Where uncalibrated probabilities were taken for right ones, estimates were far too good: none is given, and none told."""
    table = pl.read_csv(leaves(400, seed=6))
    few = pl.concat([table.filter(label="no"), table.filter(label="yes").head(12)])
    version = lab.upload(few.write_csv().encode(), "Few")["version_id"]
    config = {**ONE_MODEL, "ignored_columns": ["amount"]}
    deployment = deploy(replace(lab, models=models(lab, dataset_version_id=version, config=config)), "few", "staging")
    request, answers = ask(lab, deployment)
    rule = {"deployment_id": deployment, "kind": "metric", "metric": "accuracy", "threshold": 0.9999, **FIRST_LOOK}
    silent, wrong = make_alert(lab, **rule, basis="estimated")["id"], {"yes": "no", "no": "yes"}
    post(lab, deployment, [{"request_id": request, "row_index": i, "outcome": wrong[one]} for i, one in enumerate(answers)])
    told = fired(lab, make_alert(lab, **rule)["id"])
    assert "by the outcomes of 300 rows" in told["reason"]
    assert lab.client.get(f"/api/mlops/alerts/{silent}").json()["alert"]["value"] is None
    found = get(lab, deployment, "performance", slice_by="kind")
    assert "judged on 12 rows of the class yes in training; of fewer than 20" in found["not_estimable"]
    assert (found["estimated"], {bucket["estimated"] for bucket in [*found["buckets"], *found["slices"]]}) == (None, {None})
    assert figures(found["realised"])["accuracy"]["value"] == 0
    change = {"metric": "accuracy", "basis": "estimated", "window": "2m"}
    asked = lab.client.post(f"{one(deployment)}/metric-changes", json=change).json()["metric_change_id"]
    path = f"/api/mlops/metric-changes/{asked}"
    why = until(lambda: lab.client.get(path).json()["metric_change"], lambda said: said["finished_at"])
    assert (why["status"], "12 rows of the class yes" in why["error"]) == ("failed", True)


def test_the_worst_slice_comes_first(lab: Lab) -> None:
    deployment = deploy(lab, str(uuid4()), "staging")
    request, answers = ask(lab, deployment)
    wrong = {"yes": "no", "no": "yes"}
    said = [wrong[answer] if row["kind"] == "b" else answer for answer, row in zip(answers, ROWS, strict=True)]
    post(lab, deployment, [{"request_id": request, "row_index": i, "outcome": one} for i, one in enumerate(said)])
    found = get(lab, deployment, "performance", slice_by="kind")
    assert found["slices"][0]["label"] == "b"
    assert {one["level"] for one in found["slices"]} == {"a", "b", "c"}
    worst = figures(found["slices"][0]["realised"])
    assert (worst["accuracy"]["value"], found["slices"][0]["realised"]["row_count"]) == (0, sum(r["kind"] == "b" for r in ROWS))
    ranges = get(lab, deployment, "performance", slice_by="size")["slices"]
    assert sum(one["estimated"]["row_count"] for one in ranges if one["estimated"]) <= 300
    assert sum(one["realised"]["row_count"] for one in ranges) == 300
    for one_range in ranges:
        inside = [r for r in ROWS if (one_range["lower"] or -1) < r["size"] <= (one_range["upper"] or 99)]
        assert one_range["realised"]["row_count"] == len(inside), one_range["label"]


def test_of_numbers_errors_are_estimated(lab: Lab) -> None:
    numbers = models(lab, target_column="amount", problem_type="regression", config={**ONE_MODEL, "ignored_columns": ["label"]})
    deployment = deploy(replace(lab, models=numbers), "numbers", "staging")
    request, answers = ask(lab, deployment)
    items = [{"request_id": request, "row_index": index, "outcome": row["amount"]} for index, row in enumerate(ROWS)]
    post(lab, deployment, items)
    found = get(lab, deployment, "performance", slice_by="weight")
    realised, estimated = figures(found["realised"]), figures(found["estimated"])
    errors = [abs(answer - row["amount"]) for answer, row in zip(answers, ROWS, strict=True)]
    assert realised["mae"]["value"] == pytest.approx(sum(errors) / 300)
    assert set(estimated) == {"mae", "mse", "rmse"}
    promised = {metric["name"]: metric["value"] for metric in found["promised"]}
    for name in ("mae", "rmse"):
        assert estimated[name]["value"] == pytest.approx(promised[name], rel=0.35)
        assert estimated[name]["value"] == pytest.approx(realised[name]["value"], rel=0.4)
    assert found["slices"]


def test_a_metric_that_is_worse_than_a_rule_allows_is_told_with_its_basis(lab: Lab) -> None:
    deployment = deploy(lab, str(uuid4()), "staging")
    request, answers = ask(lab, deployment)
    rule = {"deployment_id": deployment, "kind": "metric", "metric": "accuracy", "threshold": 0.9999, **FIRST_LOOK}
    early = make_alert(lab, **rule, basis="realised")["id"]
    told = fired(lab, make_alert(lab, **rule)["id"])
    assert "accuracy is estimated to be" in told["reason"]
    assert (told["metric"], told["basis"], told["threshold"]) == ("accuracy", "either", 0.9999)
    assert "an hour" in told["waiting_cost"]
    assert lab.client.get(f"/api/mlops/alerts/{early}").json()["alert"]["state"] == "ok"
    wrong = {"yes": "no", "no": "yes"}
    post(lab, deployment, [{"request_id": request, "row_index": i, "outcome": wrong[one]} for i, one in enumerate(answers)])
    told = fired(lab, make_alert(lab, **{**rule, "metric": "balanced_accuracy"}, basis="realised")["id"])
    assert told["reason"].startswith(
        "balanced_accuracy is 0 by the outcomes of 300 rows (the limit is 0.9999). Training promised"
    )
    assert "more wrong answers an hour than training promised" in told["waiting_cost"]
    fine = make_alert(lab, **{**rule, "metric": "logloss", "threshold": 100})["id"]
    seen = until(lambda: lab.client.get(f"/api/mlops/alerts/{fine}").json()["alert"], lambda alert: alert["value"] is not None)
    assert seen["state"] == "ok"


FIRST_LOOK = {"window": "10m", "breaches_needed": 1, "looks_counted": 1}


def make_alert(lab: Lab, **rule: Any) -> dict[str, Any]:
    return make(lab, **{"name": "How right", **rule})


def fired(lab: Lab, alert: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: lab.client.get(f"/api/mlops/alerts/{alert}").json()["alert"], lambda one: one["state"] == "firing"
    )
    return found


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ({"kind": "metric", "threshold": 0.5}, "metric"),
        ({"kind": "metric", "metric": "acuracy", "threshold": 0.5}, "metric"),
        ({"kind": "metric", "metric": "rmse", "threshold": 0.5}, "metric"),
        ({"kind": "metric", "metric": "accuracy"}, "threshold"),
        ({"kind": "metric", "metric": "accuracy", "threshold": 0.5, "basis": "guessed"}, "basis"),
        ({"kind": "drift", "metric": "accuracy"}, "metric"),
        ({"kind": "latency", "threshold": 5, "basis": "either"}, "basis"),
        ({"kind": "latency", "threshold": 0}, "threshold"),
    ],
)
def test_a_rule_on_a_metric_that_cannot_be_is_refused_by_its_key(lab: Lab, rule: dict[str, Any], key: str) -> None:
    before = lab.client.get(alerts(lab)).json()["total"]
    refused = make(lab, 422, deployment_id=deploy(lab, str(uuid4()), "staging"), **rule)
    assert refused["detail"][0]["loc"] == ["body", key]
    if rule.get("metric") == "acuracy":
        assert "Did you mean 'accuracy'?" in refused["detail"][0]["msg"]
    assert lab.client.get(alerts(lab)).json()["total"] == before


def test_a_rule_on_a_metric_is_changed(lab: Lab) -> None:
    deployment = deploy(lab, str(uuid4()), "staging")
    made = make_alert(lab, deployment_id=deployment, kind="metric", metric="auc", threshold=0.7)["id"]
    path = f"/api/mlops/alerts/{made}"
    changed = lab.client.put(path, json={"metric": "mcc", "threshold": -0.5, "basis": "estimated"}).json()["alert"]
    assert (changed["metric"], changed["threshold"], changed["basis"]) == ("mcc", -0.5, "estimated")
    assert lab.client.put(path, json={"metric": "r2"}).status_code == 422
    assert lab.client.get(path).json()["alert"]["metric"] == "mcc"


@pytest.mark.parametrize(
    ("params", "key"),
    [({"slice_by": "sizes"}, "slice_by"), ({"window": "1x"}, "window"), ({"window": "4h", "bucket": "1m"}, "bucket")],
)
def test_what_cannot_be_told_is_refused_by_its_name(lab: Lab, params: dict[str, str], key: str) -> None:
    refused = get(lab, deploy(lab, str(uuid4()), "staging"), "performance", 422, **params)
    assert refused["detail"][0]["loc"] == ["query", key]
    if key == "slice_by":
        assert "'size'" in refused["detail"][0]["msg"]
    assert lab.client.get(one("00000000-0000-4000-8000-000000000000") + "/performance").status_code == 404
