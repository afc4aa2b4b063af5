"""Composition root of the web process: services, doors, and the server that runs them."""

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from coreplex.account.cookies import session_cookie_name
from coreplex.account.service import ensure_admin
from coreplex.errors.tree import DomainError, Message, NotFound, Unavailable
from coreplex.platform import heartbeat, open_files, tracing
from coreplex.platform.heartbeat import Heartbeat
from coreplex.platform.log import configure
from coreplex.platform.memory import MemoryWatch, collect_rarely
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from coreplex.runtime import housekeeping
from coreplex.runtime.readiness import readiness
from coreplex.serving.log.writer import InferenceWriter
from coreplex.supervisor.port import BACKLOG, listen
from coreplex.supervisor.trouble import Trouble
from edge import rate_memory
from edge.application import Application
from edge.body import NOWHERE, error_answer, json_answer
from edge.compression import Compression
from edge.cross_origin import CrossOrigin
from edge.metrics import metrics_row
from edge.middleware import OuterLayer
from edge.protocol import DeadlineProtocol
from edge.rate_memory import RateMemory
from edge.request import exchange_of
from edge.routing import TableRoute
from edge.socket_protocol import DeadlineSocketProtocol
from edge.tracing import Traced
from rest_compat.adapter import rows
from rest_compat.files import file_rows
from rest_compat.inbox import inbox_rows
from rest_compat.inference_protocol.endpoints import InferenceProtocol, protocol_error, speaks
from rest_compat.inference_protocol.request import HEADER as INFERENCE_HEADER
from rest_compat.mail_pages import mail_page_routes
from rest_compat.reference import reference_routes
from rest_compat.table import TABLE
from rest_compat.tus import EXPOSED as TUS_EXPOSED
from rest_compat.tus import SENT as TUS_SENT
from rest_compat.tus import Tus
from schema.door.http import GraphQLDoor
from schema.door.single import TOKEN as STREAM_TOKEN

EXPOSED = (
    "Idempotent-Replayed",
    "X-Request-Id",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
    "Content-Disposition",
    "Warning",
    INFERENCE_HEADER,
    *TUS_EXPOSED,
)
KEEP_ALIVE_SECS = 75
"""Longer than clients and proxies wait between two requests (5 s, 60 s): who asks just as the server hangs up gets no answer."""
SWITCH_SECS = 0.0005
"""How long a thread that scores or reads rows keeps the interpreter while the event loop waits for it. A request asks for it some
dozen times; with Python's own 5 ms each, a neighbour's lasts a tenth of a second longer."""
PATIENT_SECS = 3.0
"""How long a process that starts waits for the database; then it serves, with 503 until the database is there."""
TICKS_PER_BEAT = 10
"""uvicorn's ticks are a tenth of a second apart."""
log = structlog.get_logger()
SENT = (
    "Authorization",
    "Content-Type",
    "X-CSRF-Token",
    "Idempotency-Key",
    "X-Request-Id",
    "Last-Event-ID",
    STREAM_TOKEN,
    INFERENCE_HEADER,
    *TUS_SENT,
)


def create_app(settings: Settings | None = None) -> Starlette:
    """The whole web application. Nothing is connected before its lifespan starts."""
    settings = settings or Settings()
    services = composition.build(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
        await services.start()
        administrator = asyncio.create_task(_ensure_admin(services))
        await asyncio.wait({administrator}, timeout=PATIENT_SECS)
        if administrator.done():
            administrator.result()
        InferenceWriter.of(services)  # begins with what dead processes left
        always = (housekeeping.run(services), services.database.watch.run())
        beside = [administrator, *map(asyncio.create_task, always)]
        yield {rate_memory.STATE: RateMemory.of(services)}
        for task in beside:
            task.cancel()
        await services.stop()

    door = GraphQLDoor(services)
    app = Application(_table(services, door), _routes(services, door), lambda inner: _layers(services, inner), lifespan=lifespan)
    app.state.services = services
    app.router.redirect_slashes = False  # the address to go to would be made from what the request says its host is
    app.add_exception_handler(404, _not_found)
    app.add_exception_handler(405, _wrong_method)
    return app


async def _ensure_admin(services: Services) -> None:
    """Make the administrator of the settings, as soon as the database is there."""
    while True:
        try:
            await ensure_admin(services.database, services.settings)
            return
        except Unavailable as error:
            log.warning("web.waits_for_database", error=error.message)
            await asyncio.sleep(PATIENT_SECS / 2)


def _table(services: Services, door: GraphQLDoor) -> TableRoute:
    async def health(_request: Request) -> Response:
        return json_answer({"status": "ok"})

    async def is_ready() -> bool:
        return bool((await readiness(services))["ready"])

    async def ready(_request: Request) -> Response:
        report = await readiness(services)
        return json_answer(report, 200 if report["ready"] else 503)

    return TableRoute(
        [
            *rows(services, TABLE),
            *file_rows(services),
            *inbox_rows(services),
            *Tus(services).rows(),
            *InferenceProtocol(services, is_ready).rows(),
            *door.rows(),
            ("GET", "/health", health),
            ("GET", "/api/health", health),
            ("GET", "/ready", ready),
            metrics_row(services),
        ]
    )


def _routes(services: Services, door: GraphQLDoor) -> list[BaseRoute]:
    """What few ask for."""
    return [door.sockets_route(), *reference_routes(session_cookie_name(services.settings)), *mail_page_routes()]


def _layers(services: Services, inner: ASGIApp) -> ASGIApp:
    """What stands around every answer."""
    if services.settings.cors_origins:
        inner = CrossOrigin(
            inner,
            allow_origins=services.settings.cors_origins,
            allow_credentials=True,
            allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=SENT,
            expose_headers=EXPOSED,
        )
    outer = OuterLayer(Compression(inner), services)
    return Traced(outer) if services.settings.otel_exporter_otlp_endpoint else outer


def _refusal(request: Request, error: DomainError) -> Response:
    told = protocol_error if speaks(request.url.path) else error_answer
    return told(error, exchange_of(request).request_id)


async def _not_found(request: Request, _error: Exception) -> Response:
    return _refusal(request, NotFound(NOWHERE))


async def _wrong_method(request: Request, error: Exception) -> Response:
    class WrongMethod(DomainError):
        code, status = "method_not_allowed", 405

    headers = getattr(error, "headers", None) or {}
    response = _refusal(request, WrongMethod(_possible(request.method, headers.get("Allow"))))
    response.headers.update(headers)
    return response


def _possible(method: str, allowed: str | None) -> Message:
    if allowed is None:
        return Message("method_not_possible", "{method} is not possible here.", method=method)
    return Message(
        "other_methods_possible", "{method} is not possible here; possible: {allowed}.", method=method, allowed=allowed
    )


def main() -> None:
    """`python -m asgi [--fd N]`: serve on the configured address, or on a socket the supervisor bound."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, help="listening socket handed down by the supervisor")
    heartbeat.add_arguments(parser)
    arguments = parser.parse_args()
    configure()
    heart = Heartbeat(arguments.heartbeat, arguments.stacks)
    settings = Settings()
    os.umask(0o077)  # whatever is written is ours alone
    configure(settings.log_level)
    open_files.allow_many()
    sys.setswitchinterval(SWITCH_SECS)
    collect_rarely()
    _trace(settings)
    app = _made(settings)
    memory = MemoryWatch.of(app.state.services)
    memory.limit_allocations()
    server = Server(configuration(settings, app), heart, memory)
    server.run([_listening(settings, arguments.fd)])  # on uvloop where there is one; `asyncio.run` would not
    tracing.stop()
    if server.outgrown:
        raise SystemExit(os.EX_TEMPFAIL)  # whoever supervises us starts another


def _trace(settings: Settings) -> None:
    try:
        tracing.start(settings.otel_exporter_otlp_endpoint, "web")
    except tracing.NotInstalled as missing:
        log.critical("web.cannot_start", reason=str(missing))
        raise SystemExit(1) from None


def _made(settings: Settings) -> Starlette:
    try:
        return create_app(settings)
    except Trouble as trouble:
        log.critical("web.cannot_start", reason=str(trouble))
        raise SystemExit(1) from None


def _listening(settings: Settings, handed: int | None) -> socket.socket:
    if handed is not None:
        return socket.socket(fileno=handed)
    try:
        return listen(settings.host, settings.port)
    except Trouble as trouble:
        log.critical("web.cannot_listen", reason=str(trouble))
        raise SystemExit(1) from None


class Server(uvicorn.Server):
    """uvicorn's server, which tells the supervisor that its loop turns, and ends in order when memory stays short."""

    def __init__(self, config: uvicorn.Config, heart: Heartbeat, memory: MemoryWatch) -> None:
        super().__init__(config)
        self.heart, self.memory = heart, memory
        self.outgrown = False

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS_PER_BEAT == 0:
            self.heart.beat()
        if self.memory.look() and not self.outgrown:
            log.error("memory.replaced", limit_bytes=self.memory.limit_bytes)
            self.outgrown = self.should_exit = True
        return await super().on_tick(counter)


def configuration(settings: Settings, app: Starlette) -> uvicorn.Config:
    """How uvicorn serves us."""
    return uvicorn.Config(
        app,
        http=DeadlineProtocol,
        ws=DeadlineSocketProtocol,
        host=settings.host,
        port=settings.port,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=10,
        timeout_keep_alive=KEEP_ALIVE_SECS,
        ws_max_size=1 << 16,
        ws_per_message_deflate=False,  # what compresses answers sees to it that none holds a secret; a socket could not
    )


if __name__ == "__main__":
    main()
