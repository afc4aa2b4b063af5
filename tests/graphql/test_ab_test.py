"""A/B tests in GraphQL: what ends one, what is counted when a candidate fails, and what may not run at once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text

from coreplex.ab_test import judging
from coreplex.deployment.table import Rollout
from coreplex.platform.clock import now
from coreplex.serving.call import Call
from coreplex.serving.log.batch import BatchStore
from coreplex.serving.log.rejected import RejectedEntries
from tests.factories.asking import Asker
from tests.factories.world import ROW

START = "mutation($input: StartAbTestInput!) { startAbTest(input: $input) { abTest { status rolloutId } } }"
PREDICT = """mutation($input: PredictAbTestInput!) { predictAbTest(input: $input) {
  requestId predictions { prediction deploymentId } warnings { kind } } }"""
RECORD = """mutation($input: RecordAbTestOutcomesInput!) { recordAbTestOutcomes(input: $input) {
  recordedCount unchangedCount unknownClassCount refused { index reason { reason } } } }"""
TEST = """query($id: ID!) { abTest(id: $id) { status winner reason { reason } finishedAt results {
  variants { rowCount unitCount outcomeCount errorCount mean } winner isConclusive reason { reason } sampleRatioPValue } } }"""
CANARY = "mutation($input: StartCanaryInput!) { startCanary(input: $input) { rollout { id } } }"
TIMELINE = "query($id: ID!) { project(id: $id) { timeline(first: 5) { nodes { type message } } } }"
ROWS = [{**ROW, "amount": float(number)} for number in range(60)]


async def started(asker: Asker) -> str:
    identity = asker.world.ids["ab_test"]
    made = (await asker.data(START, "editor", input={"abTestId": identity}))["startAbTest"]["abTest"]
    assert made["status"] == "RUNNING"
    return str(made["rolloutId"])


async def shown(asker: Asker) -> dict[str, Any]:
    return dict((await asker.data(TEST, "viewer", id=asker.world.ids["ab_test"]))["abTest"])


async def set_to(asker: Asker, rollout: str, **sums: float) -> None:
    """The sums of its rollout, as if so much had been asked and had come out."""
    names = ", ".join(f"{name} = :{name}" for name in sums)
    async with asker.world.database.transaction() as session:
        await session.execute(text(f"UPDATE rollouts SET {names} WHERE id = :id"), {**sums, "id": UUID(rollout)})


async def hours_ago(asker: Asker, hours: float) -> None:
    async with asker.world.database.transaction() as session:
        await session.execute(text("UPDATE ab_tests SET started_at = :then"), {"then": now() - timedelta(hours=hours)})


def sums(right_a: int, right_b: int, each: int = 1000) -> dict[str, float]:
    wrong = {"baseline": each - right_a, "candidate": each - right_b}
    losses = ("loss", "loss_squares", "unit_products", "unit_loss_squares")
    counts = ("outcomes", "judged_units", "unit_outcome_squares")
    return {
        **{f"{side}_{name}": float(wrong[side]) for side in wrong for name in losses},
        **{f"{side}_{name}": each for side in wrong for name in counts},
    }


async def judged(asker: Asker) -> dict[str, Any]:
    await judging.tend(asker.world.database)
    return await shown(asker)


async def test_it_is_invalid_where_keys_are_lost_whatever_the_difference(asker: Asker) -> None:
    hook = {"projectId": asker.world.ids["project"], "url": "https://example.com/in", "eventTypes": ["ab_test.invalid"]}
    made = await asker.data(
        "mutation($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } } }", input=hook
    )
    rollout = await started(asker)
    await set_to(asker, rollout, baseline_units=10_000, candidate_units=10_100, **sums(800, 820))
    assert (await judged(asker))["status"] == "RUNNING"
    await set_to(asker, rollout, baseline_units=10_400, candidate_units=9_600, **sums(500, 900))
    found = await judged(asker)
    assert (found["status"], found["winner"], found["reason"]["reason"]) == ("INVALID", None, "test_sample_ratio")
    assert (found["results"]["isConclusive"], found["results"]["sampleRatioPValue"] < 0.01) == (False, True)
    told = (await asker.data(TIMELINE, id=asker.world.ids["project"]))["project"]["timeline"]["nodes"][0]
    assert told["type"] == "ab_test.invalid"
    assert "10400 different keys fell to A and 9600 to B" in told["message"]
    async with asker.world.database.read() as session:
        query = text("SELECT type, subject, data->>'status' FROM webhook_deliveries WHERE webhook_id = :id")
        told = (await session.execute(query, {"id": UUID(made["createWebhook"]["webhook"]["id"])})).one()
    assert tuple(told) == ("ab_test.invalid", f"ab_test/{asker.world.ids['ab_test']}", "invalid")


async def test_a_winner_waits_for_its_hours_and_outcomes(asker: Asker) -> None:
    rollout = await started(asker)
    async with asker.world.database.transaction() as session:
        await session.execute(text("UPDATE ab_tests SET min_duration_hours = 24, min_samples = 2000"))
    await set_to(asker, rollout, **sums(700, 900))
    found = await judged(asker)
    assert (found["status"], found["results"]["reason"]["reason"]) == ("RUNNING", "test_lacks_outcomes")
    await set_to(asker, rollout, **sums(1400, 1800, 2000))
    found = await judged(asker)
    assert (found["status"], found["results"]["reason"]["reason"]) == ("RUNNING", "test_lacks_time")
    await hours_ago(asker, 25)
    found = await judged(asker)
    assert (found["status"], found["winner"], found["reason"]["reason"]) == ("COMPLETED", "B", "test_won")
    assert found["results"]["winner"] == "B"


@pytest.mark.parametrize("method", ["frequentist", "bayesian"])
async def test_time_ends_it_without_a_winner(asker: Asker, method: str) -> None:
    rollout = await started(asker)
    async with asker.world.database.transaction() as session:
        await session.execute(text("UPDATE ab_tests SET method = :method"), {"method": method})
    await set_to(asker, rollout, **sums(801, 806))
    await hours_ago(asker, -3)
    assert (await judged(asker))["results"]["reason"]["reason"] == "test_undecided", "the clock was put back"
    await hours_ago(asker, 673)
    found = await judged(asker)
    assert (found["status"], found["winner"], found["reason"]["reason"]) == ("COMPLETED", None, "test_inconclusive")
    assert found["finishedAt"]


async def test_rows_that_the_candidate_failed_on_stay_its_rows(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout, candidate = await started(asker), UUID(asker.world.ids["deployment"])
    answer = Call.answer

    async def failing(call: Call, route: Any, inputs: Any) -> Any:
        if route.deployment_id == candidate:
            raise ValueError("it broke")
        return await answer(call, route, inputs)

    monkeypatch.setattr(Call, "answer", failing)
    identity = {"abTestId": asker.world.ids["ab_test"]}
    said = (await asker.data(PREDICT, "viewer", input={**identity, "inputs": ROWS}))["predictAbTest"]
    assert "CANDIDATE_FAILED" in {one["kind"] for one in said["warnings"]}
    await asker.world.settled()
    sides = (await shown(asker))["results"]["variants"]
    assert sum(side["unitCount"] for side in sides) == len(ROWS), "a row has one key, whoever answers it"
    theirs = sides[1]["unitCount"]
    assert theirs == sides[1]["rowCount"] > 0
    items = [
        {"requestId": said["requestId"], "rowIndex": place, "outcome": one["prediction"]}
        for place, one in enumerate(said["predictions"])
    ]
    done = (await asker.data(RECORD, "editor", input={**identity, "items": items}))["recordAbTestOutcomes"]
    assert (done["recordedCount"], done["refused"]) == (len(ROWS), [])
    sides = (await shown(asker))["results"]["variants"]
    assert [side["outcomeCount"] for side in sides] == [len(ROWS) - theirs, theirs]
    wrong = [{**item, "outcome": "something else"} for item in items]
    assert done["unknownClassCount"] == 0
    for recorded in (len(ROWS), 0):  # said again they are as unknown
        again = (await asker.data(RECORD, input={**identity, "items": wrong}))["recordAbTestOutcomes"]
        assert (again["recordedCount"], again["unknownClassCount"]) == (recorded, len(ROWS))
    sides = (await shown(asker))["results"]["variants"]
    assert [(side["outcomeCount"], side["mean"]) for side in sides] == [(len(ROWS) - theirs, 0), (theirs, 0)]
    async with asker.world.database.read() as session:
        assert (await session.get_one(Rollout, UUID(rollout))).candidate_errors == 1


async def test_a_batch_that_comes_twice_is_counted_once_and_keys_too(asker: Asker) -> None:
    rollout, ids = await started(asker), asker.world.ids
    line = {
        "deployment_id": ids["deployment"],
        "model_id": ids["model"],
        "request_id": "r",
        "inputs": {},
        "output": {"prediction": "yes"},
        "latency_ms": 1.0,
        "created_at": now(),
        "arm": "candidate",
        "rollout_id": rollout,
    }
    keys = (7, 7, -8, 2**62, None)
    lines = [{**line, "id": UUID(int=number), "row_index": number, "unit": unit} for number, unit in enumerate(keys)]
    batch = b"\n".join(orjson.dumps(one) for one in lines)
    folder = asker.world.services.settings.data_dir / "rejected"
    stores = [BatchStore(asker.world.database, RejectedEntries(folder)) for _ in range(3)]
    await asyncio.gather(*(store.store(batch) for store in stores))
    more = [{**one, "id": UUID(int=10 + number)} for number, one in enumerate(lines)]
    await asyncio.gather(*(store.store(b"\n".join(orjson.dumps(one) for one in more)) for store in stores))
    found = (await shown(asker))["results"]["variants"]
    assert [(side["rowCount"], side["unitCount"]) for side in found] == [(0, 0), (10, 3)]
    async with asker.world.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM rollout_units")) == 3
    stop = "mutation($input: StopAbTestInput!) { stopAbTest(input: $input) { abTest { status } } }"
    await asker.data(stop, "editor", input={"abTestId": ids["ab_test"]})
    late = [{**one, "id": UUID(int=20 + number)} for number, one in enumerate(lines)]
    await stores[0].store(b"\n".join(orjson.dumps(one) for one in late))
    async with asker.world.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM rollout_units")) == 0, "what comes late is no unit of a test"
    assert (await shown(asker))["results"]["variants"] == found, "and no row of it"


async def test_what_runs_already_is_named_as_it_is_looked_up(asker: Asker) -> None:
    await started(asker)
    ids = asker.world.ids
    canary = {"deploymentId": ids["production"], "candidateDeploymentId": ids["deployment"]}
    said = await asker.refused(CANARY, input=canary)
    assert (said["reason"], said["parameters"]["id"]) == ("ab_test_runs", ids["ab_test"])
    async with asker.world.database.transaction() as session:
        await session.execute(text("UPDATE rollouts SET kind = 'canary'"))
    said = await asker.refused(CANARY, input=canary)
    assert (said["reason"], said["parameters"]["id"]) == ("rollout_runs", ids["deployment"])


async def test_the_deployment_in_production_is_no_candidate_from_the_first(asker: Asker) -> None:
    ids = asker.world.ids
    create = "mutation($input: CreateAbTestInput!) { createAbTest(input: $input) { abTest { id } } }"
    sides = {"deploymentAId": ids["deployment"], "deploymentBId": ids["production"]}
    said = await asker.refused(create, input={"projectId": ids["project"], "name": "turned", **sides})
    assert said["reason"] == "candidate_in_production"


async def test_of_a_test_and_a_canary_at_once_one_begins(asker: Asker) -> None:
    ids = asker.world.ids
    canary = {"deploymentId": ids["production"], "candidateDeploymentId": ids["deployment"]}
    answers = await asyncio.gather(
        asker.ask(START, input={"abTestId": ids["ab_test"]}),
        asker.ask(CANARY, input=canary),
        asker.ask(START, input={"abTestId": ids["ab_test"]}),
    )
    assert sorted("errors" in one for one in answers) == [False, True, True]
    refused = [one["errors"][0]["extensions"]["code"] for one in answers if "errors" in one]
    assert refused == ["CONFLICT", "CONFLICT"]
    async with asker.world.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM rollouts WHERE status = 'running'")) == 1
