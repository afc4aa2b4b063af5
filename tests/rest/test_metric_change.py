"""Why a metric changed, and by which columns a model answers, over REST on rows that were really logged."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from tests import servers
from tests.factories.experiment import ONE_MODEL, Lab, laboratory, leaves
from tests.rest.test_deployment import deploy, logged, one
from tests.rest.test_monitoring import get
from tests.rest.test_outcome import post
from tests.rest.test_rollout import predict, until
from tests.stack import Stack

Row = dict[str, Any]
COLUMNS = ("size", "weight", "kind")
TIMES = {"window": "1h", "baseline_window": "25h"}


@pytest.fixture(scope="module")
def lab(stack: Stack) -> Iterator[Lab]:
    """A model of the label, which is not to be read off the amount."""
    with laboratory(stack) as made:
        experiment = made.start(name="Labels", config={**ONE_MODEL, "ignored_columns": ["amount"]})
        assert made.wait(experiment)["status"] == "succeeded"
        made.models = made.models_of(experiment)
        yield made


def table(rows: int, seed: int) -> list[Row]:
    return pl.read_csv(leaves(rows, seed=seed)).drop("same", "empty").to_dicts()


def ask(lab: Lab, deployment: str, rows: list[Row], known: bool = True) -> None:
    """Have rows answered, and say what was true."""
    answer = predict(lab, deployment, [{name: row[name] for name in COLUMNS} for row in rows])
    logged(lab, deployment, len(rows)) if not known else None
    if known:
        items = [
            {"request_id": answer["request_id"], "row_index": index, "outcome": row["label"]} for index, row in enumerate(rows)
        ]
        until(
            lambda: lab.client.post(f"{one(deployment)}/feedback", json={"items": items[:1]}).json(),
            lambda got: not got["refused"],
        )
        post(lab, deployment, items)


def two_periods(lab: Lab, change: Callable[[list[Row]], list[Row]], *, known: bool = True) -> str:
    """A deployment that was asked the same table yesterday as it was, and today with a change."""
    deployment = deploy(lab, str(uuid4()), "staging")
    ask(lab, deployment, table(500, 3), known)
    until(lambda: get(lab, deployment, "drift", window="1h"), lambda found: found["current_rows"] == 500)
    for name, time in (("inference_logs", "created_at"), ("bin_counts", "began_at")):
        servers.execute(
            lab.stack.database_url,
            f"UPDATE {name} SET {time} = {time} - interval '1 day' WHERE deployment_id = '{deployment}'",
        )
    changed = change(table(500, 4))
    ask(lab, deployment, changed, known) if known else predict(lab, deployment, [{n: r[n] for n in COLUMNS} for r in changed])
    until(lambda: get(lab, deployment, "drift", window="1h"), lambda found: found["current_rows"] == len(changed))
    return deployment


def explained(lab: Lab, deployment: str, status: str = "succeeded", **asked: Any) -> dict[str, Any]:
    answer = lab.client.post(f"{one(deployment)}/metric-changes", json={**TIMES, **asked})
    assert answer.status_code == 202, answer.text
    address = f"/api/mlops/metric-changes/{answer.json()['metric_change_id']}"
    found = until(lambda: lab.client.get(address).json()["metric_change"], lambda got: got["finished_at"], 60)
    assert found["status"] == status, found
    return dict(found)


def without_size(rows: list[Row]) -> list[Row]:
    return [{**row, "size": None} for row in rows]


def turned(rows: list[Row]) -> list[Row]:
    return [{**row, "label": {"yes": "no", "no": "yes"}[row["label"]] if row["size"] > 3 else row["label"]} for row in rows]


def test_a_column_that_stops_coming_is_named(lab: Lab) -> None:
    deployment = two_periods(lab, without_size)
    found = explained(lab, deployment, metric="accuracy")
    assert (found["used_basis"], found["after_row_count"], found["before_row_count"]) == ("realised", 500, 500)
    assert found["change"] == pytest.approx(found["after"] - found["before"])
    assert found["change"] < -2 * found["standard_error"]
    assert sum(part["effect"] for part in found["parts"]) == pytest.approx(found["change"])
    first = found["parts"][0]
    assert (first["cause"], first["features"], first["is_replaced"]) == ("missing_values", ["size"], True)
    performance = get(lab, deployment, "performance", window="1h")
    realised = {figure["name"]: figure["value"] for figure in performance["realised"]["metrics"]}
    assert found["after"] == pytest.approx(realised["accuracy"])
    listed = lab.client.get(f"{one(deployment)}/metric-changes").json()
    assert [(item["id"], item["status"]) for item in listed["items"]] == [(found["id"], "succeeded")]
    assert lab.client.delete(f"/api/mlops/metric-changes/{found['id']}").json() == {"ok": True}
    assert lab.client.get(f"/api/mlops/metric-changes/{found['id']}").status_code == 404


def test_that_the_same_rows_have_other_outcomes_is_the_rest(lab: Lab) -> None:
    found = explained(lab, two_periods(lab, turned), metric="logloss")
    assert found["parts"][0]["cause"] == "rest"


def test_without_outcomes_the_estimate_is_explained_or_refused(lab: Lab) -> None:
    deployment = two_periods(lab, without_size, known=False)
    found = explained(lab, deployment, metric="accuracy")
    assert (found["used_basis"], found["parts"][0]["cause"]) == ("estimated", "missing_values")
    refused = explained(lab, deployment, "failed", basis="realised")
    assert "0 rows whose outcome is known" in refused["error"]


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"metric": "acuracy"}, "metric"),
        ({"window": "1x"}, "window"),
        ({"baseline_window": "never"}, "baseline_window"),
        ({"baseline_until": "2999-01-01T00:00:00Z"}, "baseline_until"),
        ({"basis": "hoped"}, "basis"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "since"),
        ({"baseline_since": "9999-01-01T00:00:00Z"}, "baseline_since"),
        ({"until": "0001-01-02T00:00:00Z"}, "until"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "until"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"since": "9999-12-31T23:59:59-14:00"}, "since"),
        ({"baseline_since": "0001-01-01T00:00:00+14:00"}, "baseline_since"),
        ({"baseline_until": "0001-01-01T00:00:00+14:00"}, "baseline_until"),
        ({"baseline_until": "0001-01-01T01:00:00Z"}, "baseline_until"),
        ({"baseline_until": "9999-12-31T23:59:59-14:00"}, "baseline_until"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_name(lab: Lab, said: dict[str, Any], key: str) -> None:
    deployment = deploy(lab, str(uuid4()), "staging")
    answer = lab.client.post(f"{one(deployment)}/metric-changes", json=said)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == key
    assert lab.client.get(f"{one(deployment)}/metric-changes").json()["total"] == 0


def attributed(lab: Lab, deployment: str, rows: int) -> dict[str, Any]:
    """By which columns it answers, once the job has looked again at so many rows."""
    until(lambda: get(lab, deployment, "drift", window="1h"), lambda found: found["current_rows"] == rows)
    servers.execute(lab.stack.database_url, "UPDATE schedules SET next_at = now() WHERE name = 'attributions'")
    return dict(
        until(
            lambda: get(lab, deployment, "attribution-drift", window="1h"),
            lambda found: sum(day["answered_count"] for day in found["days"]) == rows,
            60,
        )
    )


def test_a_model_that_answers_by_other_columns_is_found(lab: Lab) -> None:
    deployment = deploy(lab, str(uuid4()), "staging")
    nothing = get(lab, deployment, "attribution-drift")
    assert (nothing["status"], nothing["days"], nothing["features"]) == ("insufficient_data", [], [])
    rows = table(600, 5)
    ask(lab, deployment, rows, known=False)
    calm = attributed(lab, deployment, 600)
    assert (calm["status"], calm["ndcg"]) == ("stable", pytest.approx(1, abs=0.02))
    assert calm["baseline_row_count"] == 240
    assert {feature["feature"] for feature in calm["features"]} == set(COLUMNS)
    assert sum(feature["share"] for feature in calm["features"]) == pytest.approx(1)
    # All of one size: it is what moves the answers no more.
    predict(lab, deployment, [{**{name: row[name] for name in COLUMNS}, "size": 2.5} for row in rows * 3])
    moved = attributed(lab, deployment, 2_400)
    assert moved["status"] == "drift"
    assert moved["features"][0]["feature"] == "size"
    assert moved["features"][0]["share"] < moved["features"][0]["baseline_share"]
    assert 1_700 < moved["row_count"] <= 2_000
