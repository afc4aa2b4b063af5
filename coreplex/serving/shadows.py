"""Asks shadows what was answered already: in a child process, one batch at a time, so that they can cost no answer.

A row is offered when its answer is made; at most `MOST_WAITING` rows wait, the rest is counted as skipped. A batch that takes
longer than `PATIENCE_SECS`, or in which the child dies, is logged as failed, and its candidate is left alone for a while that
grows with each failure, and then asked one request at a time; the child is started again for the others.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog
from sqlalchemy import text

from coreplex.deployment.table import Arm
from coreplex.errors.tree import Message
from coreplex.platform.deferred_import import child_task
from coreplex.platform.document import storable
from coreplex.platform.isolation import Control, run_child
from coreplex.platform.services import Part, Services
from coreplex.serving.address import Share
from coreplex.serving.arms import chosen, hashed, keys_of
from coreplex.serving.call import Call
from coreplex.serving.prediction import Answer

SCORE = child_task("coreplex.engines.scoring.shadow:run")
MOST_WAITING = 2000
BATCH_ROWS = 500
GATHER_SECS = 0.05
"""Rows that come within it are one batch: scoring many is cheaper than one by one."""
PATIENCE_SECS, LOADING_SECS = 10.0, 60.0
"""For a batch, and for the first one of a model, which the child loads for it: a large one takes long on a busy machine."""
IDLE_SECS = 60.0
LIFE_SECS = 24 * 3600.0
MEMORY_BYTES = 2 << 30
LEAST_REST_SECS, MOST_REST_SECS = 1.0, 60.0
TELL_SECS = 1.0
MOST_REMEMBERED = 1000
COMPARED = ("prediction", "probabilities")
LOGGED_AT_ONCE = 10
"""Requests whose entries are written before the event loop has its turn."""

SKIPPED = text("UPDATE rollouts SET skipped_rows = skipped_rows + :rows WHERE id = :id")
NO_ANSWER = Message("shadow_no_answer", "The shadow's process ended, or took too long to answer.")

log = structlog.get_logger()


@dataclass(slots=True)
class Offered:
    """The rows of one request that a shadow is asked, with the answers that were given."""

    call: Call
    share: Share
    places: list[int]
    rows: list[Mapping[str, Any]]
    answers: list[dict[str, Any]]


@dataclass(slots=True)
class Rest:
    """How long a candidate that failed is left alone."""

    secs: float = 0.0
    until: float = 0.0


@dataclass
class Child:
    """The process that scores, as long as it lives."""

    control: Control = field(default_factory=Control)
    scored: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    task: "asyncio.Task[Any] | None" = None
    answered: set[str] = field(default_factory=set)
    """The models that it has answered with: by then they are loaded."""

    def start(self) -> None:
        limits: dict[str, Any] = {"time_limit_secs": LIFE_SECS, "memory_bytes": MEMORY_BYTES}
        self.task = asyncio.create_task(run_child(SCORE, {}, on_event=self.scored.put, control=self.control, **limits))

    @property
    def alive(self) -> bool:
        return self.task is not None and not self.task.done()

    async def ask(self, batch: Mapping[str, Any]) -> dict[str, Any] | None:
        """What it says of a batch; None when it died over it or took too long, and is ended."""
        assert self.task is not None
        self.control.say(_spelled(batch))
        answer = asyncio.create_task(self.scored.get())
        patience = PATIENCE_SECS if batch["sha256"] in self.answered else LOADING_SECS
        await asyncio.wait({answer, self.task}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            self.answered.add(batch["sha256"])
            return answer.result()
        answer.cancel()
        await self.end()
        return None

    async def end(self) -> None:
        """Let no process be left."""
        if self.task is not None:
            self.task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self.task


class Shadows(Part):
    """The rows of one process that wait for their shadows."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._offered: deque[Offered] = deque()
        self._waiting = 0
        self._skipped: Counter[UUID] = Counter()
        self._rests: OrderedDict[UUID, Rest] = OrderedDict()
        self._child = Child()
        self._wake = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tell())]

    def offer(self, call: Call, share: Share, answers: Sequence[dict[str, Any]]) -> None:
        """Have a shadow asked for its share of the rows of an answered call; rows for which there is no room are counted."""
        rows = call.inputs if isinstance(call.inputs, list) else [call.inputs]  # they were read, and so were the options
        places = list(range(len(rows))) if share.percent == 100 else _share_of(share, rows, call.options.get("keys"))
        assert share.rollout_id is not None
        rest = self._rests.get(share.rollout_id)
        if self._waiting + len(places) > MOST_WAITING or (rest and asyncio.get_running_loop().time() < rest.until):
            self._skipped[share.rollout_id] += len(places)
        elif places:
            own = [rows[place] for place in places], [answers[place] for place in places]
            self._offered.append(Offered(call, share, places, *own))
            self._waiting += len(places)
            self._wake.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._child.end()
        for offered in self._offered:
            self._skip(offered)
        with suppress(Exception):
            await self._tell_once()

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._wake.wait(), IDLE_SECS)
            except TimeoutError:
                await self._child.end()
                continue
            await asyncio.sleep(GATHER_SECS)
            self._wake.clear()
            while self._offered:
                batch = self._batch()
                try:
                    await self._score(batch)
                except Exception:
                    log.exception("shadow.failed")
                finally:
                    self._waiting -= sum(len(one.rows) for one in batch)

    def _batch(self) -> list[Offered]:
        """The oldest requests of one shadow, as many as are scored together; of one that failed last time a single one."""
        first = self._offered.popleft()
        batch, size = [first], len(first.rows)
        if first.share.rollout_id in self._rests:
            return batch
        while self._offered and self._offered[0].share == first.share and size + len(self._offered[0].rows) <= BATCH_ROWS:
            batch.append(self._offered.popleft())
            size += len(batch[-1].rows)
        return batch

    async def _score(self, batch: Sequence[Offered]) -> None:
        share = batch[0].share
        if not self._child.alive:
            self._child = Child()
            self._child.start()
        route = share.candidate
        rows = [row for one in batch for row in one.rows]
        answers = [{name: one.get(name) for name in COMPARED} for o in batch for one in o.answers]
        bundle = str(await self.services.storage.path(route.storage_key))
        said = await self._child.ask({"bundle": bundle, "sha256": route.sha256, "rows": rows, "answers": answers})
        await self._log(batch, said)
        self._rest(share, failed=said is None)

    def _rest(self, share: Share, *, failed: bool) -> None:
        assert share.rollout_id is not None
        if not failed:
            self._rests.pop(share.rollout_id, None)
            return
        rest = self._rests.setdefault(share.rollout_id, Rest())
        rest.secs = min(max(LEAST_REST_SECS, rest.secs * 2), MOST_REST_SECS)
        rest.until = asyncio.get_running_loop().time() + rest.secs
        log.warning("shadow.rests", deployment_id=str(share.candidate.deployment_id), secs=rest.secs)
        while len(self._rests) > MOST_REMEMBERED:
            self._rests.popitem(last=False)

    async def _log(self, batch: Sequence[Offered], said: Mapping[str, Any] | None) -> None:
        """An entry for each row, in the log of the shadow."""
        failed = {} if said is None else said.get("failed")
        error = NO_ANSWER if said is None else Message.from_json(failed) if failed else None
        at = 0
        for number, one in enumerate(batch):
            if number % LOGGED_AT_ONCE == 0:
                await asyncio.sleep(0)  # whoever waits for an answer goes before
            ends = slice(at, at + len(one.rows))
            at = ends.stop
            of_arm: dict[str, Any] = {"arm": Arm.shadow, "rollout_id": one.share.rollout_id, "places": one.places}
            answer = None
            if error is None and said is not None:
                each = said["ms"] * len(one.rows) / sum(len(o.rows) for o in batch)
                answer = Answer(one.rows, said["outputs"][ends], [], each)
                of_arm["more"] = said["compared"][ends]
            await one.call.log(one.share.candidate, one.rows, answer, error, **of_arm)

    def _skip(self, offered: Offered) -> None:
        assert offered.share.rollout_id is not None
        self._skipped[offered.share.rollout_id] += len(offered.rows)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECS)
            try:
                await self._tell_once()
            except Exception as error:
                log.warning("shadow.untold", error=repr(error))

    async def _tell_once(self) -> None:
        """Add what was skipped to the rollouts."""
        while self._skipped:
            rollout_id, rows = next(iter(self._skipped.items()))
            async with self.services.database.transaction() as session:
                await session.execute(SKIPPED, {"id": rollout_id, "rows": rows})
            self._skipped[rollout_id] -= rows
            if not self._skipped[rollout_id]:
                del self._skipped[rollout_id]


def _share_of(share: Share, rows: Sequence[Mapping[str, Any]], keys: Sequence[str | int] | None) -> list[int]:
    """The places of the rows that fall into a share."""
    taken = chosen(share, hashed(share, keys_of(rows, None if keys is None else [str(key) for key in keys])))
    return [place for place, mine in enumerate(taken) if mine]


def _spelled(batch: Mapping[str, Any]) -> bytes:
    """A batch as JSON, as far as that can spell its rows."""
    try:
        return orjson.dumps(batch, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        return orjson.dumps({**batch, "rows": storable(batch["rows"])}, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
