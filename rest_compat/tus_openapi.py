"""How OpenAPI describes the resumable uploads: the one part of REST that is no operation of the schema."""

from collections.abc import Callable
from typing import Any

from coreplex.platform.resumable import ALGORITHMS
from rest_compat.tus import CHUNK_TYPE, EXTENSIONS, ONE, ROOT, VERSION, WHOLE_NUMBER

Problem = Callable[[str], dict[str, Any]]
Security = Callable[[bool, bool, str], list[dict[str, list[str]]]]

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

LIMITS = {
    "Tus-Resumable": {"const": VERSION},
    "Upload-Length": {"pattern": WHOLE_NUMBER},
    "Upload-Offset": {"pattern": WHOLE_NUMBER},
    "Upload-Checksum": {"pattern": f"^({'|'.join(ALGORITHMS)}) [A-Za-z0-9+/]+=*$"},
}


def paths(problem: Problem, security: Security, keyed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """`keyed`: the parameter of what is done once per key."""

    def operation(name: str, method: str, summary: str, status: str, said: tuple[str, ...], *sent: str) -> dict[str, Any]:
        headers = {header: {"description": HEADERS[header], "schema": {"type": "string"}} for header in said}
        parameters = [_parameter(header) for header in ("Tus-Resumable", *sent)]
        body = {"requestBody": {"required": False, "content": {CHUNK_TYPE: {}}}} if "Upload-Checksum" in sent else {}
        return {
            "operationId": name,
            "tags": ["dataset"],
            "summary": summary,
            "parameters": parameters,
            **body,
            "responses": {
                status: {"description": "Done.", "headers": headers},
                **{code: problem(text) for code, text in PROBLEMS.items()},
            },
            "x-rate-limit": "general",
            "security": security(False, False, method),
        }

    able = {"description": f"tus {VERSION} with {', '.join(EXTENSIONS)}: `Tus-Version`, `Tus-Extension`, `Tus-Max-Size`."}
    state = ("Upload-Offset", "Upload-Expires")
    create = (
        "Begin a resumable upload (tus 1.0.0), perhaps with its first bytes; finished, its id is the `upload_id` of a dataset."
    )
    begin = operation(
        "BeginUpload", "POST", create, "201", ("Location", *state), "Upload-Length", "Upload-Metadata", "Upload-Checksum"
    )
    begin["parameters"].append(keyed)
    capabilities = {
        "summary": "What the resumable uploads can do.",
        "parameters": [],
        "tags": ["dataset"],
        "responses": {"204": able},
        "security": [],
    }
    one = {
        "head": operation("UploadOffset", "GET", "How much of an upload is here.", "200", (*state, "Upload-Length")),
        "patch": operation(
            "ContinueUpload", "PATCH", "Send further bytes of an upload.", "204", state, "Upload-Offset", "Upload-Checksum"
        ),
        "delete": operation("EndUpload", "DELETE", "Throw an upload away.", "204", ()),
    }
    which = {"name": "upload_id", "in": "path", "required": True, "description": "The upload.", "schema": {"type": "string"}}
    for described in one.values():
        described["parameters"].append(which)
    return {ROOT: {"options": {"operationId": "Capabilities", **capabilities}, "post": begin}, ONE: one}


def _parameter(header: str) -> dict[str, Any]:
    text, required = PARAMETERS[header]
    schema = {"type": "string", **LIMITS.get(header, {})}
    return {"name": header, "in": "header", "required": required, "description": text, "schema": schema}
