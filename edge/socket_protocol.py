"""WebSockets with deadlines: who does not take what was sent loses the socket, and nothing a handshake says is a traceback.

While a client takes nothing its own frames are not read either: each ping would be answered into a buffer without an end.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import datastructures
from websockets.http11 import Response
from websockets.typing import StatusLike

from edge import protocol
from edge.middleware import Headers

NO_SOCKET = "There is no WebSocket at this address; subscriptions of GraphQL are at /graphql."
CLOSE_SECS = 2.0
"""How long the other side may take to answer a close frame before the connection is gone."""


class DeadlineSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol on websockets; give it as `uvicorn.Config(ws=DeadlineSocketProtocol)`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.logger = self.conn.logger = protocol.clients_log
        self.conn.reject = self._reject  # type: ignore[method-assign]
        self.close_timeout = CLOSE_SECS
        self._taking: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(protocol.TAKE_SECS, self.transport.abort)
        if not self.read_paused:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._taken()
        if not self.read_paused:
            self.transport.resume_reading()
        super().resume_writing()

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def data_received(self, data: bytes) -> None:
        """The whole head comes with the first call: what is no handshake after that never becomes one."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self.transport.write(protocol.refusal(HTTPStatus.BAD_REQUEST, protocol.NO_HANDSHAKE, self._rates))
            self.transport.close()

    async def send(self, message: Any) -> None:
        """An answer instead of a socket completes the handshake too, which uvicorn would call an error afterwards."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    @property
    def _rates(self) -> Headers:
        return protocol.rates(self.app_state, self.client)

    def _reject(self, status: StatusLike, text: str) -> Response:
        """Our form of the answer to a handshake that `websockets` refuses with a sentence, and the application without one."""
        status, sentence = (HTTPStatus(status), " ".join(text.split())) if text else (HTTPStatus.NOT_FOUND, NO_SOCKET)
        headers, body = protocol.refused(status, sentence, self._rates)
        said = ((name.decode(), value.decode()) for name, value in headers.items())
        return Response(status, status.phrase, datastructures.Headers(said), body)
