"""Deployments in GraphQL: predictions and their log, what changes at once, and two people changing the same thing."""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from coreplex.model.table import Model
from coreplex.serving.log.partitions import week_of
from coreplex.serving.log.spool import Segment
from schema.messages import catalogue
from tests.factories.asking import Asker
from tests.factories.world import ROW

PREDICT = """mutation($input: PredictInput!) { predict(input: $input) {
  predictions { prediction probability } deploymentId deployment { name } modelId model { id } requestId } }"""
CREATE = """mutation($input: CreateDeploymentInput!) { createDeployment(input: $input) {
  deployment { id stage status trafficPercent strategy version previousDeploymentId config } } }"""
LOGS = """query($id: ID!, $first: Int!, $after: String) { deployment(id: $id) { requestCount errorCount
  logs(first: $first, after: $after) { totalCount pageInfo { hasNextPage endCursor } 
    nodes { rowIndex requestId error { message reason parameters } output { prediction probability } } } } }"""


def acting(name: str) -> str:
    kind = f"{name.capitalize()}DeploymentInput!"
    return f"mutation($input: {kind}) {{ {name}Deployment(input: $input) {{ deployment {{ id stage status }} }} }}"


async def until(ask: Callable[[], Awaitable[dict[str, Any]]], enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first answer that is enough: word of a change travels by NOTIFY, well before anything remembered runs out."""
    async with asyncio.timeout(5):
        while not enough(body := await ask()):  # noqa: ASYNC110 asking is the test
            await asyncio.sleep(0.01)
    return body


async def test_predictions_are_logged_row_by_row(asker: Asker) -> None:
    identity = asker.world.ids["deployment"]
    answer = (await asker.data(PREDICT, "viewer", input={"deploymentId": identity, "inputs": [ROW] * 3}))["predict"]
    assert (len(answer["predictions"]), answer["deploymentId"], answer["deployment"]["name"]) == (3, identity, "staging")
    assert (await asker.refused(PREDICT, input={"deploymentId": identity, "inputs": []}))["status"] == 422
    await asker.world.settled()
    first = (await asker.data(LOGS, id=identity, first=3))["deployment"]
    assert (first["requestCount"], first["errorCount"], first["logs"]["totalCount"]) == (2, 1, 4)
    rest = (await asker.data(LOGS, id=identity, first=3, after=first["logs"]["pageInfo"]["endCursor"]))["deployment"]["logs"]
    nodes = [*first["logs"]["nodes"], *rest["nodes"]]
    assert len(nodes) == 4
    assert {node["requestId"] for node in nodes if node["error"] is None} == {answer["requestId"]}
    assert sorted(node["rowIndex"] for node in nodes if node["error"] is None) == [0, 1, 2]
    (error,) = [node["error"] for node in nodes if node["error"] is not None]
    assert (error["reason"], error["reason"] in catalogue(), error["parameters"]) == ("no_rows", True, {})


async def test_what_runs_of_a_deleted_deployment_is_cancelled_and_says_why(asker: Asker) -> None:
    wanted = {"deploymentId": asker.world.ids["deployment"]}
    begun = "mutation($input: Create%sInput!) { create%s(input: $input) { %s { jobId } } }"
    jobs = []
    for kind, name, more in (
        ("Replay", "replay", {"modelId": asker.world.ids["model"]}),
        ("MetricChange", "metricChange", {"window": "1h"}),
    ):
        made = await asker.data(begun % (kind, kind, name), input={**wanted, **more})
        jobs.append(made[f"create{kind}"][name]["jobId"])
    await asker.data(acting("deactivate"), input=wanted)
    await asker.data("mutation($input: DeleteDeploymentInput!) { deleteDeployment(input: $input) { deletedId } }", input=wanted)
    for job in jobs:
        ended = (await asker.data("query($id: ID!) { job(id: $id) { status error { message } } }", id=job))["job"]
        assert ended == {"status": "CANCELLED", "error": {"message": "Its deployment was deleted."}}


async def test_a_log_is_kept_for_days_of_its_own(asker: Asker) -> None:
    """Each entry goes when it expires by what was said as it was written, and is read as any other."""
    ids = {name: asker.world.ids[name] for name in ("project", "model")}
    wanted = {"projectId": ids["project"], "modelId": ids["model"], "name": "kept", "stage": "STAGING", "config": {"log_days": 7}}
    created = "mutation($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id logDays } } }"
    changed = "mutation($input: UpdateDeploymentInput!) { updateDeployment(input: $input) { deployment { logDays } } }"
    made = (await asker.data(created, input=wanted))["createDeployment"]["deployment"]
    kept, identity = [made["logDays"]], {"deploymentId": made["id"]}
    for days in (None, 400, 0):
        answer = await asker.data(changed, input={**identity, "logDays": days})
        kept.append(answer["updateDeployment"]["deployment"]["logDays"])
        await asker.data(PREDICT, input={**identity, "inputs": [ROW]})
    assert kept == [7, 7, 400, None]
    await asker.world.settled()
    assert (await asker.data(LOGS, id=made["id"], first=9))["deployment"]["logs"]["totalCount"] == 3
    query = "SELECT created_at, retention_week FROM inference_logs WHERE deployment_id = :id ORDER BY created_at"
    async with asker.world.database.read() as session:
        found = (await session.execute(text(query), {"id": UUID(made["id"])})).all()
        jobs = await session.scalar(text("SELECT count(*) FROM jobs WHERE type = 'inference_log'"))
    assert jobs == 3, "partitions are made at once"
    assert [week for _, week in found] == [week_of(moment, days) for (moment, _), days in zip(found, (7, 400, None), strict=True)]


async def test_an_answer_says_that_it_is_not_logged(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over both doors, and `/ready` counts them."""

    def full(_segment: Segment, _lines: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    query = (
        "mutation($input: PredictInput!) { predict(input: $input) { predictions { prediction } warnings { kind message row } } }"
    )
    identity = asker.world.ids["deployment"]
    address, headers = f"/api/mlops/deployments/{identity}/predict", asker.world.headers("owner")
    with monkeypatch.context() as patch:
        patch.setattr(Segment, "append", full)
        answer = (await asker.data(query, input={"deploymentId": identity, "inputs": [ROW] * 3}))["predict"]
        rest = (await asker.client.post(address, json={"inputs": ROW}, headers=headers)).json()
        assert (await asker.refused(query, input={"deploymentId": identity, "inputs": []}))["status"] == 422
    assert (len(answer["predictions"]), rest["count"]) == (3, 1)
    said = {"kind": "not_logged", "message": "The answer is not in the inference log: the server's storage is full.", "row": None}
    assert said | {"kind": "NOT_LOGGED"} in answer["warnings"]
    assert said | {"column": ""} in rest["warnings"]
    report = (await asker.client.get("/ready")).json()
    assert (report["log_dropped"]["requests"], report["log_dropped"]["rows"]) == (3, 5)
    assert "3 requests with 5 rows" in report["checks"]["inference_log"]
    await asker.data(query, input={"deploymentId": identity, "inputs": ROW})
    await asker.world.settled()
    assert (await asker.data(LOGS, id=identity, first=9))["deployment"]["logs"]["totalCount"] == 1


async def test_numbers_of_a_document_are_what_they_would_be_in_a_body(asker: Asker) -> None:
    """Python reads integers of any length; neither the log nor the database has a place for them."""
    identity = asker.world.ids["deployment"]
    for digits in ("18446744073709551615", "9" * 20, "-" + "9" * 299, "1e300"):
        row = f"{{ amount: {digits}, nested: [{digits}] }}"
        text = f'mutation {{ predict(input: {{ deploymentId: "{identity}", inputs: {row} }}) {{ requestId }} }}'
        assert (await asker.data(text))["predict"]["requestId"]
    refused = await asker.refused(
        f'mutation {{ predict(input: {{ deploymentId: "{identity}", inputs: {{ a: 1e999 }} }}) {{ requestId }} }}'
    )
    assert refused["status"] == 400
    await asker.world.settled()
    logged = (await asker.data(LOGS, id=identity, first=9))["deployment"]
    assert (logged["requestCount"], logged["errorCount"]) == (4, 0)


async def test_variables_stand_in_a_row_of_a_document(asker: Asker) -> None:
    identity = asker.world.ids["deployment"]
    inputs = "{age: $age, plan: $plan, amount: $none, note: $note}"
    selected = "{ predictions { prediction probability } warnings { kind column } }"
    text = f'''mutation($age: Int, $plan: JSON, $none: Float, $note: String = "good") {{
      predict(input: {{deploymentId: "{identity}", inputs: {inputs}}}) {selected}
    }}'''
    found = (await asker.data(text, actor="owner", age=41, plan="pro"))["predict"]
    whole = {"age": 41, "plan": "pro", "amount": None, "note": "good"}
    document = f"mutation($input: PredictInput!) {{ predict(input: $input) {selected} }}"
    assert found == (await asker.data(document, actor="owner", input={"deploymentId": identity, "inputs": whole}))["predict"]
    answer = await asker.ask(text.replace("$age: Int,", ""), actor="owner", plan="pro")
    assert [error["message"] for error in answer["errors"]] == ["Variable '$age' is not defined."]


async def test_a_change_is_seen_by_the_next_prediction(asker: Asker) -> None:
    identity = asker.world.ids["deployment"]
    ask: dict[str, Any] = {"deploymentId": identity, "inputs": ROW}
    await asker.data(PREDICT, input=ask)
    await asker.data(acting("deactivate"), input={"deploymentId": identity})
    refused = await until(lambda: asker.ask(PREDICT, input=ask), lambda body: "errors" in body)
    assert refused["errors"][0]["extensions"]["code"] == "CONFLICT"
    await asker.data(acting("rollback"), input={"deploymentId": asker.world.ids["production"], "toDeploymentId": identity})
    await until(lambda: asker.ask(PREDICT, input=ask), lambda body: "errors" not in body)


async def test_a_member_who_is_removed_predicts_no_more(asker: Asker) -> None:
    ask: dict[str, Any] = {"deploymentId": asker.world.ids["deployment"], "inputs": ROW}
    await asker.data(PREDICT, "viewer", input=ask)
    remove = "mutation($input: RemoveMemberInput!) { removeMember(input: $input) { deletedId } }"
    await asker.data(remove, input={"projectId": asker.world.ids["project"], "memberId": asker.world.ids["member"]})
    refused = await until(lambda: asker.ask(PREDICT, "viewer", input=ask), lambda body: "errors" in body)
    assert refused["errors"][0]["extensions"]["status"] == 404


async def test_fields_inside_config_count_where_nothing_else_is_said(asker: Asker) -> None:
    wanted = {"projectId": asker.world.ids["project"], "modelId": asker.world.ids["model"], "name": "c", "stage": "STAGING"}
    config = {"traffic_percent": 300, "note": {"a": None}}
    refused = await asker.refused(CREATE, input={**wanted, "config": config})
    assert (refused["code"], refused["status"]) == ("INVALID", 422)
    assert refused["errors"][0]["loc"] == ["trafficPercent"]
    made = (await asker.data(CREATE, input={**wanted, "config": config, "trafficPercent": 100}))["createDeployment"]["deployment"]
    assert (made["trafficPercent"], made["config"], made["version"]) == (100, config, 1), "the flat ones win"
    made = (await asker.data(CREATE, input={**wanted, "name": "plain"}))["createDeployment"]["deployment"]
    assert (made["trafficPercent"], made["strategy"], made["config"]) == (100, "DIRECT", {})
    for promise in ({"privacyAnonymizeResponse": True}, {"privacyAnonymizeLogs": True}, {"privacyThreshold": 0}):
        assert (await asker.refused(CREATE, input={**wanted, **promise}))["status"] == 422
    assert (await asker.refused(CREATE, input={**wanted, "privacyPolicyId": "x"}))["status"] == 404


async def test_what_predicts_something_else_takes_no_place(asker: Asker) -> None:
    ids = asker.world.ids
    async with asker.world.services.database.transaction() as session:
        (await session.get_one(Model, UUID(ids["spare_model"]))).target_column = "other"
    canary = "mutation($input: StartCanaryInput!) { startCanary(input: $input) { rollout { id } } }"
    for document, key, place in (
        (acting("rollback"), "toModelId", "to_model_id"),
        (canary, "candidateModelId", "candidate_model_id"),
    ):
        refused = await asker.refused(document, input={"deploymentId": ids["production"], key: ids["spare_model"]})
        assert (refused["status"], refused["errors"][0]["loc"]) == (422, [place])
        assert "predicts “other”" in refused["errors"][0]["msg"]
    wanted = {"projectId": ids["project"], "modelId": ids["spare_model"], "name": "other", "stage": "PRODUCTION"}
    for shared in ({"trafficPercent": 40}, {"strategy": "BLUE_GREEN"}):
        refused = await asker.refused(CREATE, input={**wanted, **shared})
        assert (refused["status"], "this one “other”" in refused["message"]) == (409, True)
        staged = (await asker.data(CREATE, input={**wanted, **shared, "stage": "STAGING"}))["createDeployment"]["deployment"]
        promotion = {"deploymentId": staged["id"], "toStage": "PRODUCTION"}
        assert (await asker.refused(acting("promote"), input=promotion))["status"] == 409
    assert (await asker.data(CREATE, input=wanted))["createDeployment"]["deployment"]["status"] == "ACTIVE", "alone it may"


async def test_an_address_does_not_go_on_with_what_predicts_something_else(asker: Asker) -> None:
    ids = asker.world.ids
    async with asker.world.services.database.transaction() as session:
        (await session.get_one(Model, UUID(ids["spare_model"]))).target_column = "other"
    wanted = {"projectId": ids["project"], "name": "x", "stage": "PRODUCTION"}
    first = await asker.data(CREATE, input={**wanted, "modelId": ids["model"], "strategy": "BLUE_GREEN"})
    identity = first["createDeployment"]["deployment"]["id"]
    await asker.data(CREATE, input={**wanted, "modelId": ids["spare_model"]})
    assert (await asker.refused(PREDICT, input={"deploymentId": identity, "inputs": [ROW]}))["status"] == 409


async def test_of_many_that_delete_at_once_one_does(asker: Asker) -> None:
    identity = asker.world.ids["deployment"]
    await asker.data(acting("deactivate"), input={"deploymentId": identity})
    delete = "mutation($input: DeleteDeploymentInput!) { deleteDeployment(input: $input) { deletedId } }"
    answers = await asyncio.gather(*(asker.ask(delete, input={"deploymentId": identity}) for _ in range(6)))
    refused = [error["extensions"]["status"] for answer in answers for error in answer.get("errors", ())]
    assert refused == [404] * 5, answers


async def test_many_at_once_leave_one_in_production(asker: Asker) -> None:
    wanted = {"projectId": asker.world.ids["project"], "modelId": asker.world.ids["model"], "stage": "PRODUCTION"}
    jobs = [asker.ask(CREATE, input={**wanted, "name": f"d{i}"}) for i in range(8)]
    jobs += [asker.ask(acting("promote"), input={"deploymentId": asker.world.ids["deployment"], "toStage": "PRODUCTION"})]
    jobs += [asker.ask(acting("rollback"), input={"deploymentId": asker.world.ids["production"]}) for _ in range(3)]
    answers = await asyncio.gather(*jobs)
    statuses = {error["extensions"]["status"] for answer in answers for error in answer.get("errors", ())}
    assert statuses <= {409}, answers
    listed = "query($id: ID!) { deployments(filter: {projectId: $id, stage: PRODUCTION, status: ACTIVE}) { totalCount } }"
    assert (await asker.data(listed, id=asker.world.ids["project"]))["deployments"]["totalCount"] == 1
    versions = 'query($id: ID!) { deployments(filter: {projectId: $id}, search: "d") { nodes { name version } } }'
    nodes = (await asker.data(versions, id=asker.world.ids["project"]))["deployments"]["nodes"]
    assert len({(node["name"], node["version"]) for node in nodes}) == len(nodes)
