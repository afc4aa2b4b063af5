"""One connection that reads: prepared statements, one after the other and each by itself, without session and transaction."""

from asyncio import CancelledError, Lock
from collections.abc import Callable, Hashable
from typing import Any

from asyncpg import InternalClientError
from sqlalchemy import Dialect

from coreplex.platform.prepared import Prepared, Values

MOST_STATEMENTS = 1_000
"""Shapes that are kept: callers combine filters as they like."""
Make = Callable[[Dialect], Prepared]


class Statements:
    """The statements one process has met, by what they are known by."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Prepared] = {}

    def get(self, key: Hashable, make: Make, dialect: Dialect) -> Prepared:
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST_STATEMENTS:
                self._known.clear()
            found = self._known[key] = make(dialect)
        return found


class Reader:
    """Asks over an asyncpg connection. Who asks while a statement is under way comes after it."""

    def __init__(self, connection: Any, statements: Statements, dialect: Dialect) -> None:
        self.connection = connection
        self.statements = statements
        self._dialect = dialect
        self._turn = Lock()
        self.abandoned = False
        """A statement was under way when its caller was cancelled: nobody may use the connection any more."""

    async def rows(self, key: Hashable, make: Make, values: Values) -> list[Any]:
        """What `Prepared.read` makes of the statement known by `key`, which `make` is asked for the first time."""
        statement = self.statements.get(key, make, self._dialect)
        return await self.fetch(statement, values)

    async def fetch(self, statement: Prepared, values: Values) -> list[Any]:
        async with self._turn:
            try:
                return await self._fetched(statement, values)
            except CancelledError:
                self.abandoned = True
                raise
            except InternalClientError:
                self.connection.terminate()  # its end was on the way
                raise

    async def _fetched(self, statement: Prepared, values: Values) -> list[Any]:
        read = statement.read
        if read is None:
            read = statement.settle((await self.connection.prepare(statement.text)).get_attributes())
        return read(await self.connection.fetch(statement.text, *statement.arguments(values)))
