"""The target before training: quality that speaks of it, and experiments that are warned of what gives it away."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from coreplex.dataset.diagnosis import Diagnoses, Pace
from coreplex.dataset.table import Diagnosis
from coreplex.engines.diagnosis import experiment_warnings
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.dataset import Person, laboratory, person, table

QUALITY = """query($id: ID!, $target: String, $problem: ProblemType) { datasetVersion(id: $id) {
  quality(target: $target, problemType: $problem) { overallScore issues {
      id kind severity column message harm fix { text } evidence { name value values } }
    diagnosis { target problemType rowCount sampledRowCount metric unfinished { message reason }
      leaks { columns leaveOut severity message alone nextBest }
      imbalance { classCount ratio classes { value count } } usefulness { column share score isUseless } } } } }"""
NODE = """query($id: ID!) { node(id: $id) { __typename ... on DatasetIssue {
  id kind severity column message harm fix { text } evidence { name value values } } } }"""
CREATE = """mutation($input: CreateExperimentInput!) { createExperiment(input: $input) {
  experiment { id status warnings { message reason parameters } config logs(first: 20) { nodes { level message } } } } }"""


def leaving(rows: int = 300, seed: int = 3) -> bytes:
    """Customers, some of whom left; `ended` is known of those only, `noise` says nothing."""
    rng = random.Random(seed)
    made: list[list[object]] = [["months", "plan", "noise", "ended", "left"]]
    for _ in range(rows):
        months, plan = rng.randint(1, 60), rng.choice("abc")
        left = rng.random() < (0.35 if plan == "a" else 0.1)
        day = f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        made.append([months, plan, round(rng.gauss(0, 1), 3), day if left else "", "yes" if left else "no"])
    return table(made)


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[Any, Person, str]]:
    """The application, a person, and the version of their table."""
    async with laboratory(settings, database) as (app, ada):
        yield app, ada, (await ada.dataset(leaving(), "customers.csv"))["version_id"]


def kinds(quality: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(issue["kind"], issue["column"]) for issue in quality["issues"]}


async def test_quality_speaks_of_the_target_it_is_asked_for(lab: tuple[Any, Person, str], database: Database) -> None:
    app, ada, version = lab
    plain = (await ada.data(QUALITY, id=version))["datasetVersion"]["quality"]
    assert plain["diagnosis"] is None
    assert not {"TARGET_LEAK", "CLASS_IMBALANCE"} & {kind for kind, _ in kinds(plain)}, "nobody has named a target"

    told = (await ada.data(QUALITY, id=version, target="left"))["datasetVersion"]["quality"]
    assert {("TARGET_LEAK", "ended"), ("CLASS_IMBALANCE", "left")} <= kinds(told)
    assert told["overallScore"] < plain["overallScore"]
    ids = {issue["id"] for issue in told["issues"]}
    assert len(ids) == len(told["issues"]), "each has its own"
    again = (await ada.data(QUALITY, id=version, target="left"))["datasetVersion"]["quality"]
    assert [issue["id"] for issue in again["issues"]] == [issue["id"] for issue in told["issues"]], "and keeps it"
    assert {issue["id"] for issue in plain["issues"] if issue["message"] in {one["message"] for one in told["issues"]}} <= ids
    for issue in told["issues"]:
        assert (await ada.data(NODE, id=issue["id"]))["node"] == {"__typename": "DatasetIssue", **issue}
    async with person(app, database) as eve:
        assert (await eve.ask(NODE, id=told["issues"][0]["id"]))["data"]["node"] is None
    (leak,) = [issue for issue in told["issues"] if issue["kind"] == "TARGET_LEAK"]
    assert (leak["fix"]["text"], bool(leak["harm"])) == ("Leave them out.", True)
    assert {"name": "leave_out", "value": None, "values": ["ended"]} in leak["evidence"]
    found = told["diagnosis"]
    assert (found["target"], found["problemType"], found["rowCount"], found["metric"]) == ("left", "CLASSIFICATION", 300, "AUC")
    assert [leak["columns"] for leak in found["leaks"]] == [["ended"]]
    (said,) = [issue["message"] for issue in told["issues"] if issue["kind"] == "TARGET_LEAK"]
    assert "'left' is 'yes' in" in said, "as the file spells it, though it was read as a boolean"
    assert found["imbalance"]["classCount"] == 2
    assert sum(one["count"] for one in found["imbalance"]["classes"]) == 300
    useful = {one["column"]: one for one in found["usefulness"]}
    assert useful["ended"]["score"] > 0.95
    assert useful["noise"]["isUseless"]
    assert [one["share"] for one in found["usefulness"]] == sorted((one["share"] for one in useful.values()), reverse=True)
    assert found["unfinished"] == []

    number = (await ada.data(QUALITY, id=version, target="months"))["datasetVersion"]["quality"]
    assert number["diagnosis"]["metric"] == "R2"
    assert number["diagnosis"]["imbalance"] is None
    assert not {"TARGET_LEAK", "CLASS_IMBALANCE"} & {kind for kind, _ in kinds(number)}

    rest = await ada.client.get(f"/api/datasets/{await dataset_of(ada, version)}/quality", params={"target": "left"})
    assert rest.json()["overall_score"] == told["overallScore"]
    assert rest.json()["diagnosis"]["leaks"][0]["leave_out"] == ["ended"]
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Diagnosis)) == 2, "each question is answered once"
    assert Diagnoses.of(app.state.services)._making == {}


async def dataset_of(ada: Person, version: str) -> str:
    found = await ada.data("query($id: ID!) { datasetVersion(id: $id) { datasetId } }", id=version)
    return str(found["datasetVersion"]["datasetId"])


async def test_targets_nobody_can_ask_about(lab: tuple[Any, Person, str], database: Database) -> None:
    app, ada, version = lab
    answer = await ada.client.get(f"/api/datasets/{await dataset_of(ada, version)}/quality", params={"target": "Mon ths"})
    assert answer.status_code == 422
    assert "did you mean 'months'?" in answer.json()["detail"][0]["msg"]
    told = (await ada.data(QUALITY, id=version, target="ended"))["datasetVersion"]["quality"]
    assert ("UNUSABLE_TARGET", "ended") in kinds(told)
    assert told["diagnosis"] is None
    async with person(app, database) as eve:
        body = await eve.ask(QUALITY, id=version, target="left")
        assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Diagnosis)) == 0


async def test_an_experiment_is_warned_of_what_gives_its_target_away(lab: tuple[Any, Person, str]) -> None:
    _, ada, version = lab

    async def create(**config: Any) -> dict[str, Any]:
        wanted = {"projectId": ada.project_id, "datasetVersionId": version, "name": f"Try {config}", "targetColumn": "left"}
        made = await ada.data(CREATE, input={**wanted, "problemType": "CLASSIFICATION", "config": config})
        experiment: dict[str, Any] = made["createExperiment"]["experiment"]
        logged = [line["message"] for line in experiment["logs"]["nodes"] if line["level"] == "WARNING"]
        assert logged == [warning["message"] for warning in experiment["warnings"]]
        return experiment

    warned = await create()
    *_, leak, used = warned["warnings"]
    assert (leak["reason"], leak["parameters"]["column"], leak["parameters"]["target"]) == ("leak_by_absence", "ended", "left")
    assert "'ended'" in leak["message"]
    assert (used["reason"], used["parameters"]["columns"]) == ("leaks_used", ["ended"])
    assert "Send drop_leaks: true" in used["message"]
    assert "A quick model reaches AUC 1.000 with what gives the target away and 0." in used["message"]
    assert warned["config"]["drop_leaks"] is False
    dropped = await create(drop_leaks=True)
    assert dropped["warnings"][-1]["message"].startswith("Left out of the features, as drop_leaks asks: 'ended'.")
    assert (await create(ignored_columns=["ended"]))["warnings"] == []

    wanted = {"projectId": ada.project_id, "datasetVersionId": version, "name": "Try", "targetColumn": "left"}
    config = {"drop_leaks": True, "ignored_columns": ["months", "plan", "noise"]}
    body = await ada.ask(CREATE, input={**wanted, "problemType": "CLASSIFICATION", "config": config})
    assert body["errors"][0]["extensions"]["errors"][0]["loc"] == ["config", "drop_leaks"]


async def test_a_target_that_counts_the_rows_gets_a_word(lab: tuple[Any, Person, str]) -> None:
    """An identifier by what is stored of it; even steps, in a column that was not taken for one, by looking at the rows."""
    _, ada, _ = lab
    rng = random.Random(5)
    rows: list[list[object]] = [["line", "ticket", "x"], *([i, 500 + 7 * i, round(rng.gauss(0, 1), 3)] for i in range(1, 201))]
    stored = await ada.dataset(table(rows), "lines.csv")
    for target, kind, word in (("line", "TARGET_IS_IDENTIFIER", "identifier"), ("ticket", "TARGET_IS_ORDER", "rises by about 7")):
        told = await ada.data(QUALITY, id=stored["version_id"], target=target, problem="REGRESSION")
        (issue,) = [one for one in told["datasetVersion"]["quality"]["issues"] if one["kind"].startswith("TARGET_IS")]
        assert (issue["kind"], issue["column"], issue["severity"]) == (kind, target, "HIGH")
        assert word in issue["message"]
        body = {"project_id": ada.project_id, "dataset_version_id": stored["version_id"], "name": target, "target_column": target}
        made = await ada.client.post("/api/experiments", json={**body, "problem_type": "regression"})
        found = (await ada.client.get(f"/api/experiments/{made.json()['experiment_id']}")).json()
        assert issue["message"] in found["warnings"], found


async def test_an_experiment_does_not_wait_for_a_slow_diagnosis(
    lab: tuple[Any, Person, str], monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    _, ada, version = lab
    monkeypatch.setattr("coreplex.dataset.diagnosis.SOON_SECS", 0.0)
    wanted = {"projectId": ada.project_id, "datasetVersionId": version, "name": "Try", "targetColumn": "left"}
    made = await ada.data(CREATE, input={**wanted, "problemType": "CLASSIFICATION"})
    assert made["createExperiment"]["experiment"]["warnings"] == [experiment_warnings.DIAGNOSIS_PENDING.to_json()]
    assert made["createExperiment"]["experiment"]["status"] == "QUEUED"
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Diagnosis)) == 0


async def test_an_answer_that_a_busy_machine_cut_short_is_said_and_not_kept(
    lab: tuple[Any, Person, str], monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    _, ada, version = lab
    monkeypatch.setattr("coreplex.dataset.diagnosis.WAITED_FOR", Pace(0.0, 120.0))
    monkeypatch.setattr("coreplex.dataset.diagnosis.SOON_SECS", 120.0)
    wanted = {"projectId": ada.project_id, "datasetVersionId": version, "name": "Try", "targetColumn": "left"}
    made = await ada.data(CREATE, input={**wanted, "problemType": "CLASSIFICATION"})
    warnings = made["createExperiment"]["experiment"]["warnings"]
    assert any(one["message"].startswith("The table was looked at in part only: ") for one in warnings), warnings
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Diagnosis)) == 0, "the training has time for all of it"
