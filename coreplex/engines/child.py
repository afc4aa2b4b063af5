"""The inside of a child process: runs one engine task and talks to its parent in JSON lines.

Started as `python -m coreplex.engines.child <module>:<function>`, with the request as one JSON object on the first
line of stdin. Every further stdin line is a word from the parent (`stop`: end the search and keep the best; others are for the
task). Each line on stdout is one event: `{"event": "log"|"warning"|"progress"|"model"|"done"|"error", ...}` (`messages`).
Nothing is ever pickled. The function is `run(request: dict, report: Report) -> dict`; what it returns is the `done` event's
`result`.
"""

import ctypes
import importlib
import os
import signal
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import Any, BinaryIO, Unpack

import orjson

from coreplex.engines.messages import ModelReport
from coreplex.errors.disk import FULL, is_full
from coreplex.errors.tree import DomainError, Message, StorageFull

PR_SET_PDEATHSIG = 1


class Report:
    """What a task tells its parent while it runs. Safe to call from any thread."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._heard: SimpleQueue[bytes] = SimpleQueue()

    def send(self, event: str, **fields: Any) -> None:
        line = orjson.dumps({"event": event, **fields}, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
        with self._lock:
            self._out.write(line + b"\n")
            self._out.flush()

    def log(self, message: str, level: str = "info") -> None:
        self.send("log", message=message, level=level)

    def warn(self, message: Message) -> None:
        """Something to stay with what the task works on, whatever of the log is kept."""
        self.send("warning", **message.to_json())

    def progress(self, fraction: float, message: str = "") -> None:
        """`fraction` of the whole task done, 0 to 1."""
        self.send("progress", fraction=round(min(max(fraction, 0.0), 1.0), 4), message=message)

    def model(self, **manifest: Unpack[ModelReport]) -> None:
        """A finished model."""
        self.send("model", **manifest)

    def heard(self) -> bytes:
        """The next line the parent has for the task; waits for it."""
        return self._heard.get()

    @property
    def stopped(self) -> bool:
        """True once the parent asked to stop and keep the best."""
        return self._stop.is_set()

    def listen(self, source: BinaryIO) -> None:
        for line in source:
            if line.strip() == b"stop":
                self._stop.set()
            else:
                self._heard.put(line)
        # The parent went away: nobody will read what we make.
        os._exit(70)


def die_with_parent() -> None:
    """Have the kernel kill us when our parent dies: a task deep in native code would not hear its pipe close."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.environ.get("COREPLEX_PARENT", str(os.getppid())) != str(os.getppid()):
        os._exit(70)


def refused(error: DomainError) -> dict[str, Any]:
    """The fields of the `error` event of a refusal, from which the parent makes it again."""
    errors = [one.with_reason() for one in error.errors]
    return {"code": error.code, **error.message.to_json(), "errors": errors}


def main(target: str) -> int:
    die_with_parent()
    # Libraries print to stdout; the event stream must not be theirs.
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    report = Report(events)
    module, _, function = target.partition(":")
    request = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=report.listen, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        result = getattr(importlib.import_module(module), function)(request, report)
    except DomainError as error:
        report.send("error", **refused(error))
        return 2
    except MemoryError:
        report.send("error", code="out_of_memory", message="The task needed more memory than it may use.")
        return 3
    except Exception as error:
        if is_full(error):
            report.send("error", **refused(StorageFull(FULL)))
            return 1
        traceback.print_exc()
        report.send("error", code="internal", message=f"{type(error).__name__}: {error}")
        return 1
    report.send("done", result=result)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    # Not sys.exit: the listener thread sits in a read on stdin and would be joined by nothing, but native
    # thread pools may hang in their destructors.
    os._exit(code)
