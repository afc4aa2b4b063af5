"""Warns once of a proxy that seems to stand before the server and that `TRUSTED_PROXIES` does not name."""

import structlog
from starlette.requests import HTTPConnection

from coreplex.platform.services import Part, Services

log = structlog.get_logger()
ADVICE = (
    "A sign-in came with X-Forwarded-For, and TRUSTED_PROXIES is empty. If a proxy of yours sent it, everybody behind it has one "
    "address here and shares its sign-ins per minute: name the proxy in TRUSTED_PROXIES. If not, the header is ignored."
)


class Forwarded(Part):
    """Remembers, for one process, whether the warning was given."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.silent = bool(services.settings.trusted_proxies)

    def look(self, connection: HTTPConnection) -> None:
        """At a request that addresses are counted for."""
        if not self.silent and "x-forwarded-for" in connection.headers:
            self.silent = True
            log.warning("proxy_not_trusted", advice=ADVICE, address=connection.client.host if connection.client else "")
