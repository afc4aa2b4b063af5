"""Brings a database to the newest schema; safe to run from several processes at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from coreplex.platform.database import async_url

LOCK = 0x636F7265706C6578  # "coreplex"
LOCK_TIMEOUT = "10s"


def alembic_config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision this code knows."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if revision is None:
        raise RuntimeError("no migration is shipped with this build")
    return revision


async def migrate(url: str) -> None:
    """Upgrade to the newest revision under an advisory lock; waits for another migrator to finish."""
    engine = create_async_engine(async_url(url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
            await connection.execute(text("SELECT set_config('lock_timeout', :most, false)"), {"most": LOCK_TIMEOUT})
            await connection.commit()
            try:
                await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), "head"))
                await connection.commit()
            finally:
                await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
                await connection.commit()
    finally:
        await engine.dispose()


async def current(url: str) -> str | None:
    """The revision the database is at; None when it was never migrated."""
    engine = create_async_engine(async_url(url))
    try:
        async with engine.connect() as connection:
            found = await connection.scalar(text("SELECT to_regclass('alembic_version')::text"))
            return await connection.scalar(text("SELECT version_num FROM alembic_version")) if found else None
    finally:
        await engine.dispose()
