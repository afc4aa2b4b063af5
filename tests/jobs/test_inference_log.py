"""The inference log: whatever rows hold, whatever the database says, whoever dies meanwhile: what was acknowledged is logged."""

import asyncio
import errno
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from coreplex.clock import now
from coreplex.database import Database
from coreplex.errors import StorageFull, Unavailable
from coreplex.monitoring import aside, spool
from coreplex.monitoring import writer as log_writer
from coreplex.monitoring.writer import InferenceWriter
from tests.factories.served import Served, serve, stored

MEGABYTE = 1 << 20
AWAY = "postgresql://nobody@127.0.0.1:9/nothing"


@pytest.fixture
async def served(database: Database) -> Served:
    return await serve(database)


@pytest.fixture
async def writer(database: Database, tmp_path: Path) -> AsyncIterator[InferenceWriter]:
    made = InferenceWriter(database, tmp_path / "spool")
    yield made
    await made.stop()


async def inputs(served: Served) -> list[Any]:
    return [orjson.loads(row[0]) for row in await served.logged()]


async def dead(served: Served, folder: Path, *rows: Any) -> Path:
    """The file of a process that logged rows and was killed before it stored one."""
    before = files(folder)
    writer = InferenceWriter(Database(AWAY), folder)
    for row in rows:
        await served.record(writer, row)
    await writer.stop()
    (path,) = files(folder) - before
    return path


def files(folder: Path) -> set[Path]:
    return set(folder.glob("*.jsonl"))


async def test_a_row_is_as_long_as_a_request(served: Served, writer: InferenceWriter) -> None:
    rows = [{"a": 1}, {"note": "x" * (2 * MEGABYTE)}, {"b": 2}, {"note": "\\" * MEGABYTE}, {"c": 3}]
    for row in rows:
        assert not await served.record(writer, row)
    await writer.flush()
    assert await inputs(served) == rows
    assert not writer.waiting


@pytest.mark.parametrize(
    "value",
    [
        "\\u0000",
        "\\\\u0000\0",
        "a\0b",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "\\",
        '"\\u0000"',
        2**64,
        -(2**80),
        10**400,
        1e308,
        5e-324,
        -0.0,
    ],
    ids=lambda value: ascii(value)[:20],
)
async def test_what_json_or_the_database_cannot_hold(served: Served, writer: InferenceWriter, value: Any) -> None:
    rows = [{"before": 1}, {"v": value, f"k{value}": [value]}, {"after": 1}]
    assert not await served.record(writer, *rows, error=f"refused: {value}")
    await writer.flush()
    if value == 10**400:
        rows[1] = {"v": hex(value), f"k{value}": [hex(value)]}
    assert await inputs(served) == stored(rows)


async def test_lists_in_lists(served: Served, writer: InferenceWriter) -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    assert not await served.record(writer, {"deep": deep, "n": 1}, {"n": 2})
    await writer.flush()
    assert [row["n"] for row in await inputs(served)] == [1, 2]


async def test_what_dead_processes_left(served: Served, writer: InferenceWriter, tmp_path: Path) -> None:
    rows = [[{"n": 1, "note": "y" * (3 * MEGABYTE)}, {"n": 2, "v": "\\u0000"}], [{"n": 3}]]
    paths = [await dead(served, tmp_path / "spool", *some) for some in rows]
    assert await writer.adopt() == 2
    assert await inputs(served) == rows[0] + rows[1]
    assert not any(path.exists() for path in paths)


async def test_a_write_that_was_cut(served: Served, writer: InferenceWriter, tmp_path: Path) -> None:
    """Its process was killed within it: it acknowledged nothing, but the bytes are not thrown away."""
    path = await dead(served, tmp_path / "spool", {"n": 1}, {"n": 2})
    lines = path.read_bytes()
    path.write_bytes(lines + lines[:50])
    assert await writer.adopt() == 1
    assert await inputs(served) == [{"n": 1}, {"n": 2}]
    assert not path.exists()
    (kept,) = (tmp_path / "spool" / "set-aside").iterdir()
    assert kept.read_bytes() == lines[:50]


async def test_a_line_that_is_none(served: Served, writer: InferenceWriter, tmp_path: Path) -> None:
    """Damaged on the disk: set aside, and the others are logged."""
    path = await dead(served, tmp_path / "spool", {"n": 1}, {"n": 2}, {"n": 3})
    first, _, third = path.read_bytes().splitlines()
    damaged = [b"\0" * 700, b'{"id": 1', b"17", b'{"id": "x", "inputs": {}, "output": {}}', b"\xff\xfe", b'{"v": "\\u0000']
    path.write_bytes(b"\n".join([first, *damaged, third, b""]))
    assert await writer.adopt() == 1
    assert await inputs(served) == [{"n": 1}, {"n": 3}]
    assert not path.exists()
    kept = [file.read_bytes() for file in (tmp_path / "spool" / "set-aside").iterdir()]
    assert set(damaged) - set(kept) <= {b"17"}, "a number is read as a row of nothing"


@pytest.fixture
async def refusing(served: Served) -> AsyncIterator[None]:
    """A database that does not take rows with a key `bad`, nor entries of the request `worse`."""
    check = "CHECK (NOT inputs ? 'bad' AND request_id <> 'worse') NOT VALID"
    await served.run(f"ALTER TABLE inference_logs ADD CONSTRAINT refusing {check}")
    yield
    await served.run("ALTER TABLE inference_logs DROP CONSTRAINT refusing")


async def test_a_row_the_database_refuses(served: Served, writer: InferenceWriter, refusing: None, tmp_path: Path) -> None:
    rows = [{"bad": n} if n in {0, 7, 8, 30} else {"n": n} for n in range(31)]
    await served.record(writer, *rows)
    await served.record(writer, {"lost": 1}, {"lost": 2}, request_id="worse")
    await served.record(writer, {"last": 1})
    await writer.flush()
    found = {row["row_index"]: orjson.loads(row["inputs"]) for row in (await served.logged("row_index, inputs"))[:-1]}
    assert {n: row for n, row in found.items() if "n" in row} == {n: row for n, row in enumerate(rows) if "n" in row}
    assert all("bytes were left out" in found[n]["not_stored"] for n in (0, 7, 8, 30)), "shortened"
    assert all("refusing" in found[n]["not_stored"] and '"bad"' not in found[n]["not_stored"] for n in (0, 7, 8, 30))
    assert (await inputs(served))[-1] == {"last": 1}
    assert not writer.waiting
    kept = [orjson.loads(path.read_bytes())["inputs"] for path in (tmp_path / "spool" / "set-aside").iterdir()]
    assert sorted(map(str, kept)) == sorted(map(str, [{"bad": n} for n in (0, 7, 8, 30)] + [{"lost": 1}, {"lost": 2}]))
    counted = await served.run("SELECT request_count FROM deployments")
    assert counted[0][0] == 2


async def test_a_row_that_takes_the_database_too_long(served: Served, writer: InferenceWriter) -> None:
    """A timeout may be the hour's fault: it is tried again some times, then it is the row's."""
    cancel = "RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = 'query_canceled'"
    body = f"BEGIN IF NEW.inputs ? 'slow' THEN {cancel}; END IF; RETURN NEW; END"
    await served.run(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
    await served.run("CREATE TRIGGER slow BEFORE INSERT ON inference_logs FOR EACH ROW EXECUTE FUNCTION slow()")
    try:
        await served.record(writer, {"n": 1}, {"slow": 1}, {"n": 2})
        tries = 0
        while writer.waiting:
            tries += 1
            try:
                await writer.flush()
            except Unavailable:
                assert {"n": 1} in await inputs(served), "the others do not wait for it"
        assert tries == 5
        assert [row for row in await inputs(served) if "n" in row] == [{"n": 1}, {"n": 2}]
        assert len(await inputs(served)) == 3
    finally:
        await served.run("DROP FUNCTION slow CASCADE")


async def test_a_database_that_is_away(served: Served, database: Database, tmp_path: Path) -> None:
    """Everything waits, nothing is set aside."""
    writer = InferenceWriter(database, tmp_path / "spool")
    await served.run("ALTER TABLE inference_logs RENAME TO moved")
    await served.record(writer, {"n": 1}, {"n": 2})
    with pytest.raises(Exception, match="inference_logs"):
        await writer.flush()
    await served.run("ALTER TABLE moved RENAME TO inference_logs")
    await writer.flush()
    assert await inputs(served) == [{"n": 1}, {"n": 2}]
    await writer.stop()
    assert list((tmp_path / "spool").iterdir()) == []


async def test_what_waits_is_said(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stops in silence: `/ready` shows it while it lasts."""
    monkeypatch.setattr(log_writer, "RETRY_SECS", 0.01)
    monkeypatch.setattr(log_writer, "FLUSH_SECS", 0.01)
    database = Database(served.url)
    writer = InferenceWriter(database, tmp_path / "spool")
    await served.run("ALTER TABLE inference_logs RENAME TO moved")
    await writer.start()
    try:
        await served.record(writer, {"n": 1})
        await until(lambda: writer.trouble.startswith("entries wait to be stored since 20"))
        await served.run("ALTER TABLE moved RENAME TO inference_logs")
        await until(lambda: not writer.waiting and not writer.trouble)
    finally:
        await writer.stop()
        await database.close()
    assert await inputs(served) == [{"n": 1}]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 nobody tells us
            await asyncio.sleep(0.01)


async def test_a_file_that_cannot_be_read_keeps_no_other_waiting(
    served: Served, writer: InferenceWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [await dead(served, tmp_path / "spool", {"n": n}) for n in range(3)]
    read, bad = os.pread, paths[0].stat().st_ino

    def failing(file: int, size: int, offset: int) -> bytes:
        if os.fstat(file).st_ino == bad:
            raise OSError(errno.EIO, "Input/output error")
        return read(file, size, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", failing)
        assert await writer.adopt() == 2
    assert await inputs(served) == [{"n": 1}, {"n": 2}]
    assert [path for path in paths if path.exists()] == paths[:1]
    assert await writer.adopt() == 1
    assert len(await inputs(served)) == 3


def test_what_was_set_aside_is_kept_as_long_as_the_log(tmp_path: Path) -> None:
    for name, age in (("old", 100), ("young", 80)):
        (tmp_path / name).write_bytes(b"{}")
        moment = now().timestamp() - age * 86400
        os.utime(tmp_path / name, (moment, moment))
    assert aside.sweep(tmp_path, now() - timedelta(days=90)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["young"]
    assert aside.sweep(tmp_path / "none", now()) == 0


def test_a_fresh_file_is_never_found_unlocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process looks for files of dead ones at the worst moments: before and after the first locks."""
    lock, looks = fcntl.flock, 3

    def look() -> None:
        for found in spool.orphans(tmp_path):
            found.close()

    def locking(file: int, how: int) -> None:
        nonlocal looks
        looks -= 1
        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "flock", lock)
            if looks > 0:
                look()
            lock(file, how)
            look()

    monkeypatch.setattr(fcntl, "flock", locking)
    mine = spool.Spool(tmp_path)
    mine.append(b"{}\n")
    monkeypatch.undo()
    assert [path.read_bytes() for path in tmp_path.glob("*.jsonl")] == [b"{}\n"], "it was taken for a dead process's and removed"
    assert not list(spool.orphans(tmp_path))


def test_a_file_that_is_removed_while_another_waits_for_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n")
    lock = fcntl.flock

    def removed_first(file: int, how: int) -> None:
        path.unlink(missing_ok=True)
        path.write_bytes(b'{"another": 1}\n')
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    assert list(spool.orphans(tmp_path)) == []
    assert path.exists()


async def test_a_busy_process_goes_on_in_fresh_files(
    served: Served, writer: InferenceWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "ROTATE_BYTES", 5000)
    for n in range(40):
        await served.record(writer, {"n": n})
        if n in {7, 20}:
            await writer.flush()
    assert 2 <= len(list((tmp_path / "spool").iterdir())) <= 5
    await writer.flush()
    assert await inputs(served) == [{"n": n} for n in range(40)]
    assert len(list((tmp_path / "spool").iterdir())) == 1, "finished files are removed"
    await served.record(writer, {"note": "x" * MEGABYTE})
    await writer.flush()
    assert not list((tmp_path / "spool").iterdir()), "and a long one is not waited for until it is full"
    await served.record(writer, {"n": 41})
    await writer.flush()
    assert len(await served.logged()) == 42


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
    assert (writer.unlogged.requests, writer.unlogged.rows) == (60 - len(acknowledged),) * 2
    assert f"{60 - len(acknowledged)} requests" in str(writer.unlogged)
    assert 1 <= capsys.readouterr().out.count("inference_log_lost") < 60 - len(acknowledged), "not a line for each"


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
        raise StorageFull("full")

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
    await writer.start()
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
