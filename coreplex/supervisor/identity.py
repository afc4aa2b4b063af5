"""Which account the embedded servers run as: PostgreSQL refuses root.

As an ordinary user that is oneself. As root an account that exists already: whoever owns the database files, else `postgres`,
else `nobody`. No account is ever made and no folder of others is opened.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from coreplex.supervisor.trouble import Trouble

PREFERRED = ("postgres", "nobody")


class Credentials(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """An unprivileged account root changes to."""

    name: str
    uid: int
    gid: int

    def as_popen(self) -> Credentials:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """File access of this process with the account's rights, for a moment."""
        groups, gid = os.getgroups(), os.getegid()
        os.setgroups([])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(gid)
            os.setgroups(groups)

    def can_pass(self, folder: Path) -> bool:
        """May the account walk into the folder?"""
        with self.acting():
            return os.access(folder, os.X_OK, effective_ids=True)


def unprivileged(owned: Path | None = None) -> Account | None:
    """The account for the embedded servers; None when we are an ordinary user already.

    `owned` is the folder of database files: once made by an account, it stays with it.
    """
    if os.geteuid() != 0:
        _check_passwd_entry()
        return None
    account = _owner(owned) or _first_existing()
    try:
        account.can_pass(Path("/"))
    except OSError as error:
        raise Trouble(
            f"PostgreSQL refuses to run as root, and this root may not change to the account {account.name}.",
            "Run as an ordinary user, or set DATABASE_URL and REDIS_URL.",
        ) from error
    return account


def _check_passwd_entry() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise Trouble(
            f"the user id {os.geteuid()} has no entry in /etc/passwd, which PostgreSQL's initdb needs.",
            "Run as a user with an entry, or set DATABASE_URL and REDIS_URL.",
        ) from error


def _owner(path: Path | None) -> Account | None:
    if path is None or not path.exists():
        return None
    uid = path.stat().st_uid
    try:
        return _account(pwd.getpwuid(uid)) if uid else None
    except KeyError:
        return None


def _first_existing() -> Account:
    for name in PREFERRED:
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise Trouble(
        "PostgreSQL refuses to run as root, and there is neither an account `postgres` nor `nobody` to run it.",
        "Run as an ordinary user, or set DATABASE_URL and REDIS_URL.",
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
