"""Tells whether the database is at the newest revision, without loading Alembic, which would take a second of every start.

Only a shortcut: whenever this is not sure, `migrate` runs and decides.
"""

import asyncio
import re
from pathlib import Path

import asyncpg

VERSIONS = Path(__file__).resolve().parents[1] / "migrations" / "versions"
REVISION = re.compile(r"^(down_)?revision\b[^=]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)
AWAY = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError)


def at_head(database_url: str, versions: Path = VERSIONS) -> bool:
    """True only if the database's revision is the one that no other follows."""
    return ask(database_url, "SELECT string_agg(version_num, ',') FROM alembic_version") == head(versions)


def head(versions: Path = VERSIONS) -> str:
    """The newest revision of the files; empty when that is not a single one."""
    found = [match for file in versions.glob("*.py") for match in REVISION.findall(file.read_text())]
    followed = {revision for down, revision in found if down}
    newest = {revision for down, revision in found if not down} - followed
    return newest.pop() if len(newest) == 1 else ""


def ask(database_url: str, query: str) -> object:
    """The first value of a query's answer; None also when the database does not tell."""

    async def fetch() -> object:
        connection = await asyncpg.connect(f"postgresql://{database_url.partition('://')[2]}", timeout=10)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    try:
        return asyncio.run(fetch())
    except AWAY:
        return None
