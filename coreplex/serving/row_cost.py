"""What rows cost that a model scores or explains, as measured the last time: a row takes microseconds or seconds."""

import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from coreplex.engines.scoring.scorer import Scorer

Result = TypeVar("Result")


class RowCost:
    """Of the models that are loaded."""

    def __init__(self, unknown: float) -> None:
        """`unknown`: seconds a row of a model that has not been measured."""
        self._unknown = unknown
        self._secs: WeakKeyDictionary[Scorer, float] = WeakKeyDictionary()

    def expected(self, scorer: Scorer, rows: int) -> float:
        """Seconds of CPU."""
        return rows * self._secs.get(scorer, self._unknown)

    def timed(self, scorer: Scorer, rows: int, work: Callable[[], Result]) -> Result:
        """What a function returns that does so many rows; what that took is remembered."""
        began = time.thread_time()
        found = work()
        self._secs[scorer] = (time.thread_time() - began) / rows
        return found
