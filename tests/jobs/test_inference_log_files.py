"""The files of the inference log: what dead processes left, damage, locks and rotation lose no entry."""

import errno
import fcntl
import os
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from coreplex.platform.clock import now
from coreplex.serving.log import rejected, spool
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.served import Served
from tests.jobs.inference_log import dead, inputs

MEGABYTE = 1 << 20


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
    assert rejected.sweep(tmp_path, now() - timedelta(days=90)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["young"]
    assert rejected.sweep(tmp_path / "none", now()) == 0


def test_what_was_set_aside_is_bounded_in_bytes_too(tmp_path: Path) -> None:
    """Also where the log is kept for ever. The oldest goes first, and is told."""
    for age in range(5):
        path = tmp_path / f"{age}.jsonl"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (1e9 - age, 1e9 - age))
    with capture_logs() as logs:
        assert rejected.sweep(tmp_path, None, most_bytes=3500) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.jsonl", "1.jsonl", "2.jsonl"]
    assert {line["event"] for line in logs} == {"inference_log_set_aside_removed"}


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
    assert 2 <= len(list((tmp_path / "spool").glob("*.jsonl"))) <= 5
    await writer.flush()
    assert await inputs(served) == [{"n": n} for n in range(40)]
    assert len(list((tmp_path / "spool").glob("*.jsonl"))) == 1, "finished files are removed"
    await served.record(writer, {"note": "x" * MEGABYTE})
    await writer.flush()
    assert not list((tmp_path / "spool").glob("*.jsonl")), "and a long one is not waited for until it is full"
    await served.record(writer, {"n": 41})
    await writer.flush()
    assert len(await served.logged()) == 42
