"""A signed cookie by which an account knows a browser again that has signed in before (OWASP: device cookies).

The cookie names the account, the browser and the day, signed under the account's password hash: nothing is stored for it, nobody
else can make one, a copy of it ends when it does, and a new password forgets them all. It proves nothing but that; whoever has it
must know the password all the same.
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from uuid import UUID

from coreplex.account.table import User
from coreplex.platform.clock import now

LIFETIME = timedelta(days=365)
NONCE, MARK = 22, 64
"""Characters of the browser's own part, which ends with the day, and of the signature."""


def remembered(user: User) -> str:
    """The cookie of a browser that has just signed in."""
    nonce = f"{secrets.token_urlsafe(12)}-{_today():05}"
    return f"{user.id}.{nonce}.{_mark(user, nonce)}"


def account_of(cookie: str | None) -> UUID | None:
    """The account a cookie says it is of; None for what is no such cookie."""
    identity, _, rest = (cookie or "").partition(".")
    if len(identity) != 36 or len(rest) != NONCE + 1 + MARK or not rest.isascii():
        return None
    try:
        return UUID(identity)
    except ValueError:
        return None


def browser_of(cookie: str | None, user: User | None) -> str | None:
    """The browser, when the cookie is one that this account was given since its last new password, within `LIFETIME`."""
    if cookie is None or user is None or account_of(cookie) != user.id:
        return None
    _, nonce, mark = cookie.split(".")
    if not hmac.compare_digest(mark, _mark(user, nonce)):
        return None
    day = nonce[-5:]  # cookies of before there was a day in them are forgotten
    return nonce if day.isdecimal() and _today() - int(day) <= LIFETIME.days else None


def _today() -> int:
    """The day, counted from 1970."""
    return int(now().timestamp() // 86_400)


def _mark(user: User, nonce: str) -> str:
    return hmac.new(user.password_hash.encode(), f"known browser {user.id} {nonce}".encode(), hashlib.sha256).hexdigest()
