"""`create-admin`: the first administrator, made on the machine itself; nobody becomes one by being first in the browser."""

import asyncio
import secrets
import sys
from argparse import ArgumentParser, Namespace
from getpass import getpass

from coreplex.command.environment import beside, read_settings
from coreplex.errors.tree import DomainError
from coreplex.platform.settings import Settings
from coreplex.supervisor.trouble import Trouble

GENERATED_BYTES = 18


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("email")
    parser.add_argument("--name", default="Administrator")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    how.add_argument("--generate", action="store_true", help="make a password and print it")


def run(options: Namespace) -> int:
    settings = beside(read_settings())
    password = _password(options)
    try:
        asyncio.run(_create(settings, options.email, password, options.name))
    except DomainError as error:
        details = "; ".join(item.msg for item in error.errors if item.msg != error.message)
        raise Trouble(f"the administrator was not made: {error.message}", details) from error
    print(f"{options.email} is an administrator now.")
    if options.generate:
        print(f"Password: {password}")
    return 0


def _password(options: Namespace) -> str:
    if options.generate:
        return secrets.token_urlsafe(GENERATED_BYTES)
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Trouble("there is no terminal to ask for the password.", "Use --generate or --password-stdin.")
    try:
        first, again = getpass("Password: "), getpass("Again: ")
    except EOFError:
        raise Trouble("no password was typed.", "Try again, or use --generate or --password-stdin.") from None
    if again != first:
        raise Trouble("the two passwords differ.", "Try again.")
    return first


async def _create(settings: Settings, email: str, password: str, name: str) -> None:
    from coreplex.account import service
    from coreplex.platform.database import Database

    database = Database(settings.database_url or "", pool_size=1)
    try:
        async with database.transaction() as session:
            await service.create_admin(session, email, password, name)
    finally:
        await database.close()
