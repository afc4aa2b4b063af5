"""GraphQL over WebSocket: the protocol graphql-transport-ws.

A socket is opened by a page of our own origin (or one in CORS_ORIGINS) or by a program, says who it is within five seconds (by
cookie, header or `connection_init`), and is closed when that credential ends. A cookie alone changes nothing: for mutations the
session's token comes with `connection_init`. Whatever a frame holds, the answer is a message or an orderly close with a code of
the protocol, never a traceback.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, aclosing, suppress
from dataclasses import replace
from typing import Any

import orjson
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from coreplex.account import authenticate
from coreplex.account.cache import AccessCache
from coreplex.errors.tree import DomainError, Message, RateLimited, Unauthenticated
from coreplex.platform.fair_places import CALLER
from coreplex.platform.permissions import Principal
from coreplex.platform.rate import customer_network
from coreplex.platform.services import Services
from edge.body import decode_json
from edge.request import bearer_token, check_origin, exchange_of
from resolvers.context import Context
from schema.door.answers import refuse, refused
from schema.door.live import PULSE_SECS, Places, confirm, done_before
from schema.door.message import NOUN
from schema.door.work import Work, context_of_operation
from schema.errors import BadRequest
from schema.execution import open_context

log = structlog.get_logger()

PROTOCOL = "graphql-transport-ws"
INIT_SECS = 5.0
MAX_FRAME = 1 << 16
MAX_SOCKETS = 32
"""Of one caller in one process: as many windows as somebody has open."""
MAX_STRANGERS = 64
"""Sockets of one network that have not said yet who they are, in one process."""
MAX_OPERATIONS = 50
MAX_ID = 200


class Close(Exception):
    """End the socket with a code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason[:120]


class Sockets:
    """The sockets of one process."""

    def __init__(self, services: Services, work: Work) -> None:
        self.services = services
        self.work = work
        self.places = Places(MAX_SOCKETS, "sockets")
        self.strangers = Places(MAX_STRANGERS, "sockets that have not said who they are")

    async def serve(self, socket: WebSocket) -> None:
        """One socket, from the handshake to its end."""
        with suppress(WebSocketDisconnect), ExitStack() as stranger:
            try:
                check_origin(socket, self.services.settings)
                network = customer_network(socket.client.host if socket.client else "")
                self.strangers.require(network)
                stranger.enter_context(self.strangers.taken(network))
                context = await open_context(self.services, socket)
            except DomainError as error:
                await socket.send_denial_response(refuse(socket, error, exchange_of(socket).request_id))
            else:
                await self._greet(socket, context, stranger)

    async def _greet(self, socket: WebSocket, context: Context, stranger: ExitStack) -> None:
        offered = PROTOCOL in socket.scope.get("subprotocols", ())
        await socket.accept(PROTOCOL if offered else None)
        try:
            if not offered:
                raise Close(4406, "Subprotocol not acceptable")
            await Session(socket, context, self.places, self.work).run(known=stranger.close)
        except Close as end:
            await _close(socket, end.code, end.reason)
        except WebSocketDisconnect:
            pass
        except Exception as error:
            log.error("socket_failed", exc_info=error, request_id=context.request.id)
            await _close(socket, 1011, "Internal error")


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(code, reason)


class Session:
    """What one socket has running."""

    def __init__(self, socket: WebSocket, context: Context, places: Places, work: Work) -> None:
        self.socket = socket
        self.work = work
        self.context = context
        self.places = places
        self.running: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self._again: Callable[[], Awaitable[Principal | None]] = self._by_handshake

    async def run(self, known: Callable[[], None]) -> None:
        """`known` is called once it is known whose the socket is."""
        await self._initialise()
        known()
        try:
            self.places.require(self.context.identity)
        except RateLimited as error:
            raise Close(4429, error.message) from None
        with self.places.taken(self.context.identity):
            await self._send({"type": "connection_ack"})
            try:
                while True:
                    await self._handle(await self._receive_checked())
            finally:
                for task in self.running.values():
                    task.cancel()
                await asyncio.gather(*self.running.values(), return_exceptions=True)

    async def _initialise(self) -> None:
        try:
            async with asyncio.timeout(INIT_SECS):
                message = await self._receive()
                while message["type"] in {"ping", "pong"}:
                    await self._handle(message)
                    message = await self._receive()
        except TimeoutError:
            raise Close(4408, "Connection initialisation timeout") from None
        if message["type"] != "connection_init":
            raise Close(4401, "Unauthorized")
        try:
            await self._sign_in(message.get("payload"))
        except DomainError as error:
            raise Close(4403, error.message) from None
        if self.context.principal is None:
            raise Close(4403, "Sign in, or send an API key with connection_init.")

    async def _sign_in(self, payload: Any) -> None:
        """Take the credential of `connection_init`, when there is one; it wins over the handshake's. A session's token is beside
        the handshake's cookie."""
        given = payload if isinstance(payload, dict) else {}
        csrf = given.get("csrfToken", given.get("X-CSRF-Token"))
        if isinstance(csrf, str):
            self.context.request = replace(self.context.request, csrf_header=csrf)
        key, header = given.get("apiKey"), given.get("Authorization", given.get("authorization"))
        if not isinstance(key, str | None) or not isinstance(header, str | None):
            raise Unauthenticated(Message("credential_no_text", "A credential must be text."))
        token = key or (bearer_token(header) if header else None)
        if token is not None:
            self._again = lambda: authenticate.by_key(self.context.services, token)
            self.context.principal = await self._again()
            CALLER.set(self.context.identity)

    async def _by_handshake(self) -> Principal | None:
        return (await open_context(self.context.services, self.socket)).principal

    async def _receive_checked(self) -> dict[str, Any]:
        """The next message; meanwhile the credential is looked at once per pulse, and when it is said to have changed."""
        assert self.context.principal is not None, "who is greeted has a credential"
        receiving = asyncio.ensure_future(self._receive())
        try:
            with AccessCache.of(self.context.services).watched(self.context.principal) as changed:
                while not await done_before(receiving, changed, PULSE_SECS):
                    await self._require_credential()
        except BaseException:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            raise
        return await receiving

    async def _require_credential(self) -> None:
        try:
            await confirm(self._again)
        except DomainError as error:
            raise Close(4403, error.message) from None

    async def _receive(self) -> dict[str, Any]:
        frame = await self.socket.receive()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        text = frame.get("text")
        if text is None or len(text) > MAX_FRAME:
            raise Close(4400, "Frames must be JSON text of at most 64 KiB")
        try:
            message = decode_json(text, NOUN, BadRequest)
        except BadRequest as error:
            raise Close(4400, error.message) from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Close(4400, "A message is an object with a `type`")
        return message

    async def _handle(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "ping":
            await self._send({"type": "pong"})
        elif kind == "subscribe":
            self._subscribe(_id_of(message), message.get("payload"))
        elif kind == "complete":
            task = self.running.pop(_id_of(message), None)
            if task is not None:
                task.cancel()
        elif kind == "connection_init":
            raise Close(4429, "Too many initialisation requests")
        elif kind != "pong":
            raise Close(4400, "Unknown message type")

    def _subscribe(self, id: str, payload: Any) -> None:
        if id in self.running:
            raise Close(4409, f"Subscriber for {id} already exists")
        full = len(self.running) >= MAX_OPERATIONS
        task = asyncio.create_task(self._refuse_full(id) if full else self._perform(id, payload))
        self.running[id] = task
        task.add_done_callback(lambda done: self.running.pop(id, None) if self.running.get(id) is done else None)

    async def _refuse_full(self, id: str) -> None:
        error = RateLimited(
            Message("too_many_operations_on_socket", "At most {most} operations at once per socket.", most=MAX_OPERATIONS),
            retry_after=1,
        )
        await self._send_error(id, error, self.context)

    async def _perform(self, id: str, payload: Any) -> None:
        """Run one operation to its end, whatever that is."""
        context = self.context
        try:
            context = await context_of_operation(self.context, self._again)
            message = await self.work.understand(context, self.socket, payload)
            admitted = await self.work.admit(context, self.socket, message)
            async with aclosing(await self.work.payloads(context, self.socket, admitted, self._again)) as payloads:
                async for one in payloads:
                    if one is not None:
                        await self._send({"id": id, "type": "next", "payload": orjson.Fragment(one)})
            await self._send({"id": id, "type": "complete"})
        except WebSocketDisconnect:
            pass
        except Exception as error:
            await self._send_error(id, error, context)

    async def _send_error(self, id: str, error: Exception, context: Context) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._send({"id": id, "type": "error", "payload": refused(error, context.request.id)["errors"]})

    async def _send(self, message: dict[str, Any]) -> None:
        text = orjson.dumps(message).decode()
        async with self._sending:
            if self.socket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect(1006)  # another message found it out
            await self.socket.send_text(text)


def _id_of(message: dict[str, Any]) -> str:
    found = message.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= MAX_ID:
        raise Close(4400, "A message about a subscription has an `id`")
    return found
