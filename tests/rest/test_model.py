"""Models over REST (contract B.6): lists and their orders, what a model tells of itself, predictions of every sort of row."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from coreplexml import CorePlexMLClient
from httpx import AsyncClient

import resolvers.model
from coreplex.experiment.table import Experiment
from coreplex.model import service as model_service
from coreplex.model.service import SORT_METRICS
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving
from tests.factories.experiment import ROW, Lab
from tests.factories.world import World, add_model, world

MODEL = {
    *("id", "name", "algo", "engine", "project_id", "project_name", "experiment_id", "experiment_name", "is_best"),
    *("is_production", "is_staging", "metrics", "rank", "problem_type", "target_column", "created_at"),
    *("training_time_secs", "latency_ms", "validation"),
}


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[World, AsyncClient]]:
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        client.headers.update(made.headers("owner"))
        yield made, client


async def names(client: AsyncClient, **params: Any) -> list[str]:
    answer = await client.get("/api/models", params=params)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_lists(lab: tuple[World, AsyncClient], monkeypatch: pytest.MonkeyPatch) -> None:
    made, client = lab
    async with made.database.transaction() as session:
        experiment = await session.get_one(Experiment, UUID(made.ids["experiment"]))
        services = made.services
        await add_model(session, services, experiment, "GLM_none", 0.1, algo="GLM", metrics={"logloss": 0.4})
        await add_model(session, services, experiment, "GLM_null", 0.05, algo="GLM", metrics={"auc": None, "logloss": 0.2})
        await model_service.rank(session, experiment)
    body = (await client.get("/api/models")).json()
    assert (body["total"], body["limit"], body["offset"]) == (5, 50, 0)
    assert all(set(item) == MODEL for item in body["items"])
    assert await names(client) == ["GBM_0", "GBM_1", "GBM_2", "GLM_none", "GLM_null"]
    assert await names(client, sort_metric="auc") == ["GBM_0", "GBM_1", "GBM_2", "GLM_null", "GLM_none"]
    assert (await names(client, sort_metric="auc", sort_dir="asc"))[:3] == ["GBM_2", "GBM_1", "GBM_0"]
    assert (await names(client, sort_metric="logloss", sort_dir="asc"))[:3] == ["GBM_0", "GBM_1", "GLM_null"]
    assert await names(client, sort_metric="logloss") == ["GLM_none", "GBM_2", "GLM_null", "GBM_1", "GBM_0"]
    for metric in SORT_METRICS:
        assert len(await names(client, sort_metric=metric)) == 5
    assert (await client.get("/api/models", params={"sort_metric": "beauty"})).status_code == 422
    assert await names(client, limit=2, offset=1) == ["GBM_1", "GBM_2"]
    assert await names(client, model_type="glm") == ["GLM_none", "GLM_null"]
    assert await names(client, model_type="G%") == []
    assert await names(client, is_best="true") == ["GBM_0"]
    assert len(await names(client, is_best="false")) == 4
    assert await names(client, is_production="true") == ["GBM_1"]
    assert await names(client, is_staging="1") == ["GBM_0"]
    assert await names(client, is_staging="0", model_type="GBM") == ["GBM_1", "GBM_2"]
    assert (await client.get("/api/models", params={"is_best": "perhaps"})).status_code == 422
    assert await names(client, search="gbm_2") == ["GBM_2"]
    assert await names(client, search="finished", limit=1) == ["GBM_0"]
    monkeypatch.setattr(resolvers.model, "MAX_WAIT_SECS", 1)  # not the 20 s in which its first model might come
    assert await names(client, experiment_id=made.ids["waiting_experiment"], project_id=made.ids["project"]) == []
    for identity in ("nonsense", str(uuid4()), made.foreign["experiment"]):
        answer = await client.get("/api/models", params={"experiment_id": identity})
        assert (answer.status_code, answer.json()["detail"]) == (404, "Experiment not found")


async def test_deletion(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    served = await client.delete(f"/api/models/{made.ids['model']}")
    assert served.status_code == 409
    assert re.fullmatch("The deployment “.+” serves the model “.+”; deactivate it first.", served.json()["detail"])
    await client.post(f"/api/mlops/deployments/{made.ids['deployment']}/deactivate")
    assert (await client.delete(f"/api/models/{made.ids['model']}")).json() == {"ok": True}
    assert (await client.get(f"/api/models/{made.ids['model']}")).status_code == 404
    left = (await client.get("/api/models")).json()["items"]
    assert [(item["name"], item["rank"], item["is_best"]) for item in left] == [("GBM_1", 1, True), ("GBM_2", 2, False)]
    experiment = (await client.get(f"/api/experiments/{made.ids['experiment']}")).json()
    assert experiment["best_model_id"] == left[0]["id"]
    assert (await client.get(f"/api/mlops/deployments/{made.ids['deployment']}")).status_code == 404


async def test_a_list_does_not_wait_for_what_nobody_trains(lab: tuple[World, AsyncClient]) -> None:
    made, client = lab
    await client.post(f"/api/experiments/{made.ids['waiting_experiment']}/cancel")
    assert await names(client, experiment_id=made.ids["waiting_experiment"]) == []


def test_what_a_model_tells_of_itself(trained: Lab) -> None:
    best, client = trained.models[0], trained.client
    one = f"/api/models/{best['id']}"
    got = client.get(one).json()
    assert got["model"] == {name: value for name, value in got.items() if name != "model"}
    assert got["classes"] == ["no", "yes"]
    assert {feature["name"] for feature in got["features"]} >= {"size", "weight", "kind"}
    assert got["cv_metrics"]
    assert got["size_bytes"] > 0
    told = {entry["metric"]: entry for entry in got["metric_intervals"]}
    assert set(told) == {name for name, value in got["metrics"].items() if value is not None}
    assert told["auc"]["low"] <= told["auc"]["value"] == got["metrics"]["auc"] <= told["auc"]["high"]
    assert (told["auc"]["level"], told["auc"]["rows"], told["auc"]["holdout_rows"]) == (0.9, 240, 48)
    decided = got["threshold"]
    assert (decided["value"], decided["positive_class"], decided["chosen_for"]) == (0.5, "yes", None)
    counted = [decided[f"{kind}_{sign}s"] for kind in ("true", "false") for sign in ("positive", "negative")]
    assert sum(counted) == 240
    assert got["metrics"]["accuracy"] == pytest.approx(sum(counted[:2]) / 240)
    parameters = client.get(f"{one}/parameters").json()
    assert (parameters["model_id"], parameters["algo"]) == (best["id"], best["algo"])
    assert parameters["parameters"] == got["parameters"]
    explained = client.get(f"{one}/explain").json()
    assert explained["model_id"] == best["id"]
    assert explained["feature_importance"]
    curves = client.get(f"{one}/curves").json()
    assert curves["curves"]
    download = client.get(f"/api/artifacts/{got['artifact_id']}/download")
    assert (download.status_code, download.content[:2]) == (200, b"PK")


def ask(lab: Lab, **body: Any) -> Any:
    return lab.client.post(f"/api/models/{lab.models[0]['id']}/predict", json=body)


def test_predictions(trained: Lab) -> None:
    one = ask(trained, inputs=ROW).json()
    assert (one["count"], one["model_id"], one["warnings"]) == (1, trained.models[0]["id"], one["warnings"])
    assert "deployment_id" not in one
    answer = one["predictions"][0]
    assert answer["prediction"] in {"yes", "no"}
    assert answer["probability"] == max(answer["probabilities"].values())
    assert set(answer["probabilities"]) == {"yes", "no"}
    many = ask(trained, inputs=[ROW] * 100).json()
    assert many["count"] == 100
    for row in many["predictions"]:
        assert row["probabilities"] == pytest.approx(answer["probabilities"])
    as_text = ask(trained, inputs={"size": "3.5", "weight": "1", "kind": "b"}).json()["predictions"][0]
    assert as_text["probability"] == pytest.approx(answer["probability"])
    other_comma = ask(trained, inputs={**ROW, "size": "3,5"}).json()["warnings"]
    (told,) = [one["message"] for one in other_comma if (one["kind"], one["column"]) == ("unreadable_value", "size")]
    assert told == "Column “size” holds “3,5”, which is no number; it is treated as a missing value."


def test_columns_spelled_otherwise_are_matched_and_said(trained: Lab) -> None:
    plain = ask(trained, inputs=ROW).json()["predictions"][0]
    other = {name.upper().replace("E", "E_") + " ": value for name, value in ROW.items()}
    for inputs in (other, [other] * 300):
        answer = ask(trained, inputs=inputs).json()
        assert answer["predictions"][0]["probability"] == pytest.approx(plain["probability"])
        matched = [warning for warning in answer["warnings"] if warning["kind"] == "matched_column"]
        assert {warning["column"] for warning in matched} == set(ROW)
        assert len(matched) == len(ROW)  # once for all rows
        odd = {warning["column"] for warning in answer["warnings"] if warning["kind"] in ("missing_column", "extra_column")}
        assert not odd & {*ROW, *other}


def test_an_empty_row_is_refused(trained: Lab) -> None:
    for inputs, place in (({}, ["body", "inputs"]), ([ROW, {}], ["body", "inputs", 1])):
        answer = ask(trained, inputs=inputs)
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"][0]["loc"] == place


def test_a_row_of_unknown_columns_is_refused_with_the_nearest(trained: Lab) -> None:
    unknown = {"sise": 1.0, "x": 2}
    for inputs, place in ((unknown, []), ([ROW, unknown], [1]), ([ROW] * 300 + [unknown], [300])):
        (error,) = ask(trained, inputs=inputs).json()["detail"]
        assert error["loc"] == ["body", "inputs", *place]
        assert "such as 'sise'. Did you mean 'size'? It has (nearest first): size" in error["msg"]
    answer = ask(trained, inputs={"SIZE": 1.0, "x": 2}).json()
    assert {"extra_column", "matched_column"} <= {warning["kind"] for warning in answer["warnings"]}


def test_an_unknown_option_is_said_with_the_nearest(trained: Lab) -> None:
    warnings = ask(trained, inputs=ROW, options={"contribution": True, "zzz": 1}).json()["warnings"]
    unknown = [warning["message"] for warning in warnings if warning["kind"] == "unknown_option"]
    assert unknown == [
        "options has no option 'contribution', which is ignored. Did you mean 'contributions'?",
        "options has no option 'zzz', which is ignored.",
    ]
    (beside,) = [one for one in ask(trained, inputs=ROW, option={}).json()["warnings"] if one["kind"] == "unknown_key"]
    assert beside["message"] == "This endpoint takes no key 'option', which is ignored. Did you mean 'options'?"


def test_options(trained: Lab) -> None:
    for wanted, count in ((True, 5), (2, 2), (1000, 6)):
        answer = ask(trained, inputs=[ROW, ROW], options={"contributions": wanted, "unknown": 1}).json()["predictions"][0]
        assert 0 < len(answer["contributions"]) <= count
        assert "residual" in answer
    assert ask(trained, inputs=ROW, options={"threshold": 1.0}).json()["predictions"][0]["prediction"] == "no"
    assert ask(trained, inputs=ROW, options={"threshold": 0.0}).json()["predictions"][0]["prediction"] == "yes"
    sets = [one["prediction_set"] for one in ask(trained, inputs=[ROW, ROW], options={"interval": 0.9}).json()["predictions"]]
    assert sets[0] == sets[1]
    assert {"yes", "no"} >= set(sets[0]) > set()
    assert "prediction_set" not in ask(trained, inputs=ROW).json()["predictions"][0]
    for options in (
        {"interval": 0.9999},
        {"interval": 1},
        {"interval": "0.9"},
        {"contributions": "all"},
        {"contributions": 0},
        {"contributions": "1"},
        {"contributions": 1001},
        {"threshold": 2},
        {"threshold": "x"},
        {"strict": 1},
        {"explain": True},
        {"explain": [3]},
    ):
        refused = ask(trained, inputs=ROW, options=options)
        assert refused.status_code == 422, (options, refused.text)
        assert refused.json()["detail"][0]["loc"] == ["body", "options", next(iter(options))]
    assert ask(trained, inputs=ROW, options=[]).status_code == 422


FULL = {**ROW, "amount": 2.5}
"""Every column that a model reads."""


def test_explanations_are_asked_for_by_either_name(trained: Lab) -> None:
    said, twice = ({"explain": {"top_k": 2}}, {"explain": {"top_k": 2}, "contributions": 2})
    one, other, both = (ask(trained, inputs=FULL, options=o).json() for o in (said, {"contributions": 2}, twice))
    assert one["predictions"] == other["predictions"] == both["predictions"]
    (answer,) = one["predictions"]
    parts = answer["explanation"]
    added = sum(part["contribution"] for part in answer["contributions"]) + parts["others"] + answer["residual"]
    assert parts["base_value"] + added == pytest.approx(parts["raw_score"])
    assert len(ask(trained, inputs=FULL, options={"explain": {}}).json()["predictions"][0]["contributions"]) == 4
    assert "contributions" not in ask(trained, inputs=FULL, options={"explain": None}).json()["predictions"][0]
    for contributions in (3, True, False):
        refused = ask(trained, inputs=FULL, options={"explain": {"top_k": 2}, "contributions": contributions})
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "options"])
        assert "send one of the two" in refused.text
    for top in (0, 1001, "2", True):
        refused = ask(trained, inputs=FULL, options={"explain": {"top_k": top}})
        assert refused.json()["detail"][0]["loc"] == ["body", "options", "explain", "top_k"]
    (warning,) = ask(trained, inputs=FULL, options={"explain": {"topk": 2}}).json()["warnings"]
    assert warning["message"] == "options.explain has no option 'topk', which is ignored. Did you mean 'top_k'?"


ODD: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "zzz"}, "kind", "training never saw the category “zzz”"),
    ({"size": 1e9}, "size", "“1000000000.0” lies outside the range that training saw"),
    ({"weight": "much"}, "weight", "cannot be read: “much”"),
    ({"wait": 1}, "wait", "is no column that the model knows. Did you mean 'weight'?"),
    ({"SIZE": 1.0}, "SIZE", "is no column that the model knows. Did you mean 'size'?"),
    ({"weight": None}, "weight", "is missing, and training always saw a value"),
]


@pytest.mark.parametrize("many", [1, 300], ids=["by row", "by column"])
@pytest.mark.parametrize(("odd", "column", "says"), ODD)
def test_strict_refuses_what_is_answered_with_a_warning_else(
    trained: Lab, odd: dict[str, Any], column: str, says: str, many: int
) -> None:
    rows = [*[FULL] * many, {**FULL, **odd}]
    lenient = ask(trained, inputs=rows)
    assert lenient.json()["warnings"][0]["row"] == many
    assert lenient.json()["warnings"] == ask(trained, inputs=rows, options={"strict": False}).json()["warnings"]
    for inputs, place in ((rows, [many, column]), ({**FULL, **odd}, [column]), ([{**FULL, **odd}], [0, column])):
        refused = ask(trained, inputs=inputs, options={"strict": True, "explain": {"top_k": 1}})
        assert refused.status_code == 422, refused.text
        (detail,) = refused.json()["detail"]
        assert (detail["loc"], detail["msg"]) == (["body", "inputs", *place], says)
    fine = ask(trained, inputs=[FULL] * many, options={"strict": True}).json()
    assert fine["predictions"] == ask(trained, inputs=[FULL] * many).json()["predictions"]


def test_strict_refuses_missing_columns_other_spellings_and_unknown_options(trained: Lab) -> None:
    short = {name: value for name, value in FULL.items() if name != "weight"}
    for inputs, place in ((short, ["weight"]), ([short, short], [0, "weight"]), ([FULL, short], [1, "weight"])):
        (detail,) = ask(trained, inputs=inputs, options={"strict": True}).json()["detail"]
        assert (detail["loc"], detail["msg"]) == (["body", "inputs", *place], "is not in the row")
    (detail,) = ask(trained, inputs={**short, "Weight": 1}, options={"strict": True}).json()["detail"]
    assert (detail["loc"][-1], detail["msg"]) == ("weight", "is spelled otherwise in the row")
    for options, place in (
        ({"intervall": 0.9}, ["intervall"]),
        ({"explain": {"top": 2}}, ["explain", "top"]),
    ):
        (detail,) = ask(trained, inputs=FULL, options={"strict": True, **options}).json()["detail"]
        assert detail["loc"] == ["body", "options", *place]
        assert detail["msg"].startswith("there is no such option. Did you mean '")
    absurd = ask(trained, inputs=[{**FULL, "kind": f"k{i}", "size": 1e40} for i in range(500)], options={"strict": True})
    assert len(absurd.json()["detail"]) == 20


@pytest.mark.parametrize(
    "inputs", [[], None, 3, "x", [3], [[]], [None], [ROW, "x"], [ROW] * 10_001], ids=lambda value: repr(value)[:20]
)
def test_rows_that_are_none(trained: Lab, inputs: Any) -> None:
    answer = ask(trained, inputs=inputs)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == "inputs"


HOSTILE: list[Any] = [
    *(None, "", "ü" * 1000, "\0", 10**300, -(10**300), 1e308, 10**18, -0.0, 5e-324, True, [], [1], {}, {"a": {"b": [1]}}),
    *("NaN", "inf", "1e400", "0x10", "1,234.5", "١٢", "2020-13-45"),
]


def test_values_of_every_kind_are_answered(trained: Lab) -> None:
    rows = [{**ROW, column: value} for column in (*ROW, "same", "empty", "amount", "never heard of") for value in HOSTILE]
    answered = ask(trained, inputs=rows)
    assert answered.status_code == 200, answered.text[:500]
    for row, answer in zip(rows, answered.json()["predictions"], strict=True):
        assert answer["prediction"] in {"yes", "no"}, row
        assert sum(answer["probabilities"].values()) == pytest.approx(1), row
    for row in rows[::7]:
        assert ask(trained, inputs=row, options={"contributions": 3}).status_code == 200, row
    kinds = {warning["kind"] for warning in answered.json()["warnings"]}
    assert {"unseen_category", "extra_column", "unreadable_value"} <= kinds, kinds
    missing = ask(trained, inputs={"size": 1}).json()
    assert {warning["column"] for warning in missing["warnings"]} >= {"weight", "kind"}


def test_the_published_client(trained: Lab) -> None:
    client = CorePlexMLClient(base_url=trained.stack.base_url, api_key=trained.key)
    listed = client.models.list(project_id=trained.project_id)
    assert listed["items"][0]["is_best"]
    best = listed["items"][0]["id"]
    assert client.models.get(best)["id"] == best
    assert client.models.parameters(best)["parameters"]
    assert client.models.explain(best)["feature_importance"]
    answer = client.models.predict(best, inputs=ROW, options={"contributions": 1})
    assert answer["predictions"][0]["prediction"] in {"yes", "no"}
    assert [one["kind"] for one in answer["warnings"] if one["kind"].startswith("unknown")] == []
    assert client.models.predict(best, inputs=[ROW, ROW])["count"] == 2
