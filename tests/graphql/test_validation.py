"""How the rows of an experiment are split: chosen by what the table is, said with both promises; contradictions are refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, select

from coreplex.dataset.diagnosis import Pace
from coreplex.experiment.table import Experiment
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.dataset import Person, laboratory
from tests.factories.dependent import subjects

CREATE = """mutation($input: CreateExperimentInput!) { createExperiment(input: $input) { experiment { id warnings { message }
  validation { strategy columns reason metric randomScore honestScore folds } logs(first: 20) { nodes { level message } } } } }"""


@pytest.fixture
async def patients(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Person, str]]:
    """A person, and the version of a table of patients who repeat. The machine may be as busy as it likes."""
    for name, value in (("SECONDS", 300.0), ("SOON_SECS", 300.0), ("WAITED_FOR", Pace(1.5, 300.0))):
        monkeypatch.setattr(f"coreplex.dataset.diagnosis.{name}", value)
    table = subjects(5, people=50, each=8, classes=True, name="patient").write_csv().encode()
    async with laboratory(settings, database) as (_, ada):
        yield ada, (await ada.dataset(table, "visits.csv"))["version_id"]


def told(experiment: dict[str, Any]) -> list[str]:
    return [warning["message"] for warning in experiment["warnings"]]


async def test_the_honest_split_is_chosen_and_said(patients: tuple[Person, str], database: Database) -> None:
    ada, version = patients
    wanted = {"projectId": ada.project_id, "datasetVersionId": version, "name": "Try", "targetColumn": "y"}

    async def create(**config: Any) -> dict[str, Any]:
        made = await ada.data(CREATE, input={**wanted, "problemType": "CLASSIFICATION", "config": config})
        return dict(made["createExperiment"]["experiment"])

    chosen = await create()
    found = chosen["validation"]
    assert (found["strategy"], found["columns"], found["metric"], found["folds"]) == ("GROUP", ["patient"], "AUC", None)
    assert found["randomScore"] > found["honestScore"] + 0.05
    assert f"{found['randomScore']:.4g}" in found["reason"]
    assert f"{found['honestScore']:.4g}" in found["reason"]
    (said,) = [message for message in told(chosen) if "by a random split" in message]
    assert said.startswith(found["reason"])
    assert "validation 'group' by 'patient'" in said
    assert said in [line["message"] for line in chosen["logs"]["nodes"] if line["level"] == "WARNING"]

    rest = (await ada.client.get(f"/api/experiments/{chosen['id']}")).json()
    assert rest["validation"]["honest_score"] == found["honestScore"]
    assert rest["config"]["validation"] == "auto"

    random = await create(validation="random")
    assert (random["validation"]["strategy"], random["validation"]["columns"]) == ("RANDOM", [])
    assert random["validation"]["honestScore"] == found["honestScore"]
    assert any("is used as you asked; 'auto' would take 'group' by 'patient'" in message for message in told(random))

    named = await create(group_column="patient")
    assert (named["validation"]["strategy"], named["validation"]["reason"]) == ("GROUP", "You gave group_column 'patient'.")
    assert not any("random split" in message for message in told(named))

    async with database.read() as session:
        before = await session.scalar(select(func.count()).select_from(Experiment))
    for config, key in (
        ({"validation": "random", "group_column": "patient"}, "group_column"),
        ({"validation": "group"}, "group_column"),
        ({"validation": "honest"}, "validation"),
        ({"validation": "time", "time_column": "patient"}, "time_column"),
    ):
        body = await ada.ask(CREATE, input={**wanted, "problemType": "CLASSIFICATION", "config": config})
        assert body["errors"][0]["extensions"]["errors"][0]["loc"] == ["config", key], config
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Experiment)) == before
