"""The programs the supervisor keeps: pauses before a restart, hangs, and how they end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coreplex.supervisor import part
from coreplex.supervisor.part import Keeper, Program, stop_together
from coreplex.supervisor.process import python_path
from coreplex.supervisor.pulse import Pulse


def program(folder: Path, code: str, grace_secs: float = 5) -> Program:
    return Program("part", [sys.executable, "-c", code], folder / "part.log", os.environ, grace_secs)


def test_a_dead_part_is_started_again_with_growing_pauses(tmp_path: Path) -> None:
    keeper = Keeper(program(tmp_path, "raise SystemExit(7)"))
    keeper.start()
    pauses = []
    for _ in range(3):
        assert keeper.part.child is not None
        keeper.part.child.wait()
        assert keeper.look() == 7
        assert keeper.due is not None
        pauses.append(keeper.due - time.monotonic())
        assert keeper.look() is None
        keeper.due = 0.0
        assert keeper.look() is None
    assert keeper.part.child is not None
    keeper.part.child.wait()
    assert pauses[0] < pauses[1] < pauses[2]


BEATING = """
import argparse, sys, time
from coreplex.platform import heartbeat
parser = argparse.ArgumentParser()
heartbeat.add_arguments(parser)
given = parser.parse_args()
heart = heartbeat.Heartbeat(given.heartbeat, given.stacks)
def get_stuck():
    time.sleep(600)
for _ in range(5):
    heart.beat()
    time.sleep(0.1)
{end}
"""


def beating(folder: Path, end: str) -> Keeper:
    made = program(folder, BEATING.format(end=end))
    made.environment = {**os.environ, "PYTHONPATH": python_path()}
    made.pulse = Pulse()
    return Keeper(made)


def watched(keeper: Keeper, until: Callable[[], bool]) -> list[int]:
    """The deaths that are seen until something holds, looked for as the supervisor does."""
    deaths, deadline = [], time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        if (status := keeper.look()) is not None:
            deaths.append(status)
        time.sleep(0.02)
    return deaths


def test_a_part_that_hangs_is_killed_and_its_stack_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "SILENT_SECS", 1.0)
    monkeypatch.setattr(part, "DUMP_SECS", 0.3)
    keeper = beating(tmp_path, "get_stuck()")
    keeper.start()
    first = keeper.part.child
    assert first is not None
    try:
        assert watched(keeper, lambda: keeper.due is not None) == [-signal.SIGKILL]
        assert keeper.silent_secs is not None
        assert keeper.silent_secs >= 1.0
        (line,) = [json.loads(line) for line in keeper.part.log.read_text().splitlines()]
        assert line["event"] == "part.stack"
        assert any("in get_stuck" in text for text in line["stack"])
        watched(keeper, lambda: keeper.part.child is not first)
    finally:
        stop_together([keeper.part], lambda: True)


def test_silence_is_not_counted_while_nobody_listened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor slept with the machine, and the first it sees is a program that has not woken yet."""
    monkeypatch.setattr(part, "SILENT_SECS", 1.0)
    keeper = beating(tmp_path, "get_stuck()")
    keeper.start()
    try:
        assert keeper.part.pulse is not None
        watched(keeper, lambda: bool(keeper.part.pulse and keeper.part.pulse.beats >= 5))
        monkeypatch.setattr(part, "AWAY_SECS", 0.5)
        time.sleep(1.5)
        assert keeper.look() is None
        assert keeper.silent_secs is None
    finally:
        stop_together([keeper.part], lambda: True)


def test_the_pause_grows_only_for_a_part_that_never_served(tmp_path: Path) -> None:
    serving, failing = beating(tmp_path, "sys.exit(7)"), beating(tmp_path, "")
    failing.part.command = [sys.executable, "-c", "raise SystemExit(7)"]  # type: ignore[attr-defined]
    for keeper, crashes in ((serving, [1, 1, 1]), (failing, [1, 2, 3])):
        seen = []
        for _ in range(3):
            keeper.start()
            assert watched(keeper, lambda keeper=keeper: keeper.due is not None) == [7]  # type: ignore[misc]
            seen.append(keeper.crashes)
        assert seen == crashes


def test_stopping_waits_for_the_willing_and_kills_the_deaf(tmp_path: Path) -> None:
    ready = "open({!r}, 'w').close(); import time; time.sleep(60)"
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + ready.format(str(tmp_path / "deaf"))
    parts = [program(tmp_path, ready.format(str(tmp_path / "willing"))), program(tmp_path, deaf, grace_secs=0.3)]
    for one in parts:
        one.start()
    while not ((tmp_path / "deaf").exists() and (tmp_path / "willing").exists()):
        time.sleep(0.01)
    assert stop_together(parts, lambda: False) == ["part"]
    assert [one.child.returncode for one in parts if one.child] == [-signal.SIGTERM, -signal.SIGKILL]


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    code = """
import sys; from pathlib import Path; from coreplex.supervisor.part import Program; import os, time
part = Program("p", [sys.executable, "-c", "import time; time.sleep(60)"], Path(sys.argv[1]), os.environ, 1); part.start()
print(part.child.pid, flush=True); time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = Path("/proc", parent.stdout.readline().strip(), "status")
    assert child.exists()
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while child.exists() and "State:\tZ" not in child.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
