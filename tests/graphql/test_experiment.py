"""Experiments in GraphQL: their rich state, their warnings, what is refused, and what a list costs."""

from uuid import UUID

from coreplex.dataset.table import DatasetVersion
from coreplex.engines.diagnosis import experiment_warnings
from coreplex.job.lifecycle import JobStatus
from coreplex.membership.table import Project
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving
from tests.factories.asking import Asker
from tests.factories.world import TARGET, add_experiment, world

CREATE = """mutation($input: CreateExperimentInput!) { createExperiment(input: $input) {
  experiment { id status engines warnings { message reason parameters } config
    executionMode engineRuns { engine requestedEngine status } } } }"""
ACT = """mutation($id: ID!) {{ {}Experiment(input: {{experimentId: $id}}) {{ experiment {{
  status error {{ message reason }} isStopped }} }} }}"""
LIST = """{ experiments(first: 50) { nodes { name status progress message modelCount bestModel { name isProduction }
  engineRuns { engine modelCount } } } }"""


def wanted(asker: Asker, **more: object) -> dict[str, object]:
    ids = asker.world.ids
    good = {"projectId": ids["project"], "datasetVersionId": ids["version"], "name": "Try", "targetColumn": TARGET}
    return {**good, "problemType": "CLASSIFICATION", **more}


async def test_what_was_asked_for_and_what_runs(asker: Asker) -> None:
    made = (await asker.data(CREATE, input=wanted(asker, engine="H2O ", useGpu=True)))["createExperiment"]["experiment"]
    assert (made["status"], made["engines"]) == ("QUEUED", ["native"])
    said = {one["reason"]: one["parameters"] for one in made["warnings"]}
    assert said["engine_replaced"] == {"engine": "h2o", "actual": "native"}
    assert said.keys() - {experiment_warnings.DIAGNOSIS_PENDING.reason} == {"engine_replaced", "no_gpu"}
    assert made["engineRuns"] == [{"engine": "native", "requestedEngine": "h2o", "status": "QUEUED"}]
    both = wanted(asker, executionMode="PARALLEL", engines=["h2o", "native", "flaml", "flaml"])
    made = (await asker.data(CREATE, input=both))["createExperiment"]["experiment"]
    assert made["engines"] == ["native", "flaml"]
    assert any("not run twice" in warning["message"] for warning in made["warnings"])
    single = wanted(asker, engines=["flaml", "native"])
    assert (await asker.data(CREATE, input=single))["createExperiment"]["experiment"]["engines"] == ["flaml"]


async def test_without_fallback_a_missing_engine_is_refused(settings: Settings, database: Database) -> None:
    strict = settings.model_copy(update={"engine_fallback": False})
    async with serving(strict) as app, world(app, database) as made, browser(app) as client:
        asker = Asker(made, client)
        refused = await asker.refused(CREATE, input=wanted(asker, engine="h2o"))
        assert (refused["status"], refused["errors"][0]["loc"]) == (422, ["engine"])
        assert "native" in refused["message"]
        assert "flaml" in refused["message"]
        await asker.data(CREATE, input=wanted(asker, engine="flaml"))


async def test_wrong_options_name_their_keys(asker: Asker) -> None:
    refused = await asker.refused(CREATE, input=wanted(asker, config={"nfolds": "5", "max_models": 0, "unknown": 1}))
    assert {tuple(error["loc"]) for error in refused["errors"]} == {("config", "nfolds"), ("config", "max_models")}
    for config in ([], "x", 1):
        refused = await asker.refused(CREATE, input=wanted(asker, config=config))
        assert (refused["status"], refused["errors"][0]["loc"][0]) == (422, "config"), (config, refused)
    assert (await asker.refused(CREATE, input=wanted(asker, problemType="GUESS")))["code"] == "BAD_REQUEST"


async def test_a_dataset_in_place_of_its_version_is_told_its_newest(asker: Asker) -> None:
    ids = asker.world.ids
    refused = await asker.refused(CREATE, input=wanted(asker, datasetVersionId=ids["dataset"]))
    assert (refused["status"], refused["errors"][0]["loc"]) == (422, ["dataset_version_id"])
    assert ids["version"] in refused["message"]
    assert (await asker.refused(CREATE, input=wanted(asker, datasetVersionId=ids["project"])))["status"] == 404


async def test_ends(asker: Asker) -> None:
    ids = asker.world.ids
    for action in ("cancel", "stop"):
        assert (await asker.refused(ACT.format(action), id=ids["experiment"]))["status"] == 409
    ended = (await asker.data(ACT.format("cancel"), id=ids["waiting_experiment"]))["cancelExperiment"]["experiment"]
    assert ended == {"status": "CANCELLED", "error": {"message": "cancelled", "reason": "job_cancelled"}, "isStopped": False}
    assert (await asker.refused(ACT.format("stop"), id=ids["waiting_experiment"]))["code"] == "CONFLICT"


async def test_what_a_list_costs_does_not_grow(asker: Asker) -> None:
    await asker.data(LIST)
    numbers = []
    for more in (0, 15):
        async with asker.world.database.transaction() as session:
            project = await session.get_one(Project, UUID(asker.world.ids["project"]))
            version = await session.get_one(DatasetVersion, UUID(asker.world.ids["version"]))
            for i in range(more):
                await add_experiment(session, project, version, f"e{i}", JobStatus.succeeded)
        with asker.counted() as sent:
            assert len((await asker.data(LIST))["experiments"]["nodes"]) == 2 + more
        numbers.append(len(sent))
    assert numbers[0] == numbers[1]
