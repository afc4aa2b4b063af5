"""The inference log on a disk that is full or fails: what is not logged is said, what is acknowledged is synced."""

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from coreplex.errors.disk import FULL
from coreplex.errors.tree import StorageFull
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.serving.log import dropped, spool
from coreplex.serving.log.dropped import DropCount
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.served import Served
from tests.jobs.inference_log import AWAY, files, inputs, until


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A disk with room for `room` more bytes; writes beyond are cut, as a full one cuts them."""
    state: dict[str, Any] = {"room": 10**9, "errno": errno.ENOSPC}
    write = os.write

    def limited(file: int, data: Any) -> int:
        if state["room"] <= 0:
            raise OSError(state["errno"], os.strerror(state["errno"]))
        count = write(file, memoryview(data)[: state["room"]])
        state["room"] -= count
        return count

    monkeypatch.setattr(os, "write", limited)
    return state


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
async def test_what_is_not_logged_is_said_and_counted(
    served: Served, writer: InferenceWriter, disk: dict[str, Any], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    disk["errno"] = code
    acknowledged = []
    for n in range(60):
        disk["room"] = 10**9 if n % 3 else n * 11
        warnings = await served.record(writer, {"n": n, "note": "z" * 200})
        acknowledged += [] if warnings else [n]
        if warnings:
            (warning,) = warnings
            assert warning["kind"] == "not_logged"
            assert ("storage is full" in warning["message"]) == (code != errno.EIO), warning
    disk["room"] = 10**9
    await writer.flush()
    assert [row["n"] for row in await inputs(served)] == acknowledged
    assert 40 <= len(acknowledged) < 60
    lost = writer.unlogged.count.total
    assert (lost.requests, lost.rows) == (60 - len(acknowledged),) * 2
    assert f"{60 - len(acknowledged)} requests" in str(lost)
    assert 1 <= capsys.readouterr().out.count("inference_log_lost") < 60 - len(acknowledged), "not a line for each"


def test_processes_count_together_what_they_drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file does not take at once it is given later, and a restart forgets none of it."""
    one, other = DropCount(tmp_path), DropCount(tmp_path)
    one.add(3, now())
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: 0)
        other.add(4, now())
    assert (one.total[:2], other.total[:2]) == ((1, 3), (2, 7))
    other.retry()
    other.retry()
    assert one.total == other.total == DropCount(tmp_path).total == dropped.read(tmp_path)
    assert one.total[:2] == (2, 7)
    assert dropped.path_in(tmp_path).stat().st_size == dropped.SIZE, "written in place"
    dropped.path_in(tmp_path).unlink()
    one.add(1, now())
    assert one.total[:2] == (1, 1), "counted anew"


async def test_a_disk_that_loses_what_it_took(
    served: Served, writer: InferenceWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sync that fails is alarmed, and what comes goes into another file: of this one the next sync would say nothing."""

    def failing(_file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    await served.record(writer, {"n": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing, raising=False)
        await writer._spool.sync()
    assert "inference_log_not_synced" in capsys.readouterr().out
    await served.record(writer, {"n": 2})
    assert len(files(tmp_path / "spool")) == 2
    await writer._spool.sync()
    await writer.flush()
    assert await inputs(served) == [{"n": 1}, {"n": 2}]


async def test_a_folder_that_cannot_be_written_to(served: Served, database: Database, tmp_path: Path) -> None:
    """The process starts and predicts all the same, and logs as soon as it can."""
    (tmp_path / "spool").write_text("in the way")
    writer = InferenceWriter(database, tmp_path / "spool")
    (warning,) = await served.record(writer, {"n": 1})
    assert warning["kind"] == "not_logged"
    (tmp_path / "spool").unlink()
    assert not await served.record(writer, {"n": 2})
    await writer.stop()
    assert await inputs(served) == [{"n": 2}]


async def test_a_disk_that_is_nearly_full(served: Served, writer: InferenceWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_folder: Path, _part: float) -> None:
        raise StorageFull(FULL)

    monkeypatch.setattr(spool, "refuse_when_full", full)
    (warning,) = await served.record(writer, {"n": 1})
    assert "storage is full" in warning["message"]
    assert not writer.waiting


async def test_what_is_acknowledged_is_synced_in_groups(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the loop, one for many entries, whatever other threads do; an idle process syncs nothing."""
    synced: list[int] = []
    sync, ended, busy = os.fsync, threading.Event(), []
    monkeypatch.setattr(os, "fdatasync", lambda file: (synced.append(os.fstat(file).st_size), sync(file)), raising=False)
    writer = InferenceWriter(Database(AWAY), tmp_path / "spool")
    writer.start()
    try:
        await asyncio.sleep(3 * spool.SYNC_SECS)
        assert not synced
        busy += [asyncio.create_task(asyncio.to_thread(ended.wait, 60)) for _ in range(64)]
        for n in range(50):
            await served.record(writer, {"n": n})
        (path,) = (tmp_path / "spool").glob("*.jsonl")
        size = path.stat().st_size
        await until(lambda: bool(synced) and synced[-1] >= size)
        assert len(synced) <= 10
    finally:
        ended.set()
        await writer.stop()
    assert UUID(path.stem)
    assert path.exists(), "it waits for the next start"
