"""`migrate`: the newest schema; safe to run by several at once and again."""

import asyncio
from argparse import ArgumentParser, Namespace

import structlog

from coreplex.command.environment import beside, read_settings
from coreplex.supervisor.trouble import Trouble

log = structlog.get_logger()


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="say what was done, or why not, as a JSON line for a log")


def run(options: Namespace) -> int:
    from sqlalchemy.exc import SQLAlchemyError

    from coreplex.migrations.migrate import current, head, migrate
    from coreplex.platform.log import configure

    if options.json:
        configure()
    url = beside(read_settings()).database_url or ""
    try:
        asyncio.run(migrate(url))
        found = asyncio.run(current(url))
    except (OSError, SQLAlchemyError, ValueError) as error:
        what, reason = f"the database at DATABASE_URL cannot be migrated ({type(error).__name__}).", _reason(error)
        if not options.json:
            raise Trouble(what, reason) from error
        log.critical("migrate.failed", what=what, reason=reason)
        return 1
    if options.json:
        log.info("migrate.done", revision=found, newest=head())
    else:
        print(f"The database is at revision {found}, the newest is {head()}.")
    return 0


def _reason(error: Exception) -> str:
    """The driver's own sentence, which names no password."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
