"""Bodies: of requests, read no further than they may be, JSON strict and bounded; of answers, JSON and the one body of errors
(contract A.8)."""

import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coreplex.errors.tree import BadInput, DomainError, Message, TooLarge
from coreplex.platform.answer_size import require_size
from coreplex.platform.document import MAX_JSON_CONTAINERS, MAX_JSON_DEPTH, containers, too_deep
from edge.request import exchange_of

JSON_TYPE = "application/json"
NO_NUMBER = re.compile(r"-?(nan|inf)", re.IGNORECASE)
CUT_OFF = Message("connection_ended", "The connection ended before the whole request was here.")
"""Nobody is left to read it but the log."""
NOWHERE = Message("no_such_address", "There is nothing at this address; see /docs.")


def announced(request: Request) -> int:
    """The bytes of the body that Content-Length announces; 0 where it announces none."""
    length = exchange_of(request).headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


async def stream_of(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises BadInput when the connection ends before it is whole."""
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise BadInput(CUT_OFF) from None


async def read_body(request: Request, limit: int, advice: Message | None = None) -> bytes:
    """The body, refused when it is announced as larger than `limit` bytes, or as soon as it is; `advice` says what to do then.

    Raises BadInput for one that is compressed, of which nobody knows how large it is.
    """
    coding = exchange_of(request).headers.get(b"content-encoding", b"identity")
    if coding.lower() != b"identity":
        shown = coding[:40].decode("latin-1")
        raise BadInput(Message("request_compressed", "requests come uncompressed here, not as {coding}", coding=shown))
    if announced(request) > limit or await _read_on(request, limit) > limit:
        raise TooLarge(Message("body_too_large", "The request body is larger than {most} MiB.", most=limit >> 20).then(advice))
    exchange = exchange_of(request)
    parts, exchange.read = exchange.read, []
    return b"".join(parts)


async def larger_than(request: Request, size: int) -> bool:
    """Whether the body has more bytes: as is announced, or else as it turns out; `read_body` finds what was read for that."""
    return (announced(request) or await _read_on(request, size)) > size


async def _read_on(request: Request, most: int) -> int:
    """Reads the body until it is whole or larger than `most` bytes; returns how many have come."""
    exchange, receive = exchange_of(request), request.receive
    size = sum(map(len, exchange.read))
    while size <= most and not exchange.read_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadInput(CUT_OFF)
        part: bytes = message.get("body", b"")
        exchange.read.append(part)
        exchange.read_whole = not message.get("more_body", False)
        size += len(part)
    return size


def decode_json(raw: bytes | str, noun: str, error: Callable[[Message], DomainError]) -> Any:
    """The value of a JSON text, bounded in depth and in parts. Raises `error`, a sentence about what `noun` names."""
    parts = containers(raw)
    if parts > MAX_JSON_CONTAINERS:
        raise error(
            Message(
                "too_many_containers",
                "{noun} has more than {most} lists and objects.",
                noun=noun,
                most=MAX_JSON_CONTAINERS,
            )
        )
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        told = Message("not_json", "{noun} is not JSON: {problem}.", noun=noun, problem=str(problem))
        raise error(told.then(_advice(problem))) from None
    if too_deep(value, MAX_JSON_DEPTH, parts):
        raise error(Message("json_too_deep", "{noun} is nested deeper than {levels} levels.", noun=noun, levels=MAX_JSON_DEPTH))
    return value


def _advice(problem: orjson.JSONDecodeError) -> Message | None:
    """What to do about what JSON cannot say; None where the problem says it all."""
    if "UTF-8" in problem.msg:
        return Message("json_utf8_only", "Send it as UTF-8, without a byte order mark.")
    if "infinity" in problem.msg or NO_NUMBER.match(problem.doc, problem.pos):
        return Message(
            "json_finite_only", "JSON has no NaN, no Infinity and no number beyond 1.8e308: send null where there is none."
        )
    return None


class JsonResponse(Response):
    """A body of JSON that is whole, and one answer's only: written without what Starlette asks of any response."""

    media_type = JSON_TYPE

    def __init__(self, body: bytes, status: int) -> None:
        self.body, self.status_code, self.background = body, status, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def json_answer(body: Any, status: int = 200, cookies: Iterable[Any] = (), limit: int = sys.maxsize) -> Response:
    """A JSON response. NaN and infinities become null, as JSON knows none. Raises AnswerTooLarge beyond `limit` bytes."""
    response = JsonResponse(require_size(orjson.dumps(body, default=str), limit), status)
    for cookie in cookies:
        cookie.write(response)
    return response


def error_body(error: DomainError, request_id: str) -> dict[str, Any]:
    """`detail` is a list of `{loc, msg, type}` where single values are wrong, a sentence everywhere else."""
    detail: Any = [field.as_dict() for field in error.errors] if error.status == 422 and error.errors else error.message
    body = {"detail": detail, "code": error.code, "request_id": request_id}
    return body | ({"message": error.message} if error.errors else {})


def extensions(error: DomainError, request_id: str) -> dict[str, Any]:
    """The same in GraphQL's words: the `extensions` of an error."""
    shown: dict[str, Any] = {"code": error.code.upper(), "status": error.status, "requestId": request_id}
    shown |= error.message.as_dict()
    if error.errors:
        shown["errors"] = [one.with_reason() for one in error.errors]
    if error.retry_after is not None:
        shown["retryAfter"] = error.retry_after
    return shown


def error_answer(error: DomainError, request_id: str) -> Response:
    response = Response(orjson.dumps(error_body(error, request_id)), error.status, media_type="application/json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
