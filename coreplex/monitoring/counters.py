"""Counts batches of the inference log by the layouts of their models, which are kept loaded."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
import structlog

from coreplex.engines.drift.counting import RowCounter
from coreplex.monitoring import baseline, tally
from coreplex.platform.database import Database

log = structlog.get_logger(__name__)

MOST_LOADED = 64
ASK_AGAIN_SECS = 10.0
INLINE_BYTES = 16 << 10
"""Of a batch that is counted sooner than a thread begins."""

Entry = Mapping[str, Any]


class Counters:
    """Of one process; used by one task at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loaded: OrderedDict[UUID, RowCounter] = OrderedDict()
        self._without: dict[UUID, float] = {}
        """Models without a layout, and until when nobody asks for it again."""

    async def tallies(self, batch: bytes, only: Collection[str] | None = None) -> str:
        """What a batch of lines of the log adds to the counts, as `tally.TALLIES` takes it; `only`: the ids that count.

        A batch that cannot be read is not counted, and the database says what is wrong with it.
        """
        entries = await _aside(batch, _entries, batch)
        if only is not None:
            entries = [entry for entry in entries if entry["id"] in only]
        try:
            await self._load(tally.model_ids(entries))
            counted = await _aside(batch, tally.tallies, entries, self._loaded)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            log.exception("traffic_not_counted", error=repr(error))
            return "[]"
        return orjson.dumps(counted).decode()

    async def _load(self, wanted: Collection[UUID]) -> None:
        moment = time.monotonic()
        missing = [one for one in wanted if one not in self._loaded and self._without.get(one, 0.0) <= moment]
        if missing:
            async with self._database.read() as session:
                found = await baseline.layouts(session, missing)
            self._loaded.update({model_id: RowCounter(layout) for model_id, layout in found.items()})
            self._without.update(dict.fromkeys(set(missing) - found.keys(), moment + ASK_AGAIN_SECS))
        for one in wanted & self._loaded.keys():
            self._loaded.move_to_end(one)
        while len(self._loaded) > max(MOST_LOADED, len(wanted)):
            self._loaded.popitem(last=False)


def _entries(batch: bytes) -> Sequence[Entry]:
    try:
        return orjson.loads(b"[%b]" % batch.strip().replace(b"\n", b","))
    except orjson.JSONDecodeError:
        return []


async def _aside(batch: bytes, work: Any, *given: Any) -> Any:
    """What a function returns; in a thread where it takes long."""
    return work(*given) if len(batch) <= INLINE_BYTES else await asyncio.to_thread(work, *given)
