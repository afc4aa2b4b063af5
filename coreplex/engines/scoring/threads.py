"""Members of a model score many rows at the same time, on all cores this process may use: their libraries give up the
interpreter's lock."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

Part = TypeVar("Part")

_MANY_ROWS = 1_000
"""From here on a member takes longer than handing it to another thread."""
_MOST = 8


def cores() -> int:
    """How many threads may score: as OMP_NUM_THREADS says, at most the cores that this process may run on."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return max(1, min(allowed, int(told) if told.isdecimal() else allowed, _MOST))


def each(work: Callable[..., Part], *items: Iterable[Any], rows: int) -> Iterator[Part]:
    """`map(work, *items)`, in order, by several threads where there are many rows. `work` must not call `each`."""
    return _pool().map(work, *items) if rows >= _MANY_ROWS and cores() > 1 else map(work, *items)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """One for all calls of the process, so that many at a time take no more cores."""
    return ThreadPoolExecutor(cores(), thread_name_prefix="scoring")
