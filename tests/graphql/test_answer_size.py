"""An answer has a limit of bytes, enforced while it is built, at every door; and a preview's cells are cut."""

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import polars as pl
import pytest
from graphql import parse

from coreplex.dataset.table import DatasetVersion
from coreplex.engines.tabular.frame import CELL_CHARS, PREVIEW_BLOCK, preview
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.platform import answer_size
from coreplex.platform.answer_size import AnswerSize, AnswerTooLarge, require_size
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Principal
from coreplex.platform.services import Services
from coreplex.serving.table import InferenceLog
from edge.caller import RequestFacts
from resolvers.context import Context
from schema.door.answers import dump, executed
from schema.execution import Operation, execute, from_document, prepare
from tests.counting import counted
from tests.factories.account import bearer
from tests.factories.asking import Asker
from tests.graphql.test_compiler_contract import documents, owner, uncompiled

__all__ = ["owner"]
LIMIT = 64 * 1024
DIRECTIVE = "query($yes: Boolean = true) { models(first: 3) { nodes { ...m } } } "
DIRECTIVE += (
    "fragment m on Model { name classes metrics @include(if: $yes) { name value } curves { roc { points { threshold } } } }"
)


@contextmanager
def limited(services: Services, limit: int) -> Iterator[None]:
    before = services.settings
    services.settings = before.model_copy(update={"max_answer_bytes": limit})
    yield
    services.settings = before


async def written(asker: Asker, operation: Operation, principal: Principal) -> bytes:
    services = asker.world.services
    result = await execute(operation, {}, Context(services, principal, RequestFacts(id="r")))
    return require_size(dump(executed(result, "r")), services.settings.max_answer_bytes)


async def test_both_ways_refuse_the_same_answers_and_only_those_that_are_too_large(asker: Asker, owner: Principal) -> None:
    chance, refused = random.Random(7), 0
    # Of rows of a table all that is read counts, whatever is selected of it.
    drawn = [text for text in documents(asker.world.ids) if " rows(" not in text]
    for text in [*drawn[::4], DIRECTIVE]:
        compiled = from_document(parse(text))
        whole = await written(asker, compiled, owner)
        for limit in (len(whole), len(whole) - 1, chance.randrange(len(whole))):
            for operation in (compiled, uncompiled(compiled)):
                with limited(asker.world.services, limit):
                    if limit >= len(whole):
                        assert await written(asker, operation, owner) == whole, text
                        continue
                    with pytest.raises(AnswerTooLarge):
                        await written(asker, operation, owner)
                    refused += 1
    assert refused >= 60


async def test_building_ends_before_the_answer_is_there(asker: Asker, owner: Principal) -> None:
    """What is completed is never more than the limit and what is added at once, whatever there would be in all."""
    for text in ("{ models { nodes { name metrics { name } classes parameters } } }", DIRECTIVE):
        operation = prepare(text)
        context = Context(asker.world.services, owner, RequestFacts(id="r"))
        with limited(asker.world.services, 100), pytest.raises(AnswerTooLarge):
            await execute(operation, {}, context)
        assert context.size.exceeded


HUGE = 60_000
ALIASES = " ".join(f"p{number}: preview(rows: 150)" for number in range(6))


async def test_a_small_file_gives_no_large_answer(asker: Asker) -> None:
    """1.6 KB of Parquet whose one text is the cell of every row, and six aliases of its preview: 54 MB before cells were cut."""
    world = asker.world
    file = io.BytesIO()
    table = pl.DataFrame({"text": ["x" * HUGE] * 5_000, "number": range(5_000)})
    table.write_parquet(file, compression="zstd", compression_level=19, statistics=False)
    form = {"project_id": world.ids["project"], "name": "Bomb"}
    made = await asker.client.post(
        "/api/datasets/upload", data=form, files={"file": ("t.parquet", file.getvalue())}, headers=bearer(world.keys["owner"])
    )
    query = f"query($id: ID!) {{ datasetVersion(id: $id) {{ {ALIASES} }} }}"
    body = {"query": query, "variables": {"id": made.json()["version_id"]}}
    answer = await asker.client.post("/graphql", json=body, headers=world.headers("owner"))
    rows = answer.json()["data"]["datasetVersion"]["p5"]
    assert len(rows) == 150
    assert rows[149] == {"text": "x" * CELL_CHARS + f"… ({HUGE} characters)", "number": 149}
    assert len(answer.content) < 6 * 150 * (CELL_CHARS + 100)
    with limited(world.services, LIMIT):
        answer = await asker.client.post("/graphql", json=body, headers=world.headers("owner"))
    assert_refused(answer)
    await every_door_refuses(asker, body)


async def every_door_refuses(asker: Asker, body: dict[str, Any]) -> None:
    headers, services = asker.world.headers("owner"), asker.world.services
    with limited(services, LIMIT):
        streamed = await asker.client.post("/graphql", json=body, headers={**headers, "Accept": "text/event-stream"})
    assert_refused(streamed)
    with limited(services, 300):
        listed = await asker.client.get("/api/models?limit=50", headers=headers)
        assert (listed.status_code, listed.json()["code"]) == (413, "answer_too_large")
        renamed = "mutation($input: UpdateProjectInput!) { updateProject(input: $input) { project { name description } } }"
        told = await asker.refused(
            renamed, input={"projectId": asker.world.ids["project"], "name": "Kept", "description": "d" * 400}
        )
    assert told["code"] == "ANSWER_TOO_LARGE"
    assert "stays changed" in told["message"]
    named = await asker.data("query($id: ID!) { project(id: $id) { name } }", id=asker.world.ids["project"])
    assert named["project"]["name"] == "Kept"


def assert_refused(answer: Any) -> None:
    assert answer.status_code == 413
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "ANSWER_TOO_LARGE"
    assert "fewer rows" in error["message"]


async def test_large_rows_of_the_inference_log_are_read_until_there_are_too_many(asker: Asker, database: Database) -> None:
    ids, rows, large = asker.world.ids, 40, 200_000
    names = {"project_id": ids["project"], "deployment_id": ids["production"], "model_id": ids["model"]}
    async with database.transaction() as session:
        for number in range(rows):
            document = {"text": random.Random(number).randbytes(large // 2).hex()}
            known = {name: UUID(value) for name, value in names.items()}
            session.add(InferenceLog(**known, request_id=f"r{number}", inputs=document, output={"prediction": number}))
    logs = "query($id: ID!) { deployment(id: $id) { logs(first: 500) { nodes { requestId %s } } } }"
    whole = (await asker.data(logs % "output { prediction }", id=ids["production"]))["deployment"]["logs"]["nodes"]
    assert {row["requestId"]: row["output"]["prediction"] for row in whole} == {f"r{number}": number for number in range(rows)}
    with limited(asker.world.services, 2_000_000):
        await asker.data(logs % "latencyMs", id=ids["production"])
        with counted(asker.world.services.database) as statements:
            told = await asker.refused(logs % "inputs", id=ids["production"])
    assert told["code"] == "ANSWER_TOO_LARGE"
    reads = [one for one in statements if "inference_logs.inputs, " in one]
    assert 2 <= len(reads) <= 2_000_000 / large + 1, "not all forty rows"


async def test_documents_of_versions_are_read_until_there_are_too_many(
    asker: Asker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small answer, the names of columns, is made from whole schemas and profiles."""
    ids, many = asker.world.ids, 40
    async with database.transaction() as session:
        version = await session.get_one(DatasetVersion, UUID(ids["version"]))
        filled = {"columns": version.profile["columns"], "more": random.Random(1).randbytes(150_000).hex()}
        for number in range(many):
            own = {"id": new_id(), "version": 100 + number, "profile": {**version.profile, **filled}}
            session.add(DatasetVersion(**version.model_dump(exclude={*own, "upload_artifact_id"}), **own))
    names = "query($id: ID!) { dataset(id: $id) { versions(first: %d) { nodes { columns { name } } } } }"
    read = "dataset_versions.profile, "
    for first in (1, 40):
        found = await asker.data(names % first, id=ids["dataset"])
        assert len(found["dataset"]["versions"]["nodes"]) == first
        assert found["dataset"]["versions"]["nodes"][-1]["columns"]
    monkeypatch.setattr(answer_size, "LEAST_READ", 2_000_000)
    with limited(asker.world.services, 100_000), counted(asker.world.services.database) as statements:
        told = await asker.refused(names % 40, id=ids["dataset"])
    assert told["code"] == "ANSWER_TOO_LARGE"
    assert len([one for one in statements if read in one]) <= 2_000_000 / 300_000 + 1, "not all forty"
    with limited(asker.world.services, 100_000), counted(asker.world.services.database) as statements:
        await asker.data(names % 5, id=ids["dataset"])
    assert len([one for one in statements if read in one]) == 5, "a little at a time"


def test_a_preview_stops_reading_when_there_is_no_room(tmp_path: Path) -> None:
    path, rows = tmp_path / "t.parquet", 500
    pl.DataFrame({"a": [f"{n:0900}" for n in range(rows)], "b": [None, "é" * 1_001] * (rows // 2)}).write_parquet(path)
    schema = TableSchema((Column("a", ColumnType.text, "string", False), Column("b", ColumnType.text, "string", True)))
    read: list[int] = []
    found = preview(path, schema, rows, read.append)
    assert len(read) == rows / PREVIEW_BLOCK
    assert sum(read) >= len(orjson.dumps(found))
    assert found[0] == {"a": "0" * 900, "b": None}
    assert found[1]["b"] == "é" * CELL_CHARS + "… (1001 characters)"
    size = AnswerSize(100_000)
    with pytest.raises(AnswerTooLarge), size.reading() as part:
        preview(path, schema, rows, part.add)
    assert size.total == 0, "what was read is given back"
    assert part.own < 100_000 + 2 * PREVIEW_BLOCK * (900 + 2 * CELL_CHARS)
