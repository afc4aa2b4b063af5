"""Rows without those they refer to and with nothing in them, for tests of what happens to rows as such."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from coreplex.platform.database import Database

NOTHING = {
    "varchar": "''",
    "text": "''",
    "_varchar": "'{}'",
    "_int4": "'{}'",
    "_int8": "'{}'",
    "jsonb": "'{}'",
    "bytea": "'\\x00'",
    "bool": "false",
    "int4": "0",
    "int8": "0",
    "float8": "0",
    "timestamptz": "now()",
}
COLUMNS = text(
    "SELECT column_name, udt_name FROM information_schema.columns "
    "WHERE table_name = :table AND is_nullable = 'NO' AND is_identity = 'NO'"
)


async def bare(database: Database, table: str, identity: UUID, **values: Any) -> None:
    """Insert one; `values` in place of nothing."""
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        columns = (await session.execute(COLUMNS, {"table": table})).all()
        given = {name: f"'{identity}'" if kind == "uuid" else NOTHING[kind] for name, kind in columns}
        given |= {name: f":{name}" for name in values}
        statement = f"INSERT INTO {table} ({', '.join(given)}) VALUES ({', '.join(given.values())})"
        await session.execute(text(statement), values)
