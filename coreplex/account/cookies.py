"""The cookies of a signed-in browser: the session, which scripts cannot read, its CSRF token, which they must, and a mark by
which the account knows the browser again.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from coreplex.account.tokens import csrf_of
from coreplex.platform.settings import Settings

CSRF_COOKIE = "csrf_token"


class _Response(Protocol):
    """What a web framework's response offers; the domain knows no more of it."""

    def set_cookie(
        self, key: str, value: str, *, max_age: int, path: str, secure: bool, httponly: bool, samesite: Any
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie an answer sets. `max_age` in seconds; 0 removes it from the browser."""

    name: str
    value: str
    max_age: int
    http_only: bool
    secure: bool

    def write(self, response: _Response) -> None:
        response.set_cookie(
            self.name,
            self.value,
            max_age=self.max_age,
            path="/",
            secure=self.secure,
            httponly=self.http_only,
            samesite="lax",
        )


def session_cookie_name(settings: Settings) -> str:
    """`__Host-` (no other host or path can set it) is only possible under TLS."""
    return "__Host-session" if settings.secure_cookies else "session"


def signed_in(settings: Settings, session_token: str, lifetime: timedelta) -> tuple[Cookie, Cookie]:
    """The cookies of a new session."""
    age, secure = int(lifetime.total_seconds()), settings.secure_cookies
    return (
        Cookie(session_cookie_name(settings), session_token, age, True, secure),
        Cookie(CSRF_COOKIE, csrf_of(session_token), age, False, secure),
    )


def known_cookie_name(settings: Settings) -> str:
    return "__Host-known-browser" if settings.secure_cookies else "known_browser"


def known_browser(settings: Settings, text: str, lifetime: timedelta) -> Cookie:
    """The cookie by which a browser is known again; it stays when the session ends."""
    return Cookie(known_cookie_name(settings), text, int(lifetime.total_seconds()), True, settings.secure_cookies)


def signed_out(settings: Settings) -> tuple[Cookie, Cookie]:
    """Takes both cookies from the browser."""
    secure = settings.secure_cookies
    return (
        Cookie(session_cookie_name(settings), "", 0, True, secure),
        Cookie(CSRF_COOKIE, "", 0, False, secure),
    )
