"""Who may connect to the embedded PostgreSQL: the account this supervisor runs as, and nobody else on the machine.

By `peer`: the kernel says which account is at the other end of the socket. So there is no password that could be read, logged or
lost, and neither other accounts nor other programs of the account that PostgreSQL runs as (`postgres`, `nobody`) get in.
"""

import os
import pwd
from contextlib import nullcontext
from pathlib import Path

from coreplex.supervisor.identity import Account

METHOD, MAP = "peer", "supervisor"
NOTE = "# Written by coreplexml-server at each start."


def write_access(data: Path, account: Account | None, user: str) -> None:
    """Write the cluster's rules anew: those of a folder made before trusted whoever reached the socket."""
    us = pwd.getpwuid(os.geteuid()).pw_name
    # With the rights of the account that owns the folder: a link it had put there is not followed with ours.
    with account.acting() if account else nullcontext():
        _replace(data / "pg_hba.conf", f"{NOTE}\nlocal all {_quoted(user)} {METHOD} map={MAP}\n")
        _replace(data / "pg_ident.conf", f"{NOTE}\n{MAP} {_quoted(us)} {_quoted(user)}\n")


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    aside.replace(path)


def _quoted(name: str) -> str:
    """A name in quotes is no keyword (`all`) and no pattern."""
    return f'"{name}"'
