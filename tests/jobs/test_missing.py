"""A sentinel from the table to the prediction: warned of in the target, marked in one call, and read as missing ever after."""

import random

from starlette.applications import Starlette

from coreplex.platform.database import Database
from tests.factories.dataset import Person, table
from tests.jobs.harness import Workers, done, until

CREATE = "mutation($input: CreateExperimentInput!) { createExperiment(input: $input) { experiment { id warnings { message } } } }"
CANCEL = "mutation($id: ID!) { cancelExperiment(input: {experimentId: $id}) { experiment { status } } }"
MARK = """mutation($dataset: ID!) { markMissing(input: {datasetId: $dataset}) {
  version { id columns { name missingCount missingValues } } } }"""
PATIENCE = 120.0


def sensors(rows: int = 400) -> bytes:
    """The target and a feature with -200 where the instrument was off; a category with a word that means something."""
    draw = random.Random(3)
    lines: list[list[object]] = [["nox", "roof", "co"]]
    for index in range(rows):
        nox, roof = draw.uniform(10, 300), draw.choice(["None", "flat", "steep"])
        co = round(nox / 40 + (roof == "None") * 4 + draw.gauss(0, 0.3), 2)
        lines.append([-200 if index % 8 == 1 else round(nox), roof, -200 if index % 10 == 0 else co])
    return table(lines)


async def test_from_the_sentinel_in_the_target_to_the_prediction(
    lab: tuple[Starlette, Person], database: Database, workers: Workers
) -> None:
    ada = lab[1]
    made = await ada.dataset(sensors(), "sensors.csv")
    config = {"max_runtime_secs": 60, "max_models": 1, "nfolds": 3, "include_algos": ["GBM"]}
    wanted = {"projectId": ada.project_id, "name": "CO", "targetColumn": "co", "problemType": "REGRESSION", "config": config}
    first = (await ada.data(CREATE, input={**wanted, "datasetVersionId": made["version_id"]}))["createExperiment"]["experiment"]
    (warning,) = [one["message"] for one in first["warnings"] if "-200" in one["message"]]
    assert "'co' holds -200 (40 times), far outside the rest (" in warning
    assert f'markMissing(input: {{versionId: "{made["version_id"]}", columns: [{{name: "co", values: ["-200"]}}]}})' in warning
    log = (await ada.client.get(f"/api/experiments/{first['id']}/logs")).json()
    assert warning in [line["message"] for line in log["items"]]
    await ada.data(CANCEL, id=first["id"])

    version = (await ada.data(MARK, dataset=made["id"]))["markMissing"]["version"]
    assert {c["name"]: (c["missingCount"], c["missingValues"]) for c in version["columns"]} == {
        "nox": (50, ["-200"]),
        "roof": (0, None),
        "co": (40, ["-200"]),
    }
    again = await ada.client.post(f"/api/datasets/{made['id']}/missing")
    assert again.status_code == 422, "nothing is left to be offered"

    second = (await ada.data(CREATE, input={**wanted, "datasetVersionId": version["id"]}))["createExperiment"]["experiment"]
    assert not any("-200" in one["message"] for one in second["warnings"])
    workers.start()
    await until(done(database), PATIENCE)
    models = (await ada.client.get("/api/models", params={"experiment_id": second["id"]})).json()["items"]
    gbm = next(model for model in models if model["algo"] == "GBM")
    assert gbm["metrics"]["rmse"] < 2, "no -200 is among what it learned and is judged by"

    answer = await ada.client.post(
        f"/api/mlops/projects/{ada.project_id}/deployments", json={"model_id": gbm["id"], "name": "co", "stage": "staging"}
    )
    rows = [{"nox": value, "roof": roof} for roof in ("None", "flat") for value in (None, -200, -200.0, "-200", "-200.0", "NA")]
    for sent in (rows, rows * 6):
        scored = (
            await ada.client.post(f"/api/mlops/deployments/{answer.json()['deployment_id']}/predict", json={"inputs": sent})
        ).json()
        values = [one["prediction"] for one in scored["predictions"]]
        assert len(set(values[:6])) == 1, values
        assert len(set(values[6:12])) == 1, values
        assert values[0] > values[6] + 2, "None is a kind of roof, not a missing one"
        assert not scored["warnings"], scored["warnings"]
