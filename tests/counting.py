"""Counts what is asked of the database, so that tests can say: this list costs as many queries for one row as for fifty."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import event

from coreplex.platform.database import Database

_COUNTING: ContextVar[list[str] | None] = ContextVar("counting", default=None)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that the block and the tasks it begins ask; what the process does meanwhile by itself is not among them."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if _COUNTING.get() is statements:
            statements.append(statement)

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    token = _COUNTING.set(statements)
    try:
        yield statements
    finally:
        _COUNTING.reset(token)
        event.remove(engine, "before_cursor_execute", note)
