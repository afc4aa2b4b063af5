"""Alerts over REST (contract B.7): a rule, what it sees within seconds, and what is refused."""

from typing import Any

import pytest

from tests.factories.experiment import ROW, Lab
from tests.rest.test_deployment import deploy, one, project
from tests.rest.test_rollout import predict, until

__all__ = ["project"]


def alerts(lab: Lab) -> str:
    return f"/api/mlops/projects/{lab.project_id}/alerts"


def make(lab: Lab, status: int = 201, **rule: Any) -> dict[str, Any]:
    answer = lab.client.post(alerts(lab), json={"name": "watch", **rule})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_requests_that_fail_are_told_acknowledged_and_listed(project: Lab) -> None:
    deployment = deploy(project, "a")
    rule = {"window": "1m", "min_requests": 5, "threshold": 0.2, "breaches_needed": 1, "looks_counted": 1}
    alert = make(project, deployment_id=deployment, kind="error_rate", **rule)["id"]
    path = f"/api/mlops/alerts/{alert}"
    early = project.client.post(f"{path}/acknowledge")
    assert (early.status_code, project.client.get(path).json()["alert"]["state"]) == (409, "ok")
    predict(project, deployment, [ROW])
    for _ in range(9):
        assert project.client.post(f"{one(deployment)}/predict", json={"inputs": []}).status_code == 422

    found = until(lambda: project.client.get(path).json()["alert"], lambda alert: alert["state"] == "firing", secs=60)
    assert found["value"] == pytest.approx(0.9)
    assert "9 of 10 requests failed" in found["reason"]
    assert "an hour" in found["waiting_cost"]
    assert project.client.post(f"{path}/acknowledge").json()["alert"]["state"] == "acknowledged"
    events = project.client.get(f"{path}/events").json()
    assert [event["state"] for event in events["items"]] == ["acknowledged", "firing"]
    listed = project.client.get(alerts(project), params={"state": "acknowledged", "deployment_id": deployment}).json()
    assert [item["id"] for item in listed["items"]] == [alert]
    off = project.client.put(path, json={"threshold": 0.95, "is_enabled": False}).json()["alert"]
    assert (off["state"], off["reason"]) == ("resolved", "It was switched off.")
    quiet = make(project, deployment_id=deployment, kind="drift", min_requests=20)["id"]  # as an alert has it that is sent back
    for said, status in ((5, 422), (20, 200)):
        assert project.client.put(f"/api/mlops/alerts/{quiet}", json={"min_requests": said}).status_code == status
    assert project.client.delete(f"/api/mlops/alerts/{quiet}").json() == {"ok": True}
    assert project.client.delete(path).json() == {"ok": True}
    assert project.client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ({"kind": "drift", "threshold": 1}, "threshold"),
        ({"kind": "latency"}, "threshold"),
        ({"kind": "error_rate", "threshold": 1.5}, "threshold"),
        ({"kind": "error_rate", "threshold": -1}, "threshold"),
        ({"kind": "no_traffic", "percentile": "p50"}, "percentile"),
        ({"kind": "latency", "threshold": 5, "percentile": "p98"}, "percentile"),
        ({"kind": "drift", "window": "8d"}, "window"),
        ({"kind": "drift", "window": "soon"}, "window"),
        ({"kind": "drift", "min_requests": 5}, "min_requests"),
        ({"kind": "no_traffic", "min_requests": 5}, "min_requests"),
        ({"kind": "metric", "metric": "accuracy", "threshold": 1.5}, "threshold"),
        ({"kind": "metric", "metric": "logloss", "threshold": -0.1}, "threshold"),
        ({"kind": "drift", "breaches_needed": 4}, "breaches_needed"),
        ({"kind": "price"}, "kind"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_by_its_key(project: Lab, rule: dict[str, Any], key: str) -> None:
    refused = make(project, 422, deployment_id=deploy(project, "a"), **rule)
    assert refused["detail"][0]["loc"] == ["body", key]
    assert key != "window" or "to 7 days" in refused["detail"][0]["msg"]
    assert project.client.get(alerts(project)).json()["total"] == 0
