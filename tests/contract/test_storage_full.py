"""Storage that fills up: said before it is full, refused with 507 at every door, and durable as far as it goes."""

import errno
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from httpx import Response
from sqlalchemy import text
from starlette.applications import Starlette

from coreplex.command import doctor
from coreplex.errors.tree import DatabaseFull, StorageFull
from coreplex.platform import storage
from coreplex.platform.clock import now
from coreplex.platform.database import Database, passing
from coreplex.platform.settings import Settings
from coreplex.serving.log.dropped import DropCount
from coreplex.supervisor.folder import DataFolder
from coreplex.supervisor.trouble import Trouble
from schema.errors import domain_error
from tests.factories.account import bearer, browser
from tests.factories.dataset import Person, table

GIGABYTE = 1 << 30
Fill = Callable[[int], None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Sets how many bytes of a disk of 100 GB are free."""

    def free(size: int) -> None:
        usage = SimpleNamespace(total=100 * GIGABYTE, used=100 * GIGABYTE - size, free=size)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    return free


def told(check: Callable[[doctor.World], str], settings: Settings) -> str:
    try:
        return check(doctor.World(settings, DataFolder(settings.data_dir), None))
    except Trouble as trouble:
        return f"{trouble.what} {trouble.remedy}"


async def test_it_is_said_before_anything_is_refused(lab: tuple[Starlette, Person], settings: Settings, fill: Fill) -> None:
    """One mark for all: what `/ready` and `doctor` call full is what uploads are refused for."""
    app, ada = lab
    states = {}
    async with browser(app) as client:
        for size in (10 * GIGABYTE, GIGABYTE, 257 << 20, 255 << 20, 0):
            fill(size)
            report = (await client.get("/ready")).json()
            states[size] = report["checks"]["storage"]
            answer = await client.post(
                "/api/uploads", params={"filename": "t.csv"}, content=b"a,b\n1,2\n", headers=bearer(ada.key)
            )
            assert answer.status_code == (507 if size < 256 << 20 else 201), answer.text
            assert report["checks"]["database"] == "ok", "the other checks are as they were"
            assert (told(doctor._disk, settings)[0].isdigit()) == (states[size] == "ok")
    assert [state.partition(":")[0] for state in states.values()] == [
        "ok",
        *["storage is nearly full"] * 2,
        *["storage is full"] * 2,
    ]


async def test_tables_and_exports_stop_at_the_same_mark(
    lab: tuple[Starlette, Person], settings: Settings, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program is started to write them, and nothing is left; afterwards all is as before."""
    app, ada = lab
    first = await ada.dataset(table([("a", "b", "late"), *((n, n % 7, "yes" if n % 3 else "no") for n in range(100))]))
    async with browser(app) as client:
        client.headers.update(bearer(ada.key))
        upload = (await client.post("/api/uploads", params={"filename": "t.csv"}, content=b"a,b\n1,2\n3,4\n")).json()["upload_id"]
        before = {path for path in settings.data_dir.rglob("*") if path.is_file()}
        wanted = {"project_id": ada.project_id, "name": "Second", "upload_id": upload}
        training = {"project_id": ada.project_id, "dataset_version_id": first["dataset_version_id"], "name": "e"}
        training |= {"target_column": "late", "problem_type": "classification"}
        asked: dict[str, Callable[[], Awaitable[Response]]] = {
            "dataset": lambda: client.post("/api/datasets/upload", json=wanted),
            "experiment": lambda: client.post("/api/experiments", json=training),
            "csv": lambda: client.get(f"/api/datasets/{first['dataset_id']}/download", params={"format": "csv"}),
            "xlsx": lambda: client.get(f"/api/datasets/{first['dataset_id']}/download", params={"format": "xlsx"}),
        }
        monkeypatch.setattr(os, "link", refused)
        asked["parquet"] = lambda: client.get(f"/api/datasets/{first['dataset_id']}/download", params={"format": "parquet"})
        fill(255 << 20)
        for name, ask in asked.items():
            answer = await ask()
            assert (answer.status_code, answer.json()["code"]) == (507, "storage_full"), (name, answer.text)
        assert (await client.get("/api/datasets", params={"project_id": ada.project_id})).json()["total"] == 1
        assert (await client.get("/api/experiments", params={"project_id": ada.project_id})).json()["total"] == 0
        assert {path for path in settings.data_dir.rglob("*") if path.is_file()} == before
        fill(300 << 20)
        assert (await asked["parquet"]()).status_code == 200
        assert (await asked["dataset"]()).status_code == 201


def refused(*_paths: Path) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_an_error_of_the_disk_is_507_wherever_it_comes_from() -> None:
    assert isinstance(domain_error(OSError(errno.ENOSPC, "No space left on device"), "1"), StorageFull)
    assert isinstance(domain_error(OSError(errno.EDQUOT, "Disk quota exceeded"), "1"), StorageFull)
    assert not isinstance(domain_error(OSError(errno.EIO, "Input/output error"), "1"), StorageFull)


async def test_a_database_without_room_is_507_and_a_job_waits(database: Database) -> None:
    raising = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$"
    with pytest.raises(DatabaseFull) as caught:
        async with database.transaction() as session:
            await session.execute(text(raising))
    seen = domain_error(caught.value, "1")
    assert (seen.status, seen.code) == (507, "storage_full")
    assert passing(caught.value)


def test_doctor_shows_what_was_set_aside(settings: Settings) -> None:
    assert told(doctor._inference_log, settings) == "nothing was left behind"
    folder = settings.data_dir / "spool" / "set-aside"
    folder.mkdir(parents=True)
    (folder.parent / "a.jsonl").write_bytes(b"{}\n")
    assert told(doctor._inference_log, settings) == "3 bytes wait for a server to store them"
    for name in ("one.jsonl", "two.torn"):
        (folder / name).write_bytes(b"x" * 1000)
    said = told(doctor._inference_log, settings)
    assert "2 entries (2,000 bytes)" in said
    assert str(folder) in said
    DropCount(folder.parent).add(40, now())
    said = told(doctor._inference_log, settings)
    assert "1 requests with 40 rows" in said
    assert "dropped.json" in said


async def test_new_folders_are_synced_before_what_is_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut must not take away a folder whose file a row names: each parent up to the first that was there."""
    synced = []
    sync = os.fsync

    def noted(file: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{file}"))
        sync(file)

    files = storage.LocalStorage(tmp_path / "storage")
    monkeypatch.setattr(os, "fsync", noted)
    for name, new in (("a/b/c/one", ["", "a", "a/b"]), ("a/b/c/two", []), ("a/b/d/e/three", ["a/b", "a/b/d"])):
        source = tmp_path / "source"
        source.write_bytes(b"bytes")
        synced.clear()
        await files.put(name, source)
        folders = [str(tmp_path / "storage" / folder).rstrip("/") for folder in new]
        assert synced[: len(new)] == folders
        assert synced[len(new) :] == [str(source), str((tmp_path / "storage" / name).parent)]
