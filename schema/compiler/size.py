"""The counter of how much there is of an answer so far, which the executor feeds."""

from typing import Any, Protocol

import orjson


class Size(Protocol):
    """Counts bytes of an answer, never more than will be written; `add` raises once there are too many."""

    def add(self, count: int) -> None: ...

    def check(self) -> None:
        """Raise what `add` has raised, if it has."""

    def part(self) -> "Attempt": ...


class Attempt(Size, Protocol):
    """What is counted for a part of the answer that may have to be built again."""

    def give_up(self) -> None: ...


class Uncounted:
    """For an answer of any size."""

    def add(self, count: int) -> None:
        pass

    def check(self) -> None:
        pass

    def part(self) -> "Uncounted":
        return self

    def give_up(self) -> None:
        pass


def written(value: Any) -> int:
    """How many bytes a completed value has in JSON; 0 for one that JSON cannot say, which whoever writes the answer finds out."""
    if value.__class__ is str:
        return len(value) + 2
    if value.__class__ is not dict and value.__class__ is not list:
        return 1
    try:
        return len(orjson.dumps(value))
    except (TypeError, ValueError):
        return 0
