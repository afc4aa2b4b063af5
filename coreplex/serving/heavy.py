"""Bounds calls that predict many rows or explain rows: in turn between callers, apart from everybody else.

Many rows go through a thread, one call of the process at a time: a thread waits for the interpreter as the event loop does, and
two of them would make the loop wait longer. Explanations of more than a few rows take seconds: a child with limits and a lower
priority, two of them on a host, which end when the client hangs up.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import structlog

from coreplex.errors.tree import Invalid, Unavailable
from coreplex.platform.child_task import child_task
from coreplex.platform.client_disconnect import while_connected
from coreplex.platform.fair_places import CALLER, FairPlaces, Limits
from coreplex.platform.host_places import HostPlaces, turn
from coreplex.platform.isolation import ChildCrashed, ChildFailed, ChildTimeout, run_child
from coreplex.platform.services import Part, Services
from coreplex.serving.route import Route

log = structlog.get_logger()
Result = TypeVar("Result")

EXPLAIN = child_task("coreplex.engines.scoring.explaining:run")
MANY_ROWS = Limits(total=1, each=1, patience=30.0, waiting_each=20, retry_after=5)
EXPLAINED_AT_ONCE = 2
EXPLAINED = Limits(total=EXPLAINED_AT_ONCE, each=1, patience=60.0, waiting_each=20, retry_after=10)
TIME_LIMIT_SECS = 100.0
MEMORY_BYTES = 2 << 30


class HeavyScoring(Part):
    """Queues the calls of one process that score many rows, in threads, or explain rows, in children."""

    def __init__(self, services: Services) -> None:
        self._storage = services.storage
        self._many = FairPlaces(MANY_ROWS, "predictions of many rows")
        self._explained = FairPlaces(EXPLAINED, "explanations")
        self._host = HostPlaces(services.settings.data_dir / "places", "explanations", EXPLAINED_AT_ONCE)

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
        """`Scorer.contributions` of the route's model, in a child in the caller's turn. Raises Busy, CallerLeft, Invalid."""
        return await while_connected(self._explain(route, rows, top))

    async def _explain(self, route: Route, rows: Sequence[Mapping[str, Any]], top: int) -> list[dict[str, Any]]:
        bundle = await self._storage.path(route.storage_key)
        request = {"bundle": str(bundle), "sha256": route.sha256, "rows": rows, "top": top}
        try:
            async with turn(self._explained, self._host):
                limits = {"time_limit_secs": TIME_LIMIT_SECS, "memory_bytes": MEMORY_BYTES}
                found = await run_child(EXPLAIN, request, on_event=_ignore, **limits)  # type: ignore[arg-type]
        except ChildTimeout:
            raise Invalid.field(f"the contributions took more than {TIME_LIMIT_SECS:.0f} s; send fewer rows", "inputs") from None
        except (ChildCrashed, ChildFailed) as error:
            log.error("explanation_failed", model_id=str(route.model_id), error=str(error), detail=error.detail)
            raise Unavailable("The contributions could not be worked out; try again with fewer rows.") from error
        answers: list[dict[str, Any]] = found["contributions"]
        return answers


async def _ignore(_event: dict[str, Any]) -> None:
    """Nobody watches its progress."""
