"""`outbox`: the mails, readable where no mail server is set up. They hold one-time links: shown on this machine only."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from coreplex.account.table import Mail
from coreplex.command.environment import beside, read_settings
from coreplex.errors.tree import DomainError
from coreplex.supervisor.trouble import Trouble


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--to", default="", help="only mails to this address")
    parser.add_argument("--all", action="store_true", help="also the mails that were sent")
    parser.add_argument("--limit", type=int, default=20, help="how many at most, newest last (20)")


def run(options: Namespace) -> int:
    url = beside(read_settings()).database_url or ""
    try:
        mails = asyncio.run(_mails(url, options))
    except DomainError as error:
        raise Trouble(error.message, "See `coreplexml-server doctor`.") from error
    for mail in mails:
        print(_shown(mail))
    print(
        f"{len(mails)} mail{'' if len(mails) == 1 else 's'}{'' if options.all else ' waiting (--all shows the sent ones too)'}."
    )
    return 0


async def _mails(url: str, options: Namespace) -> Sequence[Mail]:
    from sqlalchemy import func, select
    from sqlmodel import col

    from coreplex.platform.database import Database

    query = select(Mail).order_by(col(Mail.created_at).desc()).limit(max(1, options.limit))
    if not options.all:
        query = query.where(col(Mail.sent_at).is_(None))
    if options.to:
        query = query.where(func.lower(col(Mail.recipient)) == options.to.lower())
    database = Database(url, pool_size=1)
    try:
        async with database.read() as session:
            return list(reversed((await session.scalars(query)).all()))
    finally:
        await database.close()


def _shown(mail: Mail) -> str:
    state = f"sent {mail.sent_at:%Y-%m-%d %H:%M} UTC" if mail.sent_at else f"waiting, {mail.attempts} attempts"
    trouble = f"\nLast error: {_plain(mail.last_error)}" if mail.last_error else ""
    head = f"To: {_plain(mail.recipient)}\nSubject: {_plain(mail.subject)}\nState: {state}{trouble}"
    return f"{head}\n\n{_plain(mail.body)}\n{'-' * 72}"


def _plain(text: str) -> str:
    """No control character of a mail reaches the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
