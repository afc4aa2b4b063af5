"""What is stored is what was stored: a damaged file is said to be damaged, and nobody else on the machine reads any."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.serving.prediction import Scorers
from tests.factories.account import browser, serving
from tests.factories.dataset import PEOPLE
from tests.factories.world import ROW, World, world
from tests.stack import Stack


@pytest.fixture
async def furnished(settings: Settings, database: Database) -> AsyncIterator[World]:
    async with serving(settings) as app, world(app, database) as made:
        yield made


async def stored(made: World, kind: ArtifactKind) -> list[Path]:
    async with made.database.read() as session:
        rows = await session.scalars(select(Artifact).where(col(Artifact.kind) == kind))
        return [await made.services.storage.path(row.storage_key) for row in rows]


def flip(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def remove(path: Path) -> None:
    path.unlink()


DAMAGES: list[Callable[[Path], None]] = [lambda path: flip(path, 0), flip, lambda path: flip(path, 1), cut, remove]


async def test_a_damaged_model_is_not_used(furnished: World, watched: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    paths = await stored(furnished, ArtifactKind.model)
    whole = {path: path.read_bytes() for path in paths}
    places = (f"/api/models/{furnished.ids['model']}/predict", f"/api/mlops/deployments/{furnished.ids['deployment']}/predict")
    async with browser(furnished.app) as client:
        client.headers.update(furnished.headers("owner"))
        for damage in DAMAGES:
            for path in paths:
                damage(path)
            for place in places:
                answer = await client.post(place, json={"inputs": ROW})
                assert (answer.status_code, answer.json()["code"]) == (409, "damaged"), answer.text
                assert "backup" in answer.json()["detail"]
            assert "stored_file_damaged" in capsys.readouterr().out
            for path, content in whole.items():
                path.write_bytes(content)
        for place in places:
            answer = await client.post(place, json={"inputs": ROW})
            assert answer.status_code == 200, answer.text
    assert watched == []


async def test_a_model_in_memory_survives_its_file(furnished: World) -> None:
    async with browser(furnished.app) as client:
        client.headers.update(furnished.headers("owner"))
        place = f"/api/models/{furnished.ids['model']}/predict"
        assert (await client.post(place, json={"inputs": ROW})).status_code == 200
        for path in await stored(furnished, ArtifactKind.model):
            flip(path)
        assert (await client.post(place, json={"inputs": ROW})).status_code == 200
        assert Scorers in furnished.services.parts


async def test_a_damaged_table_is_not_used(furnished: World) -> None:
    paths = [*await stored(furnished, ArtifactKind.table), *await stored(furnished, ArtifactKind.upload)]
    whole = {path: path.read_bytes() for path in paths}
    dataset, version, artifact = (furnished.ids[name] for name in ("dataset", "version", "artifact"))
    files = [f"/api/datasets/{dataset}/download?format={format}" for format in ("csv", "parquet", "xlsx")]
    columns = '[{name: "age", type: TEXT}]'
    change = f"mutation($id: ID!) {{ overrideColumnTypes(input: {{versionId: $id, columns: {columns}}}) {{ dataset {{ id }} }} }}"
    async with browser(furnished.app) as client:
        client.headers.update(furnished.headers("owner"))
        for damage in DAMAGES:
            for path in paths:
                damage(path)
            for place in (*files, f"/api/artifacts/{artifact}/download"):
                answer = await client.get(place)
                assert (answer.status_code, answer.json()["code"]) == (409, "damaged"), answer.text
            refused = (await client.post("/graphql", json={"query": change, "variables": {"id": version}})).json()
            assert refused["errors"][0]["extensions"]["code"] == "DAMAGED", refused
            for path, content in whole.items():
                path.write_bytes(content)


def test_an_experiment_on_a_damaged_table_fails_and_says_why(stack: Stack) -> None:
    with stack.client() as client:
        project = client.post("/api/projects", json={"name": "p"}).json()["project_id"]
        rows = "".join(f"{n},{n % 7},{'yes' if n % 3 else 'no'}\n" for n in range(200))
        form = {"project_id": project, "name": "t"}
        upload = client.post("/api/datasets/upload", data=form, files={"file": ("t.csv", f"a,b,c\n{rows}".encode())})
        version = upload.json()["dataset_version_id"]
        (table,) = (stack.data_dir / "storage" / "projects" / project).rglob("table.parquet")
        flip(table)
        wanted = {"project_id": project, "dataset_version_id": version, "name": "e", "target_column": "c"}
        wanted |= {"problem_type": "classification", "config": {"max_runtime_secs": 10}}  # type: ignore[dict-item]
        experiment = client.post("/api/experiments", json=wanted).json()["experiment_id"]
        status: dict[str, Any] = {"status": "queued"}
        for _ in range(600):
            status = client.get(f"/api/experiments/{experiment}/status").json()
            if status["status"] in {"failed", "succeeded"}:
                break
        assert status["status"] == "failed"
        assert "changed since it was written" in str(status)


def test_nobody_else_on_the_machine_can_read_the_data_folder(stack: Stack) -> None:
    with stack.client() as client:
        project = client.post("/api/projects", json={"name": "p"}).json()["project_id"]
        form = {"project_id": project, "name": "t"}
        assert client.post("/api/datasets/upload", data=form, files={"file": ("t.csv", PEOPLE)}).status_code == 201
        client.post("/api/uploads", params={"filename": "x"}, content=b"x")
    found = list(stack.data_dir.rglob("*"))
    assert len(found) > 5
    assert [str(path) for path in found if path.stat().st_mode & 0o077] == []
