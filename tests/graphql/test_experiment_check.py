"""What a front-end asks before an experiment: targets, metrics, options, and what creating it would say."""

from typing import Any

import pytest

from coreplex.engines.automl.options.config import AutoMLConfig
from schema.messages import catalogue
from tests.factories.asking import Asker
from tests.factories.world import TARGET

CHECK = """query($input: CreateExperimentInput!) { checkExperiment(input: $input) {
  problemType engines config warnings { message reason parameters }
  validation { strategy reason } duration { likelySecs lowerSecs upperSecs modelCount }
  userErrors { message code field reason } } }"""
CREATE = """mutation($input: CreateExperimentInput!) { createExperiment(input: $input) {
  experiment { config engines warnings { message reason parameters }
  validation { strategy reason } } userErrors { message code field reason } } }"""
OFFERED = """{ experimentCapabilities { metrics { name direction problemTypes }
  options { name type default minimum maximum exclusive values description } } }"""
TARGETS = """query($id: ID!) { datasetVersion(id: $id) { columns { name } targets(first: 50) {
  column problemType uniqueCount missingPercent refusal } } }"""


def wanted(asker: Asker, **more: Any) -> dict[str, Any]:
    ids = asker.world.ids
    said = {"projectId": ids["project"], "datasetVersionId": ids["version"], "name": "asked", "targetColumn": TARGET}
    return {**said, "problemType": "CLASSIFICATION", "config": {"max_runtime_secs": 20, "max_models": 2, "folds": 3}, **more}


async def count(asker: Asker) -> int:
    data = await asker.data("{ experiments { totalCount } jobs { totalCount } }")
    return int(data["experiments"]["totalCount"] + data["jobs"]["totalCount"])


async def test_it_says_what_creation_says_and_makes_nothing(asker: Asker) -> None:
    before = await count(asker)
    said = (await asker.data(CHECK, input=wanted(asker)))["checkExperiment"]
    assert await count(asker) == before
    made = (await asker.data(CREATE, input=wanted(asker)))["createExperiment"]
    for name in ("config", "engines", "warnings", "validation"):
        assert said[name] == made["experiment"][name], name
    (unknown,) = [one for one in said["warnings"] if one["reason"] == "option_ignored"]
    assert unknown["parameters"] == {"option": "folds", "nearest": "nfolds"}
    told = " ".join(catalogue()[word].format(**unknown["parameters"]) for word in ("option_ignored", "did_you_mean"))
    assert unknown["message"] == told
    duration = said["duration"]
    assert 0 < duration["lowerSecs"] <= duration["likelySecs"] <= duration["upperSecs"] <= 20
    assert said["userErrors"] == made["userErrors"] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"targetColumn": "nobody"}, ["input", "targetColumn"]),
        ({"config": {"nfolds": 1}}, ["input", "config", "nfolds"]),
        ({"name": ""}, ["input", "name"]),
    ],
)
async def test_what_would_be_refused_is_told_as_creation_tells_it(asker: Asker, wrong: dict[str, Any], field: list[str]) -> None:
    said = (await asker.data(CHECK, input=wanted(asker, **wrong)))["checkExperiment"]
    made = (await asker.data(CREATE, input=wanted(asker, **wrong)))["createExperiment"]
    assert said["userErrors"] == made["userErrors"]
    assert (said["userErrors"][0]["field"], said["duration"], said["engines"]) == (field, None, [])


async def test_who_may_not_create_may_not_check(asker: Asker) -> None:
    assert (await asker.refused(CHECK, "viewer", input=wanted(asker)))["code"] == "FORBIDDEN"
    assert (await asker.refused(CHECK, "stranger", input=wanted(asker)))["code"] == "NOT_FOUND"


async def test_options_and_metrics_are_those_of_the_engine(asker: Asker) -> None:
    offered = (await asker.data(OFFERED))["experimentCapabilities"]
    options = {one["name"]: one for one in offered["options"]}
    assert list(options) == list(AutoMLConfig.model_fields)
    assert all(one["description"] for one in options.values())
    folds = options["nfolds"]
    assert (folds["type"], folds["default"], folds["minimum"], folds["maximum"]) == ("INTEGER", 5, -1, 50)
    assert (options["quantile_alpha"]["exclusive"], options["quantile_alpha"]["maximum"]) == (True, 1.0)
    assert "time" in options["validation"]["values"]
    metrics = {one["name"]: one for one in offered["metrics"]}
    assert (metrics["AUC"]["direction"], metrics["RMSE"]["direction"]) == ("MAXIMIZE", "MINIMIZE")
    assert (metrics["AUC"]["problemTypes"], metrics["RMSE"]["problemTypes"]) == (["CLASSIFICATION"], ["REGRESSION"])
    assert {name.upper() for name in options["sort_metric"]["values"]} >= set(metrics) - {"PINBALL"}


async def test_targets_are_the_columns_and_say_why_one_is_none(asker: Asker) -> None:
    version = (await asker.data(TARGETS, id=asker.world.ids["version"]))["datasetVersion"]
    found = {one["column"]: one for one in version["targets"]}
    assert set(found) == {column["name"] for column in version["columns"]}
    assert (found[TARGET]["problemType"], found[TARGET]["refusal"]) == ("CLASSIFICATION", None)
