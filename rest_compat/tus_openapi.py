"""How OpenAPI describes the resumable uploads: the one part of REST that is no operation of the schema."""

from typing import Any

from coreplex.platform.resumable import ALGORITHMS
from rest_compat.openapi.common import headers, problem, security
from rest_compat.openapi.operation import KEYED
from rest_compat.tus import CHUNK_TYPE, EXTENSIONS, ONE, ROOT, VERSION, WHOLE_NUMBER

HEADERS = {
    "Location": "Address of the upload; its last part is the `upload_id`.",
    "Upload-Offset": "How many bytes are here.",
    "Upload-Length": "How many there will be.",
    "Upload-Expires": "When the upload is thrown away, unless more arrives.",
}
PROBLEMS = {
    "400": "A header is missing or cannot be read.",
    "401": "No credentials, or wrong ones.",
    "403": "Not allowed: scope, role, CSRF token or origin.",
    "404": "No such upload of the caller's: unknown, ended, or used up by a dataset.",
    "409": "The bytes do not begin where the upload ends; or too many unfinished uploads.",
    "412": f"The header Tus-Resumable is not {VERSION}.",
    "413": "Larger than the limit, or than Upload-Length.",
    "415": f"The bytes are not sent as {CHUNK_TYPE}.",
    "422": "The header Idempotency-Key is not one.",
    "423": "Another request is sending bytes of this upload.",
    "429": "The budget of the window is used up; see Retry-After.",
    "460": "The bytes are not those of Upload-Checksum.",
    "503": "A part of the server is away for the moment, or the server is busy; see Retry-After.",
    "507": "The storage of the server or of its database is full.",
}
PARAMETERS = {
    "Tus-Resumable": (VERSION, True),
    "Upload-Length": ("Size of the file in bytes.", True),
    "Upload-Metadata": ("`filename` and the file's name in Base64.", False),
    "Upload-Offset": ("Where these bytes begin: how many are here already.", True),
    "Upload-Checksum": ("`sha1`, `sha256` or `md5`, a blank, and the digest of these bytes in Base64.", False),
}

LIMITS: dict[str, dict[str, Any]] = {
    "Tus-Resumable": {"enum": [VERSION]},
    "Upload-Length": {"pattern": WHOLE_NUMBER},
    "Upload-Offset": {"pattern": WHOLE_NUMBER},
    "Upload-Checksum": {"pattern": f"^({'|'.join(ALGORITHMS)}) [A-Za-z0-9+/]+=*$"},
}


CREATE = "Begin a resumable upload (tus 1.0.0), perhaps with its first bytes; finished, its id is the `upload_id` of a dataset."
BYTES = f"The bytes are the body, as `{CHUNK_TYPE}`. It is no `requestBody` here: generators know no such type and would warn."
STATE = ("Upload-Offset", "Upload-Expires")
WHICH = {"name": "upload_id", "in": "path", "required": True, "description": "The upload.", "schema": {"type": "string"}}


def paths() -> dict[str, dict[str, Any]]:
    """The operations by path and method."""
    begin = _operation(
        "BeginUpload", "POST", CREATE, "201", ("Location", *STATE), "Upload-Length", "Upload-Metadata", "Upload-Checksum"
    )
    begin["parameters"].append(KEYED)
    one = {
        "head": _operation("UploadOffset", "GET", "How much of an upload is here.", "200", (*STATE, "Upload-Length")),
        "patch": _operation(
            "ContinueUpload", "PATCH", "Send further bytes of an upload.", "204", STATE, "Upload-Offset", "Upload-Checksum"
        ),
        "delete": _operation("EndUpload", "DELETE", "Throw an upload away.", "204", ()),
    }
    for answer in one["head"]["responses"].values():
        answer.pop("content", None)  # there is no body to a HEAD
    for described in one.values():
        described["parameters"].append(WHICH)
    return {ROOT: {"options": _capabilities(), "post": begin}, ONE: one}


def _capabilities() -> dict[str, Any]:
    able = f"tus {VERSION} with {', '.join(EXTENSIONS)}: `Tus-Version`, `Tus-Extension`, `Tus-Max-Size`."
    return {
        "operationId": "UploadCapabilities",
        "summary": "What the resumable uploads can do.",
        "parameters": [],
        "tags": ["dataset"],
        "responses": {"204": {"description": able, "headers": headers()}},
        "security": [],
    }


def _operation(name: str, method: str, summary: str, status: str, said: tuple[str, ...], *sent: str) -> dict[str, Any]:
    own = {header: {"description": HEADERS[header], "schema": {"type": "string"}} for header in said}
    told: dict[str, Any] = {"description": BYTES} if "Upload-Checksum" in sent else {}
    return {
        "operationId": name,
        "tags": ["dataset"],
        "summary": summary,
        **told,
        "parameters": [_parameter(header) for header in ("Tus-Resumable", *sent)],
        "responses": {
            status: {"description": "Done.", "headers": {**headers(), **own}},
            **{code: problem(text) for code, text in PROBLEMS.items()},
        },
        "x-rate-limit": "general",
        "security": security(False, False, method),
    }


def _parameter(header: str) -> dict[str, Any]:
    text, required = PARAMETERS[header]
    schema = {"type": "string", **LIMITS.get(header, {})}
    return {"name": header, "in": "header", "required": required, "description": text, "schema": schema}
