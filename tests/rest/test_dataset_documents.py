"""What REST says of a table is its stored profile and quality, key by key, though they come by way of the contract's types."""

import ast
import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from coreplex.artifact.table import Artifact
from coreplex.dataset.diagnosis import keep
from coreplex.dataset.issue_kinds import KINDS, LEAKS
from coreplex.dataset.table import DatasetVersion
from coreplex.engines.diagnosis.diagnose import diagnose
from coreplex.engines.diagnosis.request import DiagnosisRequest
from coreplex.engines.tabular.schema import TableSchema
from coreplex.platform.database import Database
from coreplex.platform.document import storable
from coreplex.platform.settings import Settings
from tests.factories.dataset import Person, laboratory, table

TARGETS = [("churn", "classification"), ("price", "regression"), ("plan", "classification")]


def varied(rows: int = 400, seed: int = 5) -> bytes:
    """Every type of column, and much that is odd about them."""
    chance = random.Random(seed)
    names = [
        "ident",
        "price",
        "copy",
        "few",
        "far",
        "gone",
        "wide",
        "day",
        "moment",
        "plan",
        "Plan word",
        "note",
        "site",
        "churn",
    ]
    names += ["nearly", "odd days", "units", "yes and", "same", "empty", "garage", "known", "skewed"]
    made: list[list[object]] = [names]
    for number in range(rows):
        price = round(chance.lognormvariate(3, 1), 2)
        churn = chance.random() < 0.12
        made.append(
            [
                f"R{number:05}",
                price,
                price,
                chance.randint(1, 4),
                chance.choice([-999, *range(10, 60)]) if chance.random() < 0.3 else chance.randint(10, 60),
                "inf",
                chance.choice([1e308, -1e308, 5]),
                f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}" if number % 40 else "9999-12-31",
                f"2024-03-{chance.randint(1, 28):02}T{chance.randint(0, 23):02}:15:00",
                chance.choice(["a", "b", "c"]),
                chance.choice(["Berlin", "berlin ", "Paris", "Rome"]),
                " ".join(chance.choices(["late", "parcel", "thanks", "broken", "refund"], k=9)) + f" {number}",
                f"https://example.com/{number}",
                "yes" if churn else "no",
                "?x" if number % 50 == 0 else number * 3,
                f"2024-01-{chance.randint(1, 28):02}" if number % 2 else f"{chance.randint(1, 28)} March 2023",
                f"{chance.randint(1, 9)} kg" if number % 2 else f"{chance.randint(1, 9)} lb",
                "maybe" if number % 100 == 0 else chance.choice(["yes", "no"]),
                "x",
                "",
                chance.choice(["None", "one", "two"]),
                f"2024-05-{chance.randint(1, 28):02}" if churn else "",
                round(chance.lognormvariate(0, 2.5), 3),
            ]
        )
    return table([*made, made[-1], made[-1]])


@pytest.fixture
async def lab(settings: Settings, database: Database) -> AsyncIterator[tuple[Any, Person]]:
    async with laboratory(settings, database) as made:
        yield made


async def test_profile_and_quality(lab: tuple[Any, Person], database: Database) -> None:
    _, ada = lab
    made = await ada.dataset(varied(), "varied.csv")
    async with database.read() as session:
        version = await session.get_one(DatasetVersion, UUID(made["version_id"]))
    one = f"/api/datasets/{made['id']}"
    assert made["quality"] == version.quality
    assert {"missing_words", "sentinel_values", "whitespace_or_case_variants", "mixed_dates"} <= {
        issue["kind"] for issue in version.quality["issues"]
    }
    plain = {"dataset_id": made["id"], "version_id": made["version_id"]}
    assert (await ada.client.get(f"{one}/quality")).json() == {**plain, **version.quality, "diagnosis": None}
    got = (await ada.client.get(f"{one}/analyze")).json()
    for said, kept in zip(got["columns"], version.profile["columns"], strict=True):
        assert said == kept, kept["name"]
    assert got == {**plain, **version.profile}
    listed = (await ada.client.get(f"{one}/columns")).json()["columns"]
    for said, kept in zip(listed, version.profile["columns"], strict=True):
        assert {name: said[name] for name in said.keys() & kept.keys()} == {
            name: kept[name] for name in said.keys() & kept.keys()
        }


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("target", "problem"), TARGETS)
async def test_what_was_found_for_a_target(lab: tuple[Any, Person], database: Database, target: str, problem: str) -> None:
    app, ada = lab
    made = await ada.dataset(varied(), "varied.csv")
    question = DiagnosisRequest(target, problem)
    async with database.transaction() as session:
        version = await session.get_one(DatasetVersion, UUID(made["version_id"]))
        path = await app.state.services.storage.path((await session.get_one(Artifact, version.artifact_id)).storage_key)
        schema = TableSchema.from_json(version.table_schema)
        found = await asyncio.to_thread(diagnose, path, schema, question, seconds=30, wall_per_cpu=100)
        await keep(session, version.id, question, {**storable(found), "rushed": False})
    got = (await ada.client.get(f"/api/datasets/{made['id']}/quality", params={"target": target})).json()
    said: dict[str, Any] = _in_sentences({name: storable(orjson.loads(orjson.dumps(found)))[name] for name in got["diagnosis"]})
    told = ("kind", "columns", "leave_out", "severity", "message", "alone", "next_best", "evidence")
    assert got["diagnosis"] == {**said, "leaks": [{name: leak[name] for name in told} for leak in said["leaks"]]}
    assert target != "churn" or {"absence", "text"} & {leak["kind"] for leak in said["leaks"]}
    issues = {issue["message"]: issue["evidence"] for issue in got["issues"]}
    for issue in orjson.loads(orjson.dumps(found["issues"])):
        assert issues[issue["message"]] == issue["evidence"]


def _in_sentences(document: Any) -> Any:
    """What is said in a diagnosis as REST says it: without the words for programs."""
    if isinstance(document, list):
        return [_in_sentences(one) for one in document]
    if not isinstance(document, dict):
        return document
    if document.keys() == {"message", "reason", "parameters"}:
        return document["message"]
    return {"reason" if name == "said" else name: _in_sentences(one) for name, one in document.items()}


def test_every_kind_of_issue_is_described() -> None:
    """What the engines find stands in their source: each has its harm and its fix."""
    found: set[str] = set()
    leaks: set[str] = set()
    for path in (Path(__file__).parents[2] / "coreplex").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            first = node.args[1] if node.func.id == "single_column_leak" and len(node.args) > 1 else node.args[0]
            words = {one.value for one in ast.walk(first) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
            if node.func.id == "Finding":
                found |= words
            elif node.func.id in ("Leak", "single_column_leak"):
                leaks |= words
    assert found <= KINDS.keys()
    assert KINDS.keys() - found == {"invalid_dates"}, "named in a table of rules"
    assert leaks <= LEAKS.keys()
