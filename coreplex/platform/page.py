"""What slice of a list somebody wants, and what they get."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from coreplex.errors.tree import FieldError, Invalid, Message

MAX_PAGE = 500
DEFAULT_PAGE = 50
MAX_OFFSET = 10_000_000
MAX_SEARCH = 200

Row = TypeVar("Row")


class SortDirection(StrEnum):
    asc = "asc"
    desc = "desc"


def between(least: int, most: int) -> Message:
    """That a number must be one of these."""
    return Message("out_of_range", "must be from {least} to {most}", least=least, most=most)


def too_long_search() -> Message:
    return Message("search_too_long", "has more than {most} characters", most=MAX_SEARCH)


@dataclass(frozen=True, slots=True)
class Page:
    """What slice of a list is wanted: `first` of those behind `after`, or `last` of those before `before`.

    Both cursors may be given with either; a page of neither number is as long as pages are where nobody says.
    """

    first: int | None = None
    after: str | None = None
    offset: int = 0
    search: str | None = None
    sort_field: str | None = None
    sort_direction: SortDirection | None = None
    last: int | None = None
    before: str | None = None
    counted: bool = False
    """How many there are in all is asked too."""
    counted_only: bool = False
    """Nobody looks at the rows: only how many there are is asked."""

    def __post_init__(self) -> None:
        errors = [FieldError((name,), words) for name, words in self._wrong()]
        if errors:
            raise Invalid.fields(errors)

    def _wrong(self) -> Sequence[tuple[str, Message]]:
        found = []
        for name, most in (("first", MAX_PAGE), ("last", MAX_PAGE), ("offset", MAX_OFFSET)):
            number = getattr(self, name)
            if number is not None and not 0 <= number <= most:
                found.append((name, between(0, most)))
        if self.first is not None and self.last is not None:
            found.append(("last", Message("first_and_last", "goes with no `first`; give one of the two")))
        if self.offset and (self.after is not None or self.before is not None or self.last is not None):
            found.append(("offset", Message("offset_and_cursor", "goes with no cursor and no `last`; give one of them")))
        if self.search and len(self.search) > MAX_SEARCH:
            found.append(("search", too_long_search()))
        return found

    @property
    def size(self) -> int:
        """How many items are wanted."""
        wanted = self.first if self.last is None else self.last
        return DEFAULT_PAGE if wanted is None else wanted

    @property
    def backwards(self) -> bool:
        """Whether the page is taken from the end of its list."""
        return self.last is not None

    @property
    def cut(self) -> bool:
        """Whether a part of the list is left out whatever it holds."""
        return bool(self.after or self.before or self.offset)


@dataclass(slots=True, eq=False)
class Slice(Generic[Row]):
    """One page of rows, with a cursor per row and a way to count the whole list."""

    nodes: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    counting: Callable[[], Awaitable[int]]
    total: int | None = None
    """How many there are, where that is known without asking."""

    async def count(self) -> int:
        return await self.counting() if self.total is None else self.total


@dataclass(frozen=True)
class Order:
    """What a list can be sorted by, by the names the contract has for it, and how it is sorted unless somebody asks otherwise."""

    columns: Mapping[str, Any]
    field: str = "created_at"
    direction: SortDirection = SortDirection.desc


@dataclass(frozen=True)
class Search:
    """What the `search` of a list looks into; `words` say it in the contract: “text to find in {words}”."""

    words: str
    columns: Sequence[Any]
