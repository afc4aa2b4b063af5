"""Cursors: where a row stands in a sorted list, as a text that only this list in this order understands."""

import base64
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, literal, or_, tuple_

from coreplex.errors.tree import Invalid, Message

FOREIGN = Message("foreign_cursor", "is not a cursor of this list in this order; begin again without it")


def may_miss(column: Any) -> bool:
    """Whether a column, or an expression, may be NULL."""
    return bool(getattr(column, "nullable", True))


def encode(value: Any, identity: Any) -> str:
    kind = "t" if isinstance(value, datetime) else "v"
    return base64.urlsafe_b64encode(orjson.dumps([kind, value, identity], default=str)).decode().rstrip("=")


def beyond(cursor: str, argument: str, column: ColumnElement[Any], key: Any, *, down: bool) -> ColumnElement[bool]:
    """What holds of rows on the far side of a cursor: behind it for `after`, in front of it for `before`.

    `down`: the list is sorted downwards by column, then key. Rows without a value are the last either way.
    """
    value, identity = _decode(cursor, argument)
    if not (_fits(value, column) and _fits(identity, key)):
        raise Invalid.field(FOREIGN, argument)
    ahead = argument == "before"
    lower = down != ahead
    further = key < identity if lower else key > identity
    if value is None:
        among = and_(column.is_(None), further)
        return or_(column.is_not(None), among) if ahead else among
    if isinstance(value, datetime) and not may_miss(column):
        # In one comparison, which an index over both can begin at.
        place, end = tuple_(column, key), tuple_(literal(value), literal(identity))
        return place < end if lower else place > end
    valued = or_(column < value if lower else column > value, and_(column == value, further))
    return valued if ahead else or_(valued, column.is_(None))


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether a cursor's value is of the column's kind; that of another list, or of another order, often is not."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return True  # an expression without a type of its own; the database judges
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
