"""Models in GraphQL: cursors over every order, the leaderboard, and predictions."""

from uuid import UUID

import pytest

from coreplex.engines.scoring import bundle
from coreplex.experiment.table import Experiment
from coreplex.model import service as model_service
from coreplex.model.service import SORT_METRICS
from tests.engines.scoring_samples import frame, manifest, member, target
from tests.factories.asking import Asker
from tests.factories.world import ROW, add_model

LIST = """query($first: Int!, $after: String, $sort: ModelSort, $filter: ModelFilter) {
  models(first: $first, after: $after, sort: $sort, filter: $filter) {
    totalCount pageInfo { hasNextPage endCursor }
    nodes { id name rank metrics { name value } isBest isProduction experimentName projectName } } }"""
BOARD = """query($id: ID!) { experiment(id: $id) { models(first: 50) { nodes { name rank isBest } } } }"""
PREDICT = """mutation($input: PredictModelInput!) { predictModel(input: $input) {
  predictions { prediction probability probabilities { label probability }
    explanation { method space label baseValue rawScore others residual contributions { feature value contribution stdError } } }
  warnings { kind column row } modelId model { name } latencyMs } }"""


async def more_models(asker: Asker, count: int) -> None:
    async with asker.world.database.transaction() as session:
        experiment = await session.get_one(Experiment, UUID(asker.world.ids["experiment"]))
        for i in range(count):
            metrics = {"logloss": 0.5} if i % 3 == 0 else {"auc": 0.5 + i / 100, "logloss": None}
            await add_model(session, asker.world.services, experiment, f"X{i}", i / 100, metrics=metrics)
        await model_service.rank(session, experiment)


async def test_cursors_over_every_order(asker: Asker) -> None:
    await more_models(asker, 5)
    for field in ("BEST", "CREATED_AT", "NAME", "RANK", *map(str.upper, SORT_METRICS)):
        for direction in ("ASC", "DESC"):
            sort = {"field": field, "direction": direction}
            whole = (await asker.data(LIST, first=50, sort=sort))["models"]["nodes"]
            found, after = [], None
            while len(found) < 20:
                page = (await asker.data(LIST, first=3, after=after, sort=sort))["models"]
                found += page["nodes"]
                after = page["pageInfo"]["endCursor"]
                if not page["pageInfo"]["hasNextPage"]:
                    break
            assert [node["name"] for node in found] == [node["name"] for node in whole], sort
            assert len(whole) == 8


async def test_the_leaderboard(asker: Asker) -> None:
    await more_models(asker, 2)
    nodes = (await asker.data(BOARD, id=asker.world.ids["experiment"]))["experiment"]["models"]["nodes"]
    assert [node["name"] for node in nodes] == ["GBM_0", "GBM_1", "GBM_2", "X1", "X0"]
    assert [(node["rank"], node["isBest"]) for node in nodes] == [(n, n == 1) for n in range(1, 6)]


async def test_an_engine_names_the_best_of_the_models_that_are_left(asker: Asker) -> None:
    async with asker.world.database.transaction() as session:
        experiment = await session.get_one(Experiment, UUID(asker.world.ids["waiting_experiment"]))
        models = [await add_model(session, asker.world.services, experiment, f"GBM_{i}", 0.9 - i / 10) for i in range(2)]
        experiment.sort_metric = "auc"
        await model_service.rank(session, experiment)
    query = "query($id: ID!) { experiment(id: $id) { bestModelId engineRuns { bestModelId bestMetric } } }"
    for left in (models[0], models[1], None):
        found = (await asker.data(query, id=str(experiment.id)))["experiment"]
        best = str(left.id) if left else None
        assert found["bestModelId"] == best
        assert found["engineRuns"] == [{"bestModelId": best, "bestMetric": left.metrics["auc"] if left else None}]
        if left:
            await asker.data("mutation($id: ID!) { deleteModel(input: {modelId: $id}) { deletedId } }", id=best)


async def test_what_a_list_costs_does_not_grow(asker: Asker) -> None:
    await asker.data(LIST, first=50)
    numbers = []
    for more in (0, 12):
        await more_models(asker, more)
        with asker.counted() as sent:
            assert len((await asker.data(LIST, first=50))["models"]["nodes"]) == 3 + more
        numbers.append(len(sent))
    assert numbers[0] == numbers[1]


async def test_predictions(asker: Asker) -> None:
    model = asker.world.ids["model"]
    answer = await asker.data(PREDICT, input={"modelId": model, "inputs": [ROW, {"age": None}], "options": {"contributions": 2}})
    found = answer["predictModel"]
    assert (len(found["predictions"]), found["modelId"], bool(found["model"]["name"])) == (2, model, True)
    first = found["predictions"][0]
    why, likely = first["explanation"], {one["label"]: one["probability"] for one in first["probabilities"]}
    assert [likely[first["prediction"]], len(likely)] == [first["probability"], 2]
    assert (why["method"], why["space"], why["label"], len(why["contributions"])) == ("LINEAR", "LOGIT", "yes", 2)
    parts = why["baseValue"] + sum(one["contribution"] for one in why["contributions"]) + why["others"] + why["residual"]
    assert parts == pytest.approx(why["rawScore"])
    assert {warning["row"] for warning in found["warnings"]} <= {None, 0, 1}
    assert "plan" in {warning["column"] for warning in found["warnings"]}
    inline = f'mutation {{ predictModel(input: {{modelId: "{model}", inputs: {{age: 61, plan: "pro"}}}}) {{ requestId }} }}'
    assert (await asker.data(inline))["predictModel"]["requestId"]
    for inputs in ([], {}, [ROW, {}], 3, None, [[]]):
        assert (await asker.refused(PREDICT, input={"modelId": model, "inputs": inputs}))["status"] in {400, 422}


LABELS = [
    ("binary", (False, True)),
    ("multiclass", (3, -4, 5)),
    ("multiclass", (1.5, 2.0, 1e-7)),
    ("multiclass", ("01", "1.0", "x")),
]


@pytest.mark.parametrize(("task", "labels"), LABELS)
async def test_classes_are_spelled_alike_everywhere(asker: Asker, task: str, labels: tuple[object, ...]) -> None:
    table = frame(120)
    data = bundle.dumps(manifest(table, task, classes=labels), [member(table, target(table, task), task, "linear")])
    async with asker.world.database.transaction() as session:
        experiment = await session.get_one(Experiment, UUID(asker.world.ids["experiment"]))
        model = await add_model(session, asker.world.services, experiment, "Labels", 0.5, model=data, classes=list(labels))
    found = (await asker.data(PREDICT, input={"modelId": str(model.id), "inputs": [ROW]}))["predictModel"]["predictions"][0]
    assert [one["label"] for one in found["probabilities"]] == list(labels)
    assert found["prediction"] in labels
    assert type(found["prediction"]) is type(found["probabilities"][0]["label"])
    known = (await asker.data("query($id: ID!) { model(id: $id) { classes } }", id=str(model.id)))["model"]["classes"]
    assert known == list(labels)


async def test_a_model_whose_file_is_gone_is_a_clear_error(asker: Asker) -> None:
    model = asker.world.ids["spare_model"]
    got = await asker.data("query($id: ID!) { model(id: $id) { artifactId } }", id=model)
    assert got["model"]["artifactId"]
    services = asker.world.services
    await services.storage.delete_all(f"projects/{asker.world.ids['project']}/experiments")
    refused = await asker.refused(PREDICT, input={"modelId": model, "inputs": ROW})
    assert refused["status"] in {404, 409, 503}, refused
    refused = await asker.refused("query($id: ID!) { model(id: $id) { explanation { method } } }", id=model)
    assert refused["status"] in {404, 409, 503}, refused
