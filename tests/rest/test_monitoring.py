"""How a deployment does, and whether its data moved, over REST (contract B.7)."""

from math import log
from typing import Any

import pytest

from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import deploy, logged, one, project
from tests.rest.test_rollout import predict

__all__ = ["project"]


def get(lab: Lab, deployment: str, what: str, status: int = 200, **params: Any) -> dict[str, Any]:
    answer = lab.client.get(f"{one(deployment)}/{what}", params=params)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_what_was_asked_is_counted_by_requests_rows_and_errors(project: Lab) -> None:
    deployment = deploy(project, "a")
    assert get(project, deployment, "metrics")["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    for rows in ([ROW] * 3, [ROW]):
        predict(project, deployment, rows)
    assert project.client.post(f"{one(deployment)}/predict", json={"inputs": []}).status_code == 422
    logged(project, deployment, 5)
    found = get(project, deployment, "metrics", window="10m", bucket="2m")
    assert (found["request_count"], found["row_count"], found["error_count"]) == (3, 5, 1)
    assert found["error_rate"] == pytest.approx(1 / 3)
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert found["serving_since"]
    assert found["bucket_secs"] == 120
    assert len(found["buckets"]) in (5, 6)
    assert sum(bucket["request_count"] for bucket in found["buckets"]) == 3
    assert get(project, deployment, "metrics", arm="shadow")["request_count"] == 0
    assert get(project, deployment, "metrics", until="2026-01-01T00:00:00Z")["request_count"] == 0


def test_rows_that_are_not_those_of_training_are_drift(project: Lab) -> None:
    deployment = deploy(project, "a")
    assert get(project, deployment, "drift")["status"] == "insufficient_data"
    column = next(name for name, value in ROW.items() if isinstance(value, int | float))
    predict(project, deployment, [{**ROW, column: 10**6}] * 100)
    logged(project, deployment, 100)
    found = get(project, deployment, "drift", window="1h")
    assert (found["status"], found["current_rows"]) == ("drift", 100)
    assert found["baseline_rows"] > 30
    moved = {feature["feature"]: feature for feature in found["features"]}[column]
    assert moved["drifted"]
    assert moved["reasons"] == ["distribution"]
    assert moved["psi"] > 0.25
    assert moved["current"]["outside_rate"] == 1
    assert moved["baseline"]["outside_rate"] == 0
    assert [moved["current"][one] for one in ("p05", "median", "p95")] == [None] * 3, "they lie beyond all that training saw"
    assert None not in [moved["baseline"][one] for one in ("p05", "median", "p95")]
    assert [feature["feature"] for feature in found["prediction_drift"]] == ["class", "probability"]
    calm = get(project, deployment, "drift", baseline="window", baseline_until="2026-01-01T00:00:00Z")
    assert (calm["status"], calm["baseline_rows"], calm["baseline_end"]) == ("insufficient_data", 0, "2026-01-01T00:00:00Z")


def test_the_psi_of_a_category_is_the_textbooks_of_the_shares_that_are_served(project: Lab) -> None:
    deployment = deploy(project, "a")
    predict(project, deployment, [{**ROW, "kind": kind} for kind in "aaaaab" * 10])
    logged(project, deployment, 60)
    found = get(project, deployment, "drift", window="1h", threshold=0.01)
    kind = {feature["feature"]: feature for feature in found["features"]}["kind"]
    then, now = ({one["level"]: one["share"] for one in kind[side]["levels"]} for side in ("baseline", "current"))
    assert (sorted(then), sorted(now)) == (["a", "b", "c"], ["a", "b"])
    pairs = [(share, now.get(level, 1e-4)) for level, share in then.items()]  # as Evidently has what is not there
    assert kind["psi"] == pytest.approx(sum((a - e) * log(a / e) for e, a in pairs))
    assert 0 < kind["psi_beyond_chance"] < kind["psi"]
    everything = found["features"] + found["prediction_drift"]
    assert found["overall_psi"] == max(one["psi_beyond_chance"] for one in everything if one["psi"] is not None)
    assert kind["impact"] == pytest.approx(kind["psi_beyond_chance"] * kind["importance_percent"] / 100)


@pytest.mark.parametrize(
    ("what", "params", "key"),
    [
        ("metrics", {"window": "1x"}, "window"),
        ("metrics", {"window": "401d"}, "window"),
        ("metrics", {"window": "7d", "bucket": "1m"}, "bucket"),
        ("metrics", {"window": "3d", "bucket": "10m"}, "bucket"),
        ("metrics", {"until": "0001-01-01T00:00:00Z"}, "until"),
        ("metrics", {"window": "10d", "until": "0001-01-11T12:00:00Z", "bucket": "5d"}, "until"),
        ("performance", {"window": "10d", "until": "0001-01-11T12:00:00Z", "bucket": "5d"}, "until"),
        *(
            (what, {"window": "1d", "until": "0001-01-02T00:00:00+14:00"}, "until")
            for what in ("metrics", "drift", "performance", "attribution-drift")
        ),
        ("drift", {"threshold": "0"}, "threshold"),
        ("drift", {"baseline": "window", "baseline_until": "0001-01-01T00:00:00+14:00"}, "baseline_until"),
        ("drift", {"baseline": "past"}, "baseline"),
        ("drift", {"baseline_window": "1h"}, "baseline"),
        ("drift", {"baseline": "window", "baseline_window": "1h 5m"}, "baseline_window"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_by_its_name(project: Lab, what: str, params: dict[str, str], key: str) -> None:
    refused = get(project, deploy(project, "a"), what, 422, **params)
    assert refused["detail"][0]["loc"] == ["query", key]
