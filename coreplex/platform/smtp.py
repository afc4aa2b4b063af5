"""Parses SMTP_URL, for the start that refuses it, the job that sends and the doctor that looks."""

from typing import Any
from urllib.parse import unquote, urlsplit


def server_of(url: str) -> dict[str, Any]:
    """`smtp://user:password@host:port` (STARTTLS where offered) or `smtps://…` as arguments of aiosmtplib.

    Raises ValueError, which never repeats the address: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in {"smtp", "smtps"} or not host:
        raise ValueError("SMTP_URL must be smtp://host:port or smtps://host:port, with user:password@ before the host if needed")
    secure = parts.scheme == "smtps"
    return {
        "hostname": host,
        "port": port or (465 if secure else 587),
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": secure,
    }
