"""Counts what is asked of the database, so that tests can say: this list costs as many queries for one row as for fifty."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import event

from coreplex.platform.database import Database
from coreplex.platform.prepared import Prepared, Values
from coreplex.platform.reader import Reader

_COUNTING: ContextVar[list[str] | None] = ContextVar("counting", default=None)


@contextmanager
def counted(database: Database, *, everything: bool = False) -> Iterator[list[str]]:
    """The statements that the block and the tasks it begins ask; what the process does meanwhile by itself is not among them,
    unless `everything` is wanted."""
    statements: list[str] = []

    def heard(statement: str) -> None:
        if everything or _COUNTING.get() is statements:
            statements.append(statement)

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        heard(statement)

    async def fetch(self: Reader, statement: Prepared, values: Values) -> list[Any]:
        if self.statements is database.statements:
            heard(statement.text)
        return await plain(self, statement, values)

    engine, plain = database.engine.sync_engine, Reader.fetch
    event.listen(engine, "before_cursor_execute", note)
    token = _COUNTING.set(statements)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Reader, "fetch", fetch)
            yield statements
    finally:
        _COUNTING.reset(token)
        event.remove(engine, "before_cursor_execute", note)
