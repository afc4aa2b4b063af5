"""Cursors: where a row stands in a sorted list, as a text that only this list in this order understands."""

import base64
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, or_, tuple_

from coreplex.errors.tree import Invalid, Message

FOREIGN = Message("foreign_cursor", "is not a cursor of this list in this order; begin again without it")


def may_miss(column: Any) -> bool:
    """Whether a column, or an expression, may be NULL."""
    return bool(getattr(column, "nullable", True))


def encode(value: Any, identity: Any) -> str:
    kind = "t" if isinstance(value, datetime) else "v"
    return base64.urlsafe_b64encode(orjson.dumps([kind, value, identity], default=str)).decode().rstrip("=")


class Cursors(Sequence[str]):
    """The cursors of rows, each made when somebody looks at it."""

    def __init__(self, values: Sequence[Any], rows: Sequence[Any], key: str) -> None:
        self._values, self._rows, self._key = values, rows, key

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        return encode(self._values[place], getattr(self._rows[place], self._key))


def position(cursor: str, argument: str, column: ColumnElement[Any], key: Any) -> tuple[Any, Any]:
    """The value and the key of the row a cursor stands at. Raises Invalid for one of another list, or of another order."""
    value, identity = _decode(cursor, argument)
    if not (_fits(value, column) and _fits(identity, key)):
        raise Invalid.field(FOREIGN, argument)
    return value, identity


def beyond(value: Any, identity: Any, argument: str, column: ColumnElement[Any], key: Any, *, down: bool) -> ColumnElement[bool]:
    """What holds of rows on the far side of a position: behind it for `after`, in front of it for `before`.

    `value` and `identity` are SQL; None as `value`: of a row without one. `down`: the list is sorted downwards by column, then
    key. Rows without a value are the last either way.
    """
    ahead = argument == "before"
    lower = down != ahead
    further = key < identity if lower else key > identity
    if value is None:
        among = and_(column.is_(None), further)
        return or_(column.is_not(None), among) if ahead else among
    if kind_of(column) is datetime and not may_miss(column):
        # In one comparison, which an index over both can begin at.
        place, end = tuple_(column, key), tuple_(value, identity)
        return place < end if lower else place > end
    valued = or_(column < value if lower else column > value, and_(column == value, further))
    return valued if ahead else or_(valued, column.is_(None))


def kind_of(column: ColumnElement[Any]) -> type | None:
    """What a column's values are in Python."""
    try:
        return column.type.python_type
    except NotImplementedError:
        return None  # an expression without a type of its own; the database judges


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether a cursor's value is of the column's kind; that of another list, or of another order, often is not."""
    kind = kind_of(column)
    if kind is None:
        return True
    if value is None or issubclass(kind, int | float | Decimal):
        return value is None or isinstance(value, int | float)
    return isinstance(value, kind if issubclass(kind, UUID | datetime) else str)


def _decode(cursor: str, argument: str) -> tuple[Any, UUID | int]:
    try:
        kind, value, identity = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(value, str | int | float | None):
            raise ValueError
        last = identity if isinstance(identity, int) else UUID(identity)
        return (datetime.fromisoformat(str(value)) if kind == "t" else value), last
    except (ValueError, TypeError, AttributeError):
        raise Invalid.field(FOREIGN, argument) from None
