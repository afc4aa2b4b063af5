"""What a model wants to be given, by GraphQL and by REST, of models and of deployments."""

from typing import Any

import orjson
from jsonschema import Draft202012Validator

from tests.factories.asking import Asker
from tests.factories.world import ROW, TABLE

SCHEMA = """{ fields { name type isNullable min max categories categoryCount default example importancePercent }
  jsonSchema output { column problemType classes threshold highestInterval } }"""
MODEL = f"query($id: ID!) {{ model(id: $id) {{ inputSchema {SCHEMA} }} }}"
DEPLOYMENT = f"query($id: ID!) {{ deployment(id: $id) {{ inputSchema {SCHEMA} }} }}"


async def test_both_doors_say_the_same_of_a_model_and_its_deployment(asker: Asker) -> None:
    ids = asker.world.ids
    found = (await asker.data(MODEL, "viewer", id=ids["model"]))["model"]["inputSchema"]
    assert (await asker.data(DEPLOYMENT, "viewer", id=ids["deployment"]))["deployment"]["inputSchema"] == found
    plan = next(field for field in found["fields"] if field["name"] == "plan")
    assert (plan["type"], plan["categories"], plan["categoryCount"]) == ("CATEGORICAL", ["basic", "plus", "pro"], 3)
    assert plan["default"] in plan["categories"]
    age = next(field for field in found["fields"] if field["name"] == "age")
    assert (age["type"], age["min"], age["max"]) == ("INTEGER", TABLE["age"].min(), TABLE["age"].max())
    assert 0 < age["importancePercent"] < 100
    assert found["output"]["classes"] == ["no", "yes"]
    assert (found["output"]["problemType"], found["output"]["threshold"]) == ("CLASSIFICATION", 0.5)
    headers = asker.world.headers("viewer")
    model = (await asker.client.get(f"/api/models/{ids['model']}/schema", headers=headers)).json()
    deployment = (await asker.client.get(f"/api/mlops/deployments/{ids['deployment']}/schema", headers=headers)).json()
    assert (model.pop("model_id"), deployment.pop("model_id")) == (ids["model"], ids["model"])
    assert deployment.pop("deployment_id") == ids["deployment"]
    assert model == deployment
    assert model["json_schema"] == found["jsonSchema"]
    assert [field["importance_percent"] for field in model["fields"]] == [field["importancePercent"] for field in found["fields"]]
    assert model["output"]["problem_type"] == "classification"


async def test_rows_of_the_table_and_the_form_s_own_are_valid_and_answered(asker: Asker) -> None:
    ids = asker.world.ids
    found = (await asker.data(MODEL, id=ids["model"]))["model"]["inputSchema"]
    Draft202012Validator.check_schema(found["jsonSchema"])
    valid = Draft202012Validator(found["jsonSchema"])
    for row in orjson.loads(orjson.dumps(TABLE.to_dicts())):
        assert [error.message for error in valid.iter_errors(row)] == []
    assert valid.is_valid(ROW)
    assert not valid.is_valid({**ROW, "plan": "gold"})
    example = {field["name"]: field["example"] for field in found["fields"]}
    assert valid.is_valid(example)
    answer = await asker.client.post(
        f"/api/mlops/deployments/{ids['deployment']}/predict",
        json={"inputs": example, "options": {"strict": True}},
        headers=asker.world.headers("owner"),
    )
    assert answer.status_code == 200, answer.text


async def test_strangers_learn_nothing(asker: Asker) -> None:
    ids = asker.world.ids
    for path in (f"/api/models/{ids['model']}/schema", f"/api/mlops/deployments/{ids['deployment']}/schema"):
        assert (await asker.client.get(path, headers=asker.world.headers("stranger"))).status_code == 404
    refused: dict[str, Any] = await asker.refused(MODEL, "stranger", id=ids["model"])
    assert refused["status"] == 404


async def test_a_model_whose_file_has_changed_has_no_schema(asker: Asker) -> None:
    services = asker.world.services
    (file,) = [one for one in services.settings.storage_dir.rglob("model.zip") if asker.world.ids["model"] in str(one)]
    file.chmod(0o600)
    file.write_bytes(file.read_bytes() + b"x")
    refused = await asker.refused(MODEL, id=asker.world.ids["model"])
    assert (refused["code"], refused["status"]) == ("DAMAGED", 409)
