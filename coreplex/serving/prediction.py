"""One predict call: the loaded model, rows in, answers and warnings out, the same for models and deployments.

Many rows go through a thread, one call of the process at a time: a thread waits for the interpreter as the event loop does, and
two of them would make the loop wait longer. Explanations that would take long go to a child with limits and a lower priority, two
of them on a host, which end when the client hangs up.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog

from coreplex.engines.scoring.contributions import contributions
from coreplex.engines.scoring.scorer import Scorer
from coreplex.errors.nearest import by_nearness, hint, nearest_first
from coreplex.errors.tree import Invalid, Message, Unavailable
from coreplex.platform.client_disconnect import while_connected
from coreplex.platform.deferred_import import child_task
from coreplex.platform.fair_places import CALLER, FairPlaces, HostPlaces, Limits, turn
from coreplex.platform.isolation import ChildCrashed, ChildFailed, ChildTimeout, run_child
from coreplex.platform.services import Part, Services
from coreplex.serving.address import Route
from coreplex.serving.inputs import MAX_ROWS, PredictOptions
from coreplex.serving.options import idle_options, parse_options, unknown_options
from coreplex.serving.row_cost import RowCost
from coreplex.serving.strictness import refuse_odd

log = structlog.get_logger()
Result = TypeVar("Result")

EXPLAIN = child_task("coreplex.engines.scoring.contributions:run")
MAX_BYTES = 512 << 20
"""Of the files of the models that are kept loaded."""
MANY_ROWS = Limits(total=1, each=1, patience=30.0, waiting_each=20, retry_after=5)
EXPLAINED_AT_ONCE = 2
EXPLAINED = Limits(total=EXPLAINED_AT_ONCE, each=1, patience=60.0, waiting_each=20, retry_after=10)
TIME_LIMIT_SECS = 100.0
MEMORY_BYTES = 2 << 30
MAX_EXPLAINED = 500
"""With contributions: explaining a row may take as long as predicting a thousand."""
FEW_ROWS, INLINE_ROWS, INLINE_SECS = 8, 128, 0.003
"""Up to `FEW_ROWS` a call is quicker than handing it to a thread; up to `INLINE_ROWS` where its model takes no longer than so, as
far as anybody knows."""
EXPLAINED_INLINE_SECS = 0.001
"""Up to here contributions are quicker than handing them to a thread."""
EXPLAINED_IN_THREAD, IN_THREAD_SECS = 20, 0.25
"""Rows, or seconds, up to which contributions are quicker than a child is started."""


@dataclass(slots=True)
class Answer:
    """`predictions[i]` answers row i; `rows` are the rows as they were sent."""

    rows: Sequence[Mapping[str, Any]]
    predictions: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
    latency_ms: float


class Scorers(Part):
    """Scorers by the SHA-256 of their model's file."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._scorers: OrderedDict[str, Scorer] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Scorer]] = {}
        self._sizes: dict[str, int] = {}

    async def scorer(self, route: Route) -> Scorer:
        """The loaded model of a route, its bytes checked against the hash in the database. Loaded once however many ask.

        Raises Damaged for a file that is gone or has changed.
        """
        found = self._scorers.get(route.sha256)
        if found is not None:
            self._scorers.move_to_end(route.sha256)
            return found
        task = self._loading.get(route.sha256)
        if task is None:
            task = self._loading[route.sha256] = asyncio.create_task(self._load(route))
            task.add_done_callback(lambda _: self._loading.pop(route.sha256, None))
        return await asyncio.shield(task)

    async def _load(self, route: Route) -> Scorer:
        path = await self._storage.path(route.storage_key)
        scorer = await asyncio.to_thread(Scorer.load, path, route.sha256)
        self._scorers[route.sha256] = scorer
        self._sizes[route.sha256] = path.stat().st_size
        while len(self._scorers) > 1 and sum(self._sizes.values()) > MAX_BYTES:
            gone, _ = self._scorers.popitem(last=False)
            del self._sizes[gone]
        return scorer


class HeavyScoring(Part):
    """Queues the calls of one process that score many rows, in threads, or explain rows, in children."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._many = FairPlaces(MANY_ROWS, "predictions of many rows")
        self._explained = FairPlaces(EXPLAINED, "explanations")
        self._host = HostPlaces(services.settings.data_dir / "places", "explanations", EXPLAINED_AT_ONCE)
        self._scoring, self.explaining = RowCost(0.0), RowCost(math.inf)

    async def score(self, scorer: Scorer, rows: list[Mapping[str, Any]], wanted: PredictOptions | None) -> Answer:
        """The answers of a model, worked out here where nobody waits long for it, else in a thread. Raises as `in_thread`."""
        work = partial(_score, scorer, rows, wanted)
        if len(rows) <= FEW_ROWS:
            return work()
        if len(rows) <= INLINE_ROWS and self._scoring.expected(scorer, len(rows)) <= INLINE_SECS:
            return self._scoring.timed(scorer, len(rows), work)
        return await self.in_thread(lambda: self._scoring.timed(scorer, len(rows), work))

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """What a function returns, run in a thread in the caller's turn. Raises Busy, and CallerLeft."""
        return await while_connected(self._in_thread(work))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        who = CALLER.get()
        await self._many.take(who)
        running = asyncio.get_running_loop().run_in_executor(None, work)
        running.add_done_callback(lambda _: self._many.give_back(who))  # it runs on when nobody waits for it any more
        return await asyncio.shield(running)

    async def explain(self, route: Route, rows: Sequence[Mapping[str, Any]], top: int) -> list[dict[str, Any]]:
        """`contributions` of the route's model, in a child in the caller's turn. Raises Busy, CallerLeft, Invalid."""
        return await while_connected(self._explain(route, rows, top))

    async def _explain(self, route: Route, rows: Sequence[Mapping[str, Any]], top: int) -> list[dict[str, Any]]:
        bundle = await self._storage.path(route.storage_key)
        request = {"bundle": str(bundle), "sha256": route.sha256, "rows": rows, "top": top}
        try:
            async with turn(self._explained, self._host):
                limits = {"time_limit_secs": TIME_LIMIT_SECS, "memory_bytes": MEMORY_BYTES}
                found = await run_child(EXPLAIN, request, **limits)  # type: ignore[arg-type]
        except ChildTimeout:
            raise Invalid.field(
                Message(
                    "contributions_too_slow",
                    "the contributions took more than {seconds:.0f} s; send fewer rows",
                    seconds=TIME_LIMIT_SECS,
                ),
                "inputs",
            ) from None
        except (ChildCrashed, ChildFailed) as error:
            log.error("explanation_failed", model_id=str(route.model_id), error=str(error), detail=error.detail)
            raise Unavailable(
                Message("contributions_failed", "The contributions could not be worked out; try again with fewer rows.")
            ) from error
        answers: list[dict[str, Any]] = found["contributions"]
        return answers


def rows_of(inputs: Any) -> list[Mapping[str, Any]]:
    """One row or several as a list. Raises Invalid for anything else (422, contract B.6)."""
    rows = [inputs] if isinstance(inputs, Mapping) else inputs
    if rows.__class__ is list and 0 < len(rows) <= MAX_ROWS and all(rows) and set(map(type, rows)) == {dict}:
        return rows  # as nearly all are: nobody looks at each
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) for row in rows):
        raise Invalid.field(Message("no_rows", "must be one row (an object) or a list of at least one row"), "inputs")
    for number, row in enumerate(rows):
        if not row:
            place = [number] if rows is inputs else []
            raise Invalid.field(Message("row_empty", "is empty: send the row's columns and their values"), "inputs", *place)
    if len(rows) > MAX_ROWS:
        raise Invalid.field(
            Message("too_many_rows", "has {rows} rows; send at most {most} in a call", rows=len(rows), most=MAX_ROWS), "inputs"
        )
    return rows


def refuse_unknown(scorer: Scorer, rows: Sequence[Mapping[str, Any]], inputs: Any) -> None:
    """Raise Invalid for a row of which the model knows no column: its answer would be that of an empty one."""
    reader = scorer.reader
    if True not in map(reader.accepted.isdisjoint, rows):
        return  # by their own names, as nearly always
    for number, row in enumerate(rows):
        if not reader.knows(row):
            place = [number] if rows is inputs else []
            raise Invalid.field(_no_column(str(next(iter(row)))[:100], scorer), "inputs", *place)


def _no_column(key: str, scorer: Scorer) -> Message:
    told = Message("no_column_known", "the model knows no column of this row, such as '{column}'.", column=key)
    names = by_nearness(key, scorer.features)
    return told.then(hint(key, names)).then(nearest_first(names) if names else None)


def key_list(wanted: PredictOptions, rows: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The keys as texts, None without any. Raises Invalid unless there is one for each row."""
    if wanted.keys is None:
        return None
    if len(wanted.keys) != len(rows):
        told = Message("keys_not_of_rows", "has {keys} keys for {rows} rows", keys=len(wanted.keys), rows=len(rows))
        raise Invalid.field(told, "options", "keys")
    return [str(key) for key in wanted.keys]


async def predict(scorer: Scorer, route: Route, heavy: HeavyScoring, inputs: Any, options: Mapping[str, Any]) -> Answer:
    """Score rows with the model of the route. Small calls run here, large ones where nobody else waits for them, in turn.

    Raises Invalid, and for large calls Busy or CallerLeft.
    """
    rows = rows_of(inputs)
    wanted = parse_options(options) if options else None
    top = None if wanted is None else wanted.top
    if top is not None and len(rows) > MAX_EXPLAINED:
        raise Invalid.field(
            Message(
                "too_many_rows_explained",
                "has {rows} rows; with contributions send at most {most} in a call",
                rows=len(rows),
                most=MAX_EXPLAINED,
            ),
            "inputs",
        )
    idle = []
    if wanted is not None:
        key_list(wanted, rows)
        idle = idle_options(wanted, scorer.task)
    refuse_unknown(scorer, rows, inputs)
    began = time.perf_counter()
    answer = await heavy.score(scorer, rows, wanted)
    if wanted is not None and wanted.strict:
        refuse_odd(answer.warnings, rows, scorer.features, single=rows is not inputs)
    if options:
        answer.warnings += [*idle, *unknown_options(options)]
    if top is not None:
        _add_parts(answer, await _explained(scorer, route, heavy, rows, top))
    answer.latency_ms = (time.perf_counter() - began) * 1000
    return answer


def _score(scorer: Scorer, rows: list[Mapping[str, Any]], wanted: PredictOptions | None) -> Answer:
    threshold = wanted.threshold if wanted is not None else None
    predictions, warnings = scorer.predict_rows(rows, threshold)
    if wanted is not None and wanted.interval is not None:
        scorer.add_intervals(predictions, wanted.interval)
    return Answer(rows, list(predictions), list(warnings), 0.0)  # type: ignore[arg-type]


async def _explained(
    scorer: Scorer, route: Route, heavy: HeavyScoring, rows: list[Mapping[str, Any]], top: int
) -> Sequence[Mapping[str, Any]]:
    """`contributions`; what takes longer than a moment, where nobody else waits for it."""
    expected = heavy.explaining.expected(scorer, len(rows))
    work = partial(heavy.explaining.timed, scorer, len(rows), partial(contributions, scorer, rows, top))
    if expected <= EXPLAINED_INLINE_SECS:
        return work()
    if len(rows) == 1:
        return await asyncio.to_thread(work)
    if len(rows) <= EXPLAINED_IN_THREAD or expected <= IN_THREAD_SECS:
        return await heavy.in_thread(work)
    return await heavy.explain(route, rows, top)


def _add_parts(answer: Answer, explained: Sequence[Mapping[str, Any]]) -> None:
    for prediction, parts in zip(answer.predictions, explained, strict=True):
        prediction["contributions"] = parts["contributions"]
        prediction["residual"] = parts["residual"]
        prediction["explanation"] = {k: v for k, v in parts.items() if k not in {"contributions", "residual"}}
