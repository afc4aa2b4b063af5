"""The parent side of a child process that does numeric work: limits on time and memory, events in JSON lines, a sure end.

Work that may hold the interpreter, eat the memory or never return runs in a child, so that only the child can die of it. It
sees no secret of ours, dies with us, and is ended by SIGTERM, then SIGKILL to its whole group.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from coreplex.errors import BadInput, Conflict, DomainError, FieldError, Invalid, StorageFull, TooLarge

ROOT = Path(__file__).resolve().parent.parent
GRACE_SECS = 3.0
WATCH_SECS = 0.5
LINE_LIMIT = 64 << 20
ADDRESS_SPACE_FACTOR = 6
"""Native libraries reserve far more address space than they use; the resident size is what the watchdog limits."""
PR_SET_PDEATHSIG = 1
KNOWN_ERRORS = {kind.code: kind for kind in (BadInput, Invalid, Conflict, TooLarge, StorageFull)}
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH")

OnEvent = Callable[[dict[str, Any]], Awaitable[None]]


class ChildFailed(DomainError):
    """The task itself reported that it cannot be done."""

    code, status = "task_failed", 422


class ChildCrashed(Exception):
    """The child died without a word; `stderr` holds the last lines it wrote."""

    def __init__(self, code: int, stderr: str) -> None:
        super().__init__(f"the process ended with code {code}")
        self.code, self.stderr = code, stderr


class ChildTimeout(DomainError):
    code, status = "timeout", 422


class OutOfMemory(DomainError):
    code, status = "out_of_memory", 422


@dataclass
class Control:
    """Words to running children: `stop` ends a search early, `cancel` ends the child."""

    _children: set[asyncio.subprocess.Process] = field(default_factory=set)
    stopped: bool = False
    cancelled: bool = False

    def stop(self) -> None:
        self.stopped = True
        for child in self._children:
            _say_stop(child)

    def cancel(self) -> None:
        self.cancelled = True
        for child in list(self._children):
            _signal_group(child, signal.SIGTERM)
            asyncio.get_running_loop().call_later(GRACE_SECS, _signal_group, child, signal.SIGKILL)

    def add(self, child: asyncio.subprocess.Process) -> None:
        self._children.add(child)
        if self.stopped:
            _say_stop(child)
        if self.cancelled:
            _signal_group(child, signal.SIGKILL)

    def remove(self, child: asyncio.subprocess.Process) -> None:
        self._children.discard(child)


async def _ignore(_event: dict[str, Any]) -> None:
    return None


async def run_child(
    target: str,
    request: Mapping[str, Any],
    *,
    on_event: OnEvent = _ignore,
    time_limit_secs: float,
    memory_bytes: int,
    threads: int = 1,
    control: Control | None = None,
) -> Any:
    """Run `module:function` in a child and return its result.

    `on_event` gets each log, progress and model event in order. Raises the task's own DomainError, ChildTimeout, OutOfMemory,
    or ChildCrashed when the process died. When this call is cancelled or `on_event` raises, the child is killed.
    """
    control = control or Control()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "coreplex.engines.child",
        target,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
        cwd=ROOT,
        env=_environment(threads),
        start_new_session=True,
        preexec_fn=_limits(memory_bytes, os.getpid()),
    )
    control.add(child)
    watch = Watch(child, time_limit_secs, memory_bytes)
    try:
        async with asyncio.TaskGroup() as group:
            tail = group.create_task(_tail(child))
            guard = group.create_task(watch.run())
            group.create_task(_send(child, request))
            reading = group.create_task(_read(child, on_event))
            last = await reading
            code = await child.wait()
            guard.cancel()
    except* DomainError as errors:
        raise errors.exceptions[0] from None
    except* Exception as errors:
        raise errors.exceptions[0] from None
    finally:
        control.remove(child)
        if child.returncode is None:
            _signal_group(child, signal.SIGKILL)
            await asyncio.shield(child.wait())
    return _result(last, code, tail.result(), watch)


async def _send(child: asyncio.subprocess.Process, request: Mapping[str, Any]) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(orjson.dumps(request, default=str) + b"\n")
        await child.stdin.drain()


async def _read(child: asyncio.subprocess.Process, on_event: OnEvent) -> dict[str, Any] | None:
    """Hand on events; the last `done` or `error` is returned."""
    assert child.stdout is not None
    last: dict[str, Any] | None = None
    async for line in child.stdout:
        try:
            event = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if event.get("event") in {"done", "error"}:
            last = event
        else:
            await on_event(event)
    return last


async def _tail(child: asyncio.subprocess.Process) -> str:
    assert child.stderr is not None
    lines: deque[bytes] = deque(maxlen=60)
    while chunk := await child.stderr.read(1 << 16):
        lines.extend(chunk.splitlines(keepends=True))
    return b"".join(lines).decode(errors="replace")[-8000:]


class Watch:
    """Ends a child that runs too long or grows too large, and remembers why."""

    def __init__(self, child: asyncio.subprocess.Process, time_limit_secs: float, memory_bytes: int) -> None:
        self.child, self.time_limit, self.memory = child, time_limit_secs, memory_bytes
        self.reason: DomainError | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.time_limit
        while self.child.returncode is None:
            if loop.time() > deadline:
                await self._end(ChildTimeout(f"The task took longer than its limit of {self.time_limit:.0f} seconds."))
            elif _resident(self.child.pid) > self.memory:
                await self._end(OutOfMemory(f"The task needed more than its limit of {self.memory >> 20} MB of memory."))
            await asyncio.sleep(WATCH_SECS)

    async def _end(self, reason: DomainError) -> None:
        self.reason = self.reason or reason
        _signal_group(self.child, signal.SIGTERM)
        await asyncio.sleep(GRACE_SECS)
        _signal_group(self.child, signal.SIGKILL)


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _result(last: dict[str, Any] | None, code: int, stderr: str, watch: Watch) -> Any:
    if last is not None and last["event"] == "done":
        return last.get("result")
    if watch.reason is not None:
        raise watch.reason
    if last is None:
        raise ChildCrashed(code, stderr)
    if last["code"] == "internal":
        raise ChildCrashed(code, stderr or str(last["message"]))
    if last["code"] == "out_of_memory":
        raise OutOfMemory(last["message"])
    fields = [FieldError(tuple(e["loc"]), e["msg"], e["type"]) for e in last.get("errors", ())]
    raise KNOWN_ERRORS.get(last["code"], ChildFailed)(last["message"], errors=fields)


def _environment(threads: int) -> dict[str, str]:
    """What a child may know: no address of a database, no password. Threads are said to every library that has its own idea."""
    count = str(threads)
    counted = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        **dict.fromkeys(counted, count),
        # Two OpenMP runtimes in one process must not spin against each other.
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
    }


def _limits(memory_bytes: int, parent: int) -> Callable[[], None]:
    def apply() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(70)
        ceiling = memory_bytes * ADDRESS_SPACE_FACTOR + (4 << 30)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return apply


def _say_stop(child: asyncio.subprocess.Process) -> None:
    if child.stdin is not None and not child.stdin.is_closing():
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, RuntimeError):
            child.stdin.write(b"stop\n")


def _signal_group(child: asyncio.subprocess.Process, number: int) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
