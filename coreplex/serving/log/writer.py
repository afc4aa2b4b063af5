"""The inference log of one process: entries go into its spool, and from there into the database in batches, each exactly once.

An answer is not held back for its entry: what could not be written is counted, said to the caller, and the server's log alarms.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid5

import structlog

from coreplex.deployment import judging
from coreplex.errors.disk import is_full
from coreplex.errors.tree import Message, StorageFull
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.services import Part, Services
from coreplex.serving.log.batch import BatchStore
from coreplex.serving.log.dropped import DropCount
from coreplex.serving.log.json_lines import spelled
from coreplex.serving.log.rejected import RejectedEntries, folder_in
from coreplex.serving.log.spool import SYNC_SECS, Segment, Spool, orphans, spool_in

log = structlog.get_logger()
FLUSH_SECS = 0.25
ORPHANS_EVERY_SECS = 10.0
RETRY_SECS = 2.0
INLINE_ROWS = 256
ALARM_SECS = 10.0


class Unlogged:
    """Counts what could not be logged, and says so. The server's log gets a line at most every `ALARM_SECS`."""

    def __init__(self, folder: Path) -> None:
        self.count = DropCount(folder)
        self._rows = self._said = 0
        self._reason = ""
        self._say_at = 0.0

    def warning(self, rows: int, problem: Exception) -> dict[str, Any]:
        """Count a request and return the warning for its answer."""
        full = isinstance(problem, StorageFull) or is_full(problem)
        self._reason = "the server's storage is full" if full else f"writing failed ({type(problem).__name__}: {problem})"
        self._rows += rows
        self.count.add(rows, now())
        self.alarm()
        cause = "the server's storage is full" if full else "the server could not write it"
        return {"column": "", "kind": "not_logged", "message": f"The answer is not in the inference log: {cause}."}

    def alarm(self) -> None:
        """Tell the log what is new, unless it was told a moment ago."""
        if self._said < self._rows and time.monotonic() >= self._say_at:
            new = self._rows - self._said
            log.error("inference_log_lost", rows=new, rows_since_start=self._rows, reason=self._reason)
            self._said, self._say_at = self._rows, time.monotonic() + ALARM_SECS


class InferenceWriter(Part):
    """The process's inference log."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._spool = Spool(folder)
        self._rejected = RejectedEntries(folder_in(folder))
        self._batches = BatchStore(database, self._rejected)
        self._unsynced = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.waits = ""
        """That entries are not in the database since a while, in a sentence; empty when all is well."""
        self.unlogged = Unlogged(folder)

    @classmethod
    def make(cls, services: Services) -> Self:
        made = cls(services.database, spool_in(services.settings.data_dir))
        made.start()
        return made

    @property
    def waiting(self) -> bool:
        """Whether entries of this process are not in the database yet."""
        return self._spool.waiting

    def start(self) -> None:
        """Begin to bring entries into the database, in the running event loop."""
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._sync())]

    async def stop(self) -> None:
        """Store what is there, then close; what the database did not take stays on disk for the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.flush()
        except Exception as error:
            log.warning("inference_log_left_on_disk", error=repr(error))
        await self._spool.sync()
        self._spool.close()

    async def record(
        self,
        *,
        deployment_id: UUID,
        model_id: UUID,
        request_id: str,
        rows: Sequence[Mapping[str, Any]],
        outputs: Sequence[Mapping[str, Any] | None],
        latency_ms: float,
        log_days: int | None = None,
        error: Message | None = None,
        again: tuple[UUID, datetime] | None = None,
        places: Sequence[int] | None = None,
        more: Sequence[Mapping[str, Any]] | None = None,
        **arm: Any,
    ) -> list[dict[str, Any]]:
        """Write one entry per row; returns as soon as the operating system has them. Many rows are spelled in a thread.

        `log_days`: how long the deployment keeps its entries, where it has days of its own.
        `places`: of the rows in their request, where it had others; `arm`, `more`: what else entries of an arm carry, all and
        each (`batch.STORE`). `again`, a name and a moment: what the model's entries were written under before is not written
        twice (failures apart).
        What cannot be written is counted, and said in the warning that is returned then: an answer is not held back for it.
        """
        common = {
            "deployment_id": deployment_id,
            "model_id": model_id,
            "request_id": request_id,
            "latency_ms": latency_ms,
            "error": error and error.to_json(),
            "created_at": again[1] if again else now(),
            **arm,
        }
        if log_days is not None:
            common["log_days"] = log_days
        few = len(rows) <= INLINE_ROWS
        name = uuid5(again[0], f"{model_id} {error is None}") if again else None
        given = (common, rows, outputs, name, places, more)
        lines = spelled(*given) if few else await asyncio.to_thread(spelled, *given)
        try:
            self._spool.append(lines)
        except (OSError, StorageFull) as problem:
            return [self.unlogged.warning(len(rows), problem)]
        self._unsynced.set()
        return []

    async def flush(self) -> None:
        """Store everything written so far; what comes meanwhile waits for the next time, so that batches stay large.

        A file that cannot be read does not keep the others waiting. Raises OSError for it in the end.
        """
        problem = None
        for segment in self._spool.segments():
            try:
                await self._drain(segment, segment.end)
            except OSError as error:
                problem = error
        if problem is not None:
            raise problem

    async def adopt(self) -> int:
        """Store what dead processes left; returns how many files. One that cannot be read does not keep the others waiting."""
        count = 0
        for orphan in orphans(self._folder):
            try:
                await self._drain(orphan, orphan.end)
                if torn := orphan.torn():
                    await self._rejected.keep(torn, "torn: its process was killed within the write", "torn")
                    orphan.account(len(torn))
                count += 1
            except OSError as error:
                log.error("inference_log_file_waits", path=str(orphan.path), error=repr(error))
            finally:
                orphan.close()
        return count

    async def _drain(self, segment: Segment, end: int) -> None:
        while segment.done < end and (batch := segment.pending()):
            await self._batches.store(batch)
            segment.account(len(batch))

    async def _run(self) -> None:
        next_adoption = 0.0
        loop = asyncio.get_running_loop()
        while True:
            stored = await self._attempt(self.flush)
            await self._judge()
            if loop.time() >= next_adoption:
                await self._attempt(self.adopt)
                next_adoption = loop.time() + ORPHANS_EVERY_SECS
            self.unlogged.alarm()
            self.unlogged.count.retry()
            await asyncio.sleep(FLUSH_SECS if stored else RETRY_SECS)

    async def _judge(self) -> None:
        """Look at the canaries of which something was stored: a failing one is stopped at once."""
        for rollout_id in list(self._batches.canaries):
            try:
                await judging.look(self._database, rollout_id)
                self._batches.canaries.discard(rollout_id)
            except Exception as error:  # looked at again after the next entries
                log.warning("rollout.not_looked_at", rollout_id=str(rollout_id), error=repr(error))

    async def _attempt(self, step: Callable[[], Awaitable[object]]) -> bool:
        try:
            await step()
        except Exception as error:
            log.warning("inference_log_waits", error=repr(error))
            self.waits = self.waits or f"entries wait to be stored since {now():%Y-%m-%dT%H:%M:%SZ}: {type(error).__name__}"
            return False
        self.waits = ""
        return True

    async def _sync(self) -> None:
        """Have the disk hold what was written, in groups: one sync at a time, and none while nothing is written."""
        while True:
            await self._unsynced.wait()
            await asyncio.sleep(SYNC_SECS)
            self._unsynced.clear()
            await self._spool.sync()
