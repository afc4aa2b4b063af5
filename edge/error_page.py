"""Errors as pages for people: a browser that asks for a page is not shown JSON.

Programs ask for anything (`*/*`) or for JSON and get the body of every error (contract A.8).
"""

from html import escape
from http import HTTPStatus

import orjson
from starlette.types import Message, Scope, Send

STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto 0;padding:0 1rem}"
    "h1{font-size:1.5rem;margin:0 0 .5rem}p{overflow-wrap:break-word}small{opacity:.7}a{color:inherit}"
)
POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_REPLACED = frozenset((b"content-type", b"content-length", b"content-security-policy"))


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks to see something: GET or HEAD, with HTML among what it accepts by name."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    return any(name == b"accept" and b"text/html" in value.lower() for name, value in scope["headers"])


def with_pages(send: Send) -> Send:
    """A `send` that turns JSON bodies of errors into pages; everything else passes."""
    held: Message | None = None
    body = bytearray()

    async def sending(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start" and message["status"] >= 400 and _is_json(message):
            held = message
        elif held is None or message["type"] != "http.response.body":
            await send(message)
        else:
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                told = _told(bytes(body))
                if told is None:
                    await send(held)
                    await send({"type": "http.response.body", "body": bytes(body)})
                    return
                page = _page(held["status"], *told)
                await send({**held, "headers": _headers(held, len(page))})
                await send({"type": "http.response.body", "body": page})

    return sending


def _is_json(start: Message) -> bool:
    return any(name.lower() == b"content-type" and b"json" in value for name, value in start.get("headers", ()))


def _headers(start: Message, length: int) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in start.get("headers", ()) if name.lower() not in _REPLACED]
    page = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % length)]
    return [*kept, *page, (b"content-security-policy", POLICY), (b"vary", b"Accept")]


def _told(body: bytes) -> tuple[str, str] | None:
    """What is wrong in a sentence, and the id of the request: of REST's errors, or the first of GraphQL's. None for a report
    (`/ready`), which is shown as it is."""
    if not body:  # the answer to HEAD
        return "", ""
    said = orjson.loads(body)
    if "errors" in said:
        first = said["errors"][0]
        return first["message"], first["extensions"]["requestId"]
    # `detail` is a list where single values are wrong; then there is a sentence beside it
    return (said.get("message", said["detail"]), said.get("request_id", "")) if "detail" in said else None


def _page(status: int, sentence: str, request_id: str) -> bytes:
    title = f"{status} {HTTPStatus(status).phrase}"
    asked = f"<p><small>Request {escape(request_id)}</small></p>" if request_id else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1><p>{escape(sentence)}</p>"
        f'<p><a href="/">Reference of the REST API</a> · <a href="/graphql">GraphQL</a></p>{asked}</html>'
    ).encode()
