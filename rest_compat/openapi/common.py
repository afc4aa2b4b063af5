"""What every operation of the description shares, said once: errors, headers, credentials, the key of a request."""

from collections.abc import Iterable, Mapping
from typing import Any

from coreplex.idempotency.service import KEY, MAX_KEY
from edge.idempotency import HEADER, REPLAYED

Json = dict[str, Any]

PROBLEMS: Mapping[str, tuple[str, str]] = {
    "400": ("BadRequest", "The request or a file in it cannot be read."),
    "401": ("Unauthenticated", "No credentials, or wrong ones."),
    "403": ("Forbidden", "Not allowed: scope, role, CSRF token or plan."),
    "404": ("NotFound", "Unknown, malformed or inaccessible identifier."),
    "409": ("Conflict", "The thing is in another state."),
    "413": ("TooLarge", "Too large."),
    "422": ("Invalid", "A value is missing or wrong."),
    "429": ("RateLimited", "The budget of the window is used up; see Retry-After."),
    "503": ("Unavailable", "A part of the server is away for the moment, or the server is busy; see Retry-After."),
    "507": ("StorageFull", "The storage of the server or of its database is full."),
}
"""What any operation may answer instead: status, name of the response, what it means."""
AGAIN = frozenset({"429", "503"})
"""Problems that may be gone after `Retry-After`."""
RATE_HEADERS = {
    "X-RateLimit-Limit": "Requests the window allows.",
    "X-RateLimit-Remaining": "Requests left in the window.",
    "X-RateLimit-Reset": "Unix seconds when the window ends.",
}
HEADERS: Mapping[str, tuple[str, Json]] = {
    **{name: (text, {"type": "integer"}) for name, text in RATE_HEADERS.items()},
    "X-Request-Id": ("Of this request, as the log has it; that of the caller where it was a UUID.", {"type": "string"}),
    "Retry-After": ("Seconds after which the same request may succeed.", {"type": "integer"}),
    REPLAYED: ("`true`: the answer is that of the first request under this key.", {"type": "string", "enum": ["true"]}),
    "Warning": ("Parameters that were ignored, where the body is a file.", {"type": "string"}),
    "Content-Disposition": ("The name of the file.", {"type": "string"}),
}
EVERYWHERE = (*RATE_HEADERS, "X-Request-Id")
"""Headers of every answer."""
SESSION = "__Host-session"
"""The cookie of a session under TLS, which is how servers are published."""

IDEMPOTENCY: Json = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": (
        "A name of your choice for this request. Sent again under it, the request is done once: the first answer comes again, "
        f"with `{REPLAYED}: true`. Kept for a day; another request under the same name is a 409."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY},
}
PARAMETERS: Mapping[str, Json] = {"IdempotencyKey": IDEMPOTENCY}
"""Parameters of many operations, by the names they have among the components."""


def headers(*more: str) -> Json:
    """Those of every answer, and `more`."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*EVERYWHERE, *more)}


def problems() -> Json:
    """What any operation may answer instead."""
    return {status: {"$ref": f"#/components/responses/{name}"} for status, (name, _) in PROBLEMS.items()}


def problem(text: str) -> Json:
    """An answer that says what is wrong."""
    return {"description": text, "content": _error(), "headers": headers()}


def security(public: bool, session_only: bool, method: str) -> list[dict[str, list[str]]]:
    """What a caller shows."""
    if public:
        return []
    session: dict[str, list[str]] = {"session": []} if method == "GET" else {"session": [], "csrf": []}
    return [session] if session_only else [{"apiKey": []}, session]


def components(schemas: Mapping[str, Json], session_cookie: str) -> Json:
    """The parts that operations refer to."""
    return {
        "schemas": {**schemas, "Error": ERROR, "WrongValue": WRONG_VALUE},
        "responses": {
            name: {"description": text, "content": _error(), "headers": headers(*_of(status))}
            for status, (name, text) in PROBLEMS.items()
        },
        "parameters": dict(PARAMETERS),
        "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in HEADERS.items()},
        "securitySchemes": {
            "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `cpx_live.…`."},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": session_cookie,
                "description": "The cookie login sets: `__Host-session` under TLS, else `session`.",
            },
            "csrf": {
                "type": "apiKey",
                "in": "header",
                "name": "X-CSRF-Token",
                "description": "On writes with a session cookie: the value of the cookie `csrf_token`.",
            },
        },
    }


def _of(status: str) -> Iterable[str]:
    return ("Retry-After",) if status in AGAIN else ()


def _error() -> Json:
    return {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


WRONG_VALUE: Json = {
    "type": "object",
    "description": "One value that is wrong.",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {
            "type": "array",
            "items": {"type": ["string", "integer"]},
            "description": "Where it stands: `body`, `query` or `path`, then the keys and positions that lead to it.",
        },
        "msg": {"type": "string", "description": "What is wrong with it."},
        "type": {"type": "string", "description": "A stable word for that."},
    },
}
ERROR: Json = {
    "type": "object",
    "description": "Why a request was refused.",
    "required": ["detail"],
    "properties": {
        "detail": {
            "description": "What is wrong: a sentence, or for single wrong values a list.",
            "oneOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/components/schemas/WrongValue"}}],
        },
        "code": {"type": "string", "description": "A stable word for the kind of error."},
        "message": {"type": "string", "description": "The list of wrong values in a sentence."},
        "request_id": {"type": "string", "description": "Give it to the administrator of the server."},
    },
}
