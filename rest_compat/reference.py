"""`/openapi.json` and `/docs`: the reference, written from the derived description into one page that loads nothing else.

Until there is a dashboard, `/` leads to it.
"""

import re
from functools import cache
from html import escape
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from rest_compat.openapi.common import PARAMETERS
from rest_compat.openapi.document import document, inlined
from rest_compat.planned import sentence

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
ORDER = ("account", "project", "dataset", "experiment", "model", "deployment", "job")
"""The way a newcomer goes."""
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:0;color:#1c2733;display:grid;grid-template-columns:17rem 1fr}
body{overflow-wrap:break-word}a{color:#0b62a4}
nav{position:sticky;top:0;height:100vh;overflow:auto;background:#f4f6f8;padding:1rem;box-sizing:border-box;font-size:13px}
nav a{display:block;color:inherit;text-decoration:none;padding:1px 0;overflow-wrap:anywhere}nav a:hover{text-decoration:underline}
nav h2{font-size:13px;margin:1rem 0 .2rem;text-transform:capitalize}
main{padding:1.5rem 2rem;max-width:60rem;min-width:0}h1{margin-top:0}
article{border-top:1px solid #dde3e9;padding:1rem 0}h3{margin:0;font-size:16px}
.method{display:inline-block;min-width:4.6em;font-weight:700;color:#0b62a4}code{font:13px ui-monospace,monospace}
table{border-collapse:collapse;margin:.6rem 0;width:100%}td:first-child,td:first-child code{white-space:nowrap}
td:nth-child(2){min-width:7rem}.scroll{overflow-x:auto}td,th{text-align:left;padding:.25rem .8rem .25rem 0;vertical-align:top;
border-bottom:1px solid #eef1f4;font-size:13px}th{color:#5b6b7b;font-weight:600}.note{color:#5b6b7b;font-size:13px}
details summary{cursor:pointer;font-size:13px;color:#0b62a4}
ul.fields{list-style:none;padding-left:1.1rem;margin:.2rem 0;font-size:13px}
@media(max-width:50rem){body{display:block}nav{position:static;height:12rem}main{padding:1rem}}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#d7dee6}nav{background:#1a222b}td,th,article{border-color:#2a3440}
.method,details summary,main a{color:#6cb6ef}th,.note{color:#9fb0c0}}
"""
INTRODUCTION = """
<p>Every endpoint below is a stored operation of the GraphQL schema at <code>/graphql</code>. Send an API key as
<code>Authorization: Bearer cpx_live.…</code>, or a session cookie with <code>X-CSRF-Token</code> on writes. Lists answer
<code>{"items", "total", "limit", "offset"}</code>; errors <code>{"detail", "code", "request_id"}</code>. A key of a body or a
parameter of a query that an endpoint does not take is ignored and named in <code>warnings</code> (beside a file in the header
<code>Warning</code>). Every answer says how much of its rate limit is left.
<a href="/openapi.json">openapi.json</a> is the same for machines.</p>
"""


def reference_routes(session_cookie: str) -> list[Route]:
    """Both are public and the same for everybody. `session_cookie`: its name on this server."""

    async def openapi(_request: Request) -> Response:
        return Response(_description(session_cookie), media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def docs(_request: Request) -> Response:
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return Response(_page(), media_type="text/html; charset=utf-8", headers=headers)

    async def front(_request: Request) -> Response:
        return RedirectResponse("/docs")  # who opens the address the start printed is shown something

    return [Route("/openapi.json", openapi), Route("/docs", docs), Route("/", front)]


@cache
def _description(session_cookie: str) -> bytes:
    return orjson.dumps(document(session_cookie), option=orjson.OPT_INDENT_2)


@cache
def _page() -> bytes:
    return render(inlined()).encode()


def render(described: dict[str, Any]) -> str:
    """The whole page, of a description with its schemas in place."""
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    by_tag = {tag: by_tag[tag] for tag in (*ORDER, *by_tag) if tag in by_tag}
    menu = "".join(_menu(tag, entries) for tag, entries in by_tag.items())
    body = "".join(f"<h2>{escape(tag.title())}</h2>" + "".join(map(_article, entries)) for tag, entries in by_tag.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>CorePlexML REST API</title><style>{STYLE}</style><nav><strong>REST API</strong>{menu}</nav>"
        f"<main><h1>CorePlexML REST API</h1>{INTRODUCTION}<p>{_text(sentence())}</p>{body}</main></html>"
    )


def _menu(tag: str, entries: list[tuple[str, str, dict[str, Any]]]) -> str:
    links = "".join(
        f'<a href="#{escape(operation["operationId"])}"><span class="method">{method}</span>'
        f"{_breaking(path.removeprefix('/api'))}</a>"
        for method, path, operation in entries
    )
    return f"<h2>{escape(tag)}</h2>{links}"


def _breaking(path: str) -> str:
    """A path that is broken, where it does not fit, before a slash and never inside a name."""
    return escape(path[:1]) + escape(path[1:]).replace("/", "<wbr>/")


def _article(entry: tuple[str, str, dict[str, Any]]) -> str:
    method, path, operation = entry
    parameters = "".join(map(_parameter, operation["parameters"]))
    request = _body(operation.get("requestBody"))
    about = " ".join(filter(None, (operation["summary"], operation.get("description"))))
    status, answer = next(iter(operation["responses"].items()))
    return (
        f'<article id="{escape(operation["operationId"])}"><h3><span class="method">{method}</span> '
        f"<code>{escape(path)}</code></h3><p>{_text(about)}</p>{_needs(operation)}"
        + (_table("Parameter", parameters) if parameters else "")
        + request
        + _answer(status, answer)
        + "</article>"
    )


def _needs(operation: dict[str, Any]) -> str:
    ways = [" and ".join(way) for way in operation.get("security", ())]
    access = "Public." if not ways else "Needs " + " or ".join(ways) + "."
    return f'<p class="note">{escape(access)} Rate limit: {escape(operation.get("x-rate-limit", "general"))}.</p>'


def _parameter(parameter: dict[str, Any]) -> str:
    if "$ref" in parameter:
        parameter = PARAMETERS[parameter["$ref"].rpartition("/")[2]]
    schema, place = parameter["schema"], parameter["in"]
    return (
        f'<tr><td><code>{escape(parameter["name"])}</code> <span class="note">{place}</span>'
        f"<td>{_type(schema)}<td>{_text(parameter['description'])}</tr>"
    )


def _body(body: dict[str, Any] | None) -> str:
    if body is None:
        return ""
    media, content = next(iter(body["content"].items()))
    schema = content.get("schema")
    if schema is None:
        return f'<p class="note">Body, {escape(media)}: the bytes.</p>'
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{'' if name in required else ' <span class=note>optional</span>'}"
        f"<td>{_type(field)}<td>{_text(field.get('description', ''))}</tr>"
        for name, field in schema["properties"].items()
    )
    return _table(f"Body, {escape(media)}", rows)


def _table(of: str, rows: str) -> str:
    """Names are never broken; a narrow screen scrolls the table."""
    return f'<div class="scroll"><table><tr><th>{of}<th>Type<th>Meaning</tr>{rows}</table></div>'


def _answer(status: str, answer: dict[str, Any]) -> str:
    if "content" not in answer:
        named = ", ".join(f"<code>{escape(name)}</code>" for name in answer.get("headers", ()))
        return f'<p class="note">{status}{": " if named else ""}{named}</p>'
    content = answer["content"].get("application/json")
    if content is None:
        return f'<p class="note">{status}: the file.</p>'
    return f"<details><summary>Answer {status}</summary>{_fields(content['schema'])}</details>"


def _fields(schema: dict[str, Any]) -> str:
    """An answer's fields as a nested list."""
    if "items" in schema:
        return _fields(schema["items"])
    rows = "".join(
        f"<li><code>{escape(name)}</code> {_type(field)} {_text(field.get('description', ''))}{_fields(field)}</li>"
        for name, field in schema.get("properties", {}).items()
    )
    return f'<ul class="fields">{rows}</ul>' if rows else ""


def _text(description: str) -> str:
    """A description with its `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(description))


def _type(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any JSON")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if "enum" in schema:
        text = " | ".join(str(value) for value in schema["enum"] if value is not None)
    known = "default" in schema and schema["default"] != ""
    default = f", default {orjson.dumps(schema['default']).decode().strip(chr(34))}" if known else ""
    return f'<span class="note">{escape(text + default)}</span>'
