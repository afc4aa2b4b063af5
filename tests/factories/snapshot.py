"""A way back to how a database was, and to see whether it still is so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from coreplex.platform.database import Database
from tests.servers import TABLES

VOLATILE = {"api_keys", "sessions", "users", "idempotency_keys", "workers", "failed_logins", "diagnoses"}
"""Tables in which merely being asked may leave a trace; only their rows are counted."""


class Snapshot:
    """The rows of every table, kept in a schema beside the database's own to go back to, and a digest to compare with."""

    def __init__(self, connection: asyncpg.Connection, schema: str, tables: list[str]) -> None:
        self.connection, self.schema, self.tables = connection, schema, tables

    async def take(self) -> None:
        made = [f'CREATE TABLE {self.schema}."{name}" AS TABLE public."{name}"' for name in self.tables]
        await self.forget()
        await self.connection.execute(";".join([f"CREATE SCHEMA {self.schema}", *made]))

    async def forget(self) -> None:
        await self.connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")

    async def restore(self) -> None:
        deletes = [f'DELETE FROM public."{name}"' for name in self.tables]
        inserts = [
            f'INSERT INTO public."{name}" OVERRIDING SYSTEM VALUE SELECT * FROM {self.schema}."{name}"' for name in self.tables
        ]
        await self.connection.execute(";".join(["SET session_replication_role = replica", *deletes, *inserts]))

    async def digest(self) -> dict[str, str]:
        """What is in each table; of volatile ones only how many rows."""
        rows = "coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '')"
        parts = [
            f"SELECT '{name}', count(*) || {repr('') if name in VOLATILE else rows} FROM public.\"{name}\" t"
            for name in self.tables
        ]
        return {row[0]: row[1] for row in await self.connection.fetch(" UNION ALL ".join(parts))}


@asynccontextmanager
async def connected(database: Database, schema: str) -> AsyncIterator[Snapshot]:
    """A snapshot that may have been taken, or will be, and stays."""
    connection = await asyncpg.connect(database.url)
    try:
        yield Snapshot(connection, schema, [row[0] for row in await connection.fetch(TABLES)])
    finally:
        await connection.close()


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """One of how it is now."""
    async with connected(database, "saved") as made:
        await made.take()
        yield made
        await made.forget()
