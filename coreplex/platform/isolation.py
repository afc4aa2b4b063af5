"""The parent's side of a child process: starts an engine's task, hears its events, ends it whatever happens.

Numeric work runs in a child: only a process can be limited in time and memory, cancelled, and lost with nothing else. It
talks in JSON lines (`coreplex.engines.child`), gets no secret in its environment, and outlives neither its parent nor its caller.
"""

import asyncio
import os
import resource
import signal
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import orjson
import psutil  # type: ignore[import-untyped]
import structlog

from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import (
    BadInput,
    Conflict,
    Damaged,
    DomainError,
    FieldError,
    Invalid,
    Message,
    NoModel,
    NotFound,
    StorageFull,
    TooLarge,
    Unavailable,
)
from coreplex.platform.child_environment import environment
from coreplex.platform.deferred_import import ChildTask

OnEvent = Callable[[dict[str, Any]], Awaitable[None]]

KILL_GRACE_SECS = 3.0
WATCH_SECS = 0.25
NICENESS = 10
"""Who answers requests goes before who works for minutes (a tenth of the processor's time is left for that at least)."""
MAX_LINE_BYTES = 256 << 20
MAX_QUEUED_EVENTS = 1000
STDERR_TAIL_BYTES = 16 << 10
HEADROOM_BYTES, HEADROOM_PER_THREAD_BYTES = 512 << 20, 64 << 20
"""Above the limit on resident memory: what may be reserved and never touched (arenas, the stacks of each library's threads)."""

OUT_OF_MEMORY_SIGNS = ("bad_alloc", "memory allocation of", "MemoryError", "Cannot allocate memory", "failed to allocate")

log = structlog.get_logger(__name__)


class ChildError(DomainError):
    """The child ended without a result. `detail` is for the log only: the end of what it wrote to standard error."""

    code: ClassVar[str] = "failed"
    status: ClassVar[int] = 500

    def __init__(self, message: Message, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class ChildFailed(ChildError):
    """The task raised an exception nobody expected: the same request will fail again."""

    code = "internal"


class ChildCrashed(ChildError):
    """The process died: killed from outside, or by a fault in native code."""

    code = "crashed"


class ChildTimeout(ChildError):
    """The task took longer than it may: the request is too much work."""

    code, status = "timeout", 422


class OutOfMemory(ChildError):
    """The task needed more memory than it may use: the request is too large."""

    code, status = "out_of_memory", 422


class ChildCancelled(ChildError):
    code, status = "cancelled", 409


_REPORTED: Mapping[str, type[DomainError]] = {
    kind.code: kind for kind in (BadInput, Invalid, NoModel, NotFound, Conflict, Damaged, TooLarge, StorageFull, Unavailable)
}


@dataclass
class Control:
    """What the outside may ask of a running child. Asking before it runs is fine."""

    said: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    cancel_wanted: asyncio.Event = field(default_factory=asyncio.Event)

    def stop(self) -> None:
        """End the search and keep the best: the task decides what that means."""
        self.say(b"stop")

    def say(self, line: bytes) -> None:
        """A further line for a task that takes more than its request (`Report.heard`)."""
        self.said.put_nowait(line)

    def cancel(self) -> None:
        """End at once; `run_child` raises ChildCancelled."""
        self.cancel_wanted.set()


async def run_child(
    target: ChildTask,
    request: dict[str, Any],
    *,
    on_event: OnEvent | None = None,
    time_limit_secs: float,
    memory_bytes: int,
    env_threads: int = 1,
    control: Control | None = None,
    writes_to: Path | None = None,
) -> dict[str, Any]:
    """Run a task in a child and return its result; `on_event` is awaited for every other event, in order.

    `writes_to` is a folder on the disk it fills: it is ended when little room is left there. Raises the DomainError the task
    reported (BadInput, Invalid, …), StorageFull, ChildFailed, ChildCrashed, ChildTimeout, OutOfMemory, ChildCancelled, and
    whatever `on_event` raises. When this returns or raises, or is cancelled, no process is left.
    """
    control = control or Control()
    if writes_to is not None:
        refuse_when_full(writes_to)
    process = await _spawn(target, env_threads)
    child = _Child(process, memory_bytes, HEADROOM_BYTES + env_threads * HEADROOM_PER_THREAD_BYTES, writes_to)
    try:
        async with asyncio.timeout(time_limit_secs) as limit:
            return await child.converse(request, on_event, control)
    except TimeoutError:
        if not limit.expired():
            raise  # somebody else's: `on_event` had one of its own
        raise ChildTimeout(
            Message("task_too_long", "The task took longer than the {seconds:g} s it may take.", seconds=time_limit_secs),
            child.tail,
        ) from None
    finally:
        await asyncio.shield(asyncio.ensure_future(child.end()))


async def _spawn(target: ChildTask, threads: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # the folder it happens to start in is no place for modules
        "-m",
        "coreplex.engines.child",
        target,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tempfile.gettempdir(),
        env=environment(threads),
        start_new_session=True,
    )


class _Child:
    """A started process and the tasks that listen to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, memory_bytes: int, headroom_bytes: int, writes_to: Path | None
    ) -> None:
        self.process = process
        self.memory_bytes = memory_bytes
        self.writes_to = writes_to
        self.excess: DomainError | None = None
        """The limit it passed, for which it was killed."""
        self._said: deque[bytes] = deque()
        self._said_bytes = 0
        self._helpers: list[asyncio.Task[None]] = []
        _limit(process.pid, memory_bytes + headroom_bytes)
        self.modest = _stand_back(process.pid)

    @property
    def tail(self) -> str:
        return b"".join(self._said)[-STDERR_TAIL_BYTES:].decode(errors="replace")

    async def converse(self, request: dict[str, Any], on_event: OnEvent | None, control: Control) -> dict[str, Any]:
        # A slow listener must not hold up the child: events wait here, up to a limit.
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(MAX_QUEUED_EVENTS)
        reading = self._help(self._read(queue))
        self._help(self._keep_tail())
        self._help(self._watch())
        self._help(self._obey(control, request))
        cancelled = asyncio.create_task(control.cancel_wanted.wait())
        listening = asyncio.create_task(self._listen(queue, on_event))
        try:
            await asyncio.wait({cancelled, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                raise ChildCancelled(Message("task_cancelled", "The task was cancelled."))
            last = listening.result()
            if reading.done() and (error := reading.exception()):
                raise error
            if last is None:
                await self.process.wait()
                raise self._death()
            return _result(last, self.tail)
        finally:
            cancelled.cancel()
            listening.cancel()

    async def end(self) -> None:
        """SIGTERM, a grace, SIGKILL to the group; afterwards the process is reaped and every helper gone."""
        process = self.process
        try:
            if process.stdin is not None:
                process.stdin.close()
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGTERM)
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), KILL_GRACE_SECS)
            # Also when the leader is gone: what it started may be left in its group.
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()
        finally:
            for helper in self._helpers:
                helper.cancel()
            await asyncio.gather(*self._helpers, return_exceptions=True)

    def _help(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._helpers.append(task)
        return task

    async def _obey(self, control: Control, request: dict[str, Any]) -> None:
        stdin = self.process.stdin
        assert stdin is not None
        with suppress(ConnectionError):
            stdin.write(orjson.dumps(request, option=orjson.OPT_SERIALIZE_NUMPY, default=str) + b"\n")
            await stdin.drain()
            while True:
                stdin.write(await control.said.get() + b"\n")
                await stdin.drain()

    async def _read(self, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
        assert self.process.stdout is not None
        try:
            async for line in _lines(self.process.stdout):
                await queue.put(orjson.loads(line))
        finally:
            await queue.put(None)

    async def _listen(self, queue: asyncio.Queue[dict[str, Any] | None], on_event: OnEvent | None) -> dict[str, Any] | None:
        """The last event (`done` or `error`), or None when the child went without one."""
        while (event := await queue.get()) is not None:
            if event.get("event") in {"done", "error"}:
                return event
            if on_event is not None:
                await on_event(event)
        return None

    async def _keep_tail(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(STDERR_TAIL_BYTES):
            self._said.append(chunk)
            self._said_bytes += len(chunk)
            while self._said_bytes - len(self._said[0]) > STDERR_TAIL_BYTES:
                self._said_bytes -= len(self._said.popleft())

    async def _watch(self) -> None:
        """Kill the child when what it really uses of memory or disk passes the limit."""
        with suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            while (excess := self._look(process)) is None:
                await asyncio.sleep(WATCH_SECS)
                self.modest = self.modest or _stand_back(self.process.pid)
            self.excess = excess
            _signal_group(self.process.pid, signal.SIGKILL)

    def _look(self, process: psutil.Process) -> DomainError | None:
        if process.memory_info().rss > self.memory_bytes:
            return _out_of_memory(self.tail)
        try:
            if self.writes_to is not None:
                refuse_when_full(self.writes_to)
        except StorageFull as full:
            return full
        return None

    def _death(self) -> DomainError:
        code = self.process.returncode or 0
        if self.excess is not None:
            return self.excess
        if any(sign in self.tail for sign in OUT_OF_MEMORY_SIGNS):
            return _out_of_memory(self.tail)
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return ChildCrashed(Message("task_crashed", "The task's process ended unexpectedly ({how}).", how=how), self.tail)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length up to a limit; the reader's own `readline` gives up at 64 KiB."""
    parts: list[bytes] = []
    size = 0
    while chunk := await stream.read(1 << 16):
        *whole, rest = chunk.split(b"\n")
        for line in whole:
            yield b"".join([*parts, line])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > MAX_LINE_BYTES:
            raise ChildFailed(Message("task_answer_too_large", "The task's answer is too large."))


def _result(last: dict[str, Any], tail: str) -> dict[str, Any]:
    if last["event"] == "done":
        return last.get("result") or {}
    code, message = str(last.get("code")), str(last.get("message"))
    if code == OutOfMemory.code:
        raise _out_of_memory(tail)
    if code not in _REPORTED:
        # The exception's text may hold values or paths: it goes to the log, its type to the caller.
        reason = message.partition(":")[0]
        raise ChildFailed(
            Message("task_failed", "The task failed unexpectedly ({kind}); the server's log has the details.", kind=reason),
            f"{message}\n{tail}",
        )
    errors = [FieldError(tuple(e["loc"]), _message(e, "msg"), e["type"]) for e in last.get("errors", ())]
    raise _REPORTED[code](_message(last, "message"), errors=errors)


def _message(told: Mapping[str, Any], key: str) -> Message:
    """A sentence as the child worded it."""
    return Message.worded(told["reason"], told[key], told["parameters"])


def _out_of_memory(tail: str) -> OutOfMemory:
    return OutOfMemory(
        Message(
            "task_out_of_memory", "The task needed more memory than it may use; use fewer rows or columns, or allow it more."
        ),
        tail,
    )


def _limit(pid: int, data_bytes: int) -> None:
    """From outside, so that nothing of ours runs between fork and exec. DATA, not AS: libraries reserve more than they use."""
    with suppress(ProcessLookupError, AttributeError, PermissionError):
        resource.prlimit(pid, resource.RLIMIT_DATA, (data_bytes, data_bytes))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _stand_back(pid: int) -> bool:
    """Lower its priority; False when the kernel asks for patience.

    The child has a session of its own. Where sessions are scheduled as groups (sched_autogroup, on by default), the niceness of a
    process counts only within its session, and it is the group that must stand back.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _signal_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
