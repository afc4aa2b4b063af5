"""Children: results, errors, limits, cancellation, and nothing left over."""

import asyncio
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from coreplex.errors.tree import Invalid, NoModel, StorageFull
from coreplex.platform.deferred_import import ChildTask
from coreplex.platform.isolation import ChildCancelled, ChildCrashed, ChildFailed, ChildTimeout, Control, OutOfMemory, run_child

MEMORY = 1 << 30
TASKS = "tests.jobs.child_tasks"


class Heard:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.first = asyncio.Event()

    async def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        self.first.set()

    @property
    def pid(self) -> int:
        return int(self.events[0]["message"])


async def run(name: str, heard: Heard | None = None, control: Control | None = None, **request: Any) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "writes_to": request.pop("writes_to", None),
        "time_limit_secs": request.pop("time_limit", 60.0),
        "memory_bytes": request.pop("memory", MEMORY),
    }
    return await run_child(ChildTask(f"{TASKS}:{name}"), request, on_event=heard or Heard(), control=control, **limits)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "ADMIN_PASSWORD", "SMTP_URL"):
        monkeypatch.setenv(name, "secret")


async def test_result_and_events_come_in_order() -> None:
    heard = Heard()
    assert await run("count", heard, to=50) == {"counted": 50}
    assert [event["message"] for event in heard.events] == [str(number) for number in range(50)]


async def test_lines_of_any_length_pass() -> None:
    heard = Heard()
    assert len((await run("long_line", heard, size=5_000_000))["text"]) == 5_000_000
    assert len(heard.events[0]["message"]) == 5_000_000


async def test_a_large_request_passes() -> None:
    assert await run("size_of", text="x" * 5_000_000) == {"size": 5_000_000}


async def test_an_expected_error_keeps_its_kind_and_place() -> None:
    with pytest.raises(Invalid, match="not a number") as caught:
        await run("refuse")
    assert caught.value.errors[0].loc == ("config", "nfolds")


async def test_a_training_without_a_model_is_an_expected_end() -> None:
    with pytest.raises(NoModel, match="max_runtime_secs"):
        await run("give_up")


async def test_an_unexpected_error_is_masked_and_kept_for_the_log() -> None:
    with pytest.raises(ChildFailed) as caught:
        await run("raise_secret")
    assert "s3cret" not in caught.value.message
    assert "s3cret" in caught.value.detail


async def test_the_environment_holds_no_secret_and_limits_threads() -> None:
    seen = await run("environment")
    assert "secret" not in seen.values()
    assert seen["OMP_NUM_THREADS"] == seen["POLARS_MAX_THREADS"] == "1"


@pytest.mark.parametrize("name", ["sleep", "spin", "deaf"])
async def test_the_time_limit_ends_it(name: str) -> None:
    heard = Heard()
    with pytest.raises(ChildTimeout):
        await run(name, heard, time_limit=1.5)
    assert gone(heard.pid)


@pytest.mark.parametrize("name", ["numpy_grows", "bytes_grow", "one_huge_block", "polars_grows"])
async def test_too_much_memory_ends_the_child_only(name: str) -> None:
    with pytest.raises(OutOfMemory):
        await run(name, memory=400 << 20)


async def test_a_disk_that_fills_ends_the_child_that_fills_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    task = asyncio.create_task(run("sleep", heard, writes_to=tmp_path))
    await heard.first.wait()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(total=10**12, used=10**12, free=10**6))
    with pytest.raises(StorageFull):
        await asyncio.wait_for(task, 30)
    assert gone(heard.pid)
    with pytest.raises(StorageFull):
        await run("sleep", writes_to=tmp_path)


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGSEGV"])
async def test_a_death_is_told_apart(signal: str) -> None:
    with pytest.raises(ChildCrashed, match=signal):
        await run("die", signal=signal)


async def test_stop_lets_the_task_end_with_what_it_has() -> None:
    heard, control = Heard(), Control()
    task = asyncio.create_task(run("until_stopped", heard, control))
    await heard.first.wait()
    control.stop()
    assert await asyncio.wait_for(task, 10) == {"stopped": True}


@pytest.mark.parametrize("how", ["control", "task"])
async def test_cancel_leaves_no_process_even_of_its_group(how: str) -> None:
    heard, control = Heard(), Control()
    task = asyncio.create_task(run("with_grandchild", heard, control))
    await heard.first.wait()
    control.cancel() if how == "control" else task.cancel()
    with pytest.raises(ChildCancelled if how == "control" else asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert gone(heard.pid)
    grandchild = int(heard.events[0]["grandchild"])
    assert await _soon(lambda: gone(grandchild))


async def test_a_failing_listener_ends_the_child() -> None:
    async def refuse(_event: dict[str, Any]) -> None:
        raise RuntimeError("not wanted")

    before = len(psutil.Process().children())
    with pytest.raises(RuntimeError, match="not wanted"):
        await run_child(ChildTask(f"{TASKS}:sleep"), {}, on_event=refuse, time_limit_secs=60, memory_bytes=MEMORY)
    assert len(psutil.Process().children()) == before


async def test_a_listeners_own_timeout_is_not_the_childs() -> None:
    async def tire(_event: dict[str, Any]) -> None:
        raise TimeoutError("the listener's")

    with pytest.raises(TimeoutError, match="the listener's"):
        await run_child(ChildTask(f"{TASKS}:sleep"), {}, on_event=tire, time_limit_secs=60, memory_bytes=MEMORY)


async def test_many_at_once_leave_no_file_descriptor() -> None:
    await run("count", to=1)
    before = len(os.listdir("/proc/self/fd"))
    results = await asyncio.gather(*(run("count", to=3) for _ in range(6)))
    assert results == [{"counted": 3}] * 6
    assert await _soon(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def _soon(condition: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return bool(condition())
