"""`GET /metrics` for Prometheus: whoever sends `METRICS_TOKEN`; without that setting programs on this machine."""

import asyncio
import hmac
from ipaddress import ip_address

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import DomainError, Message, NotFound, Unauthenticated
from coreplex.platform.exposition import OPEN, PLAIN, exposed
from coreplex.platform.services import Services
from coreplex.platform.settings import LOCAL_HOSTS
from coreplex.runtime.metrics import families
from edge.body import NOWHERE, error_answer
from edge.middleware import host_of
from edge.request import exchange_of
from edge.routing import RouteRow

FORWARDED = (b"x-forwarded-for", b"forwarded")


def metrics_row(services: Services) -> RouteRow:
    """The row of the table of routes."""

    async def answer(request: Request) -> Response:
        try:
            _admit(request, services.settings.metrics_token)
            found = await families(services)
        except DomainError as error:
            return error_answer(error, exchange_of(request).request_id)
        kind = OPEN if "application/openmetrics-text" in request.headers.get("accept", "") else PLAIN
        told = await asyncio.to_thread(exposed, found, kind)  # a tenth of a second at the most there is
        return Response(told, headers={"Content-Type": kind})

    return "GET", "/metrics", answer


def _admit(request: Request, token: SecretStr | None) -> None:
    """Raises Unauthenticated, and NotFound where nobody from there may read."""
    if token is None:
        if not _is_local(request):
            raise NotFound(NOWHERE)
        return
    scheme, _, sent = exchange_of(request).headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(sent.strip(), token.get_secret_value().encode()):
        raise Unauthenticated(Message("metrics_token_wrong", "Send METRICS_TOKEN as `Authorization: Bearer <token>`."))


def _is_local(request: Request) -> bool:
    """Whether a program of this machine asks for it by itself: no proxy of it for others, no page whose name leads here."""
    exchange = exchange_of(request)
    try:
        near = ip_address(exchange.address).is_loopback
    except ValueError:
        near = False
    return near and host_of(request.scope) in LOCAL_HOSTS and not any(name in exchange.headers for name in FORWARDED)
