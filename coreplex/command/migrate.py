"""`migrate`: the newest schema; safe to run by several at once and again."""

import asyncio
from argparse import ArgumentParser, Namespace

from coreplex.command.environment import beside, read_settings
from coreplex.supervisor.trouble import Trouble


def add_arguments(parser: ArgumentParser) -> None:
    """None: the environment says it all."""


def run(options: Namespace) -> int:
    from sqlalchemy.exc import SQLAlchemyError

    from coreplex.migrations.migrate import current, head, migrate

    url = beside(read_settings()).database_url or ""
    try:
        asyncio.run(migrate(url))
        print(f"The database is at revision {asyncio.run(current(url))}, the newest is {head()}.")
    except (OSError, SQLAlchemyError, ValueError) as error:
        raise Trouble(f"the database at DATABASE_URL cannot be migrated ({type(error).__name__}).", _reason(error)) from error
    return 0


def _reason(error: Exception) -> str:
    """The driver's own sentence, which names no password."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
