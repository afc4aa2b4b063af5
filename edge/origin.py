"""Refuses what a browser sends for a page of another origin, unless CORS_ORIGINS names it.

Programs send neither header and are not concerned; what a cookie may do is asked further by `check_csrf`.
"""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from coreplex.errors.tree import Forbidden
from coreplex.platform.settings import Settings


def check_origin(connection: HTTPConnection, settings: Settings) -> None:
    """Raise Forbidden when a browser sends the request for a page of another site (also for `Origin: null`)."""
    origin = connection.headers.get("origin")
    if origin is None:
        foreign = connection.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
    else:
        foreign = not (_same_host(origin, connection, settings) or origin in settings.cors_origins)
    if foreign:
        raise Forbidden("Pages of this origin may not use the API; the setting CORS_ORIGINS names those that may.")


def _same_host(origin: str, connection: HTTPConnection, settings: Settings) -> bool:
    try:
        parts, own = urlsplit(origin), urlsplit(settings.base_url)
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return False
    # Behind a proxy that ends TLS the scheme seen here is not the browser's, so only the host is compared.
    return parts.netloc in {connection.headers.get("host"), own.netloc}
