"""What a cache may keep: answers that are the same for everybody, asked for by GET. All others are kept by nobody."""

import hashlib

from starlette.requests import Request
from starlette.responses import Response

from resolvers.context import Context
from schema.door.admission import open_to_strangers
from schema.execution import Operation
from schema.limits import INTROSPECTION

SHARED_SECS = {"__typename": 3600, **dict.fromkeys(INTROSPECTION, 60)}
"""For how long; the schema changes with the next release only, and whoever develops it wants to see that soon."""


def shared_secs(operation: Operation, context: Context) -> int:
    """For how long anybody may be given the same answer; 0 where it depends on who asks, or may only be given to some."""
    if operation.introspects and not open_to_strangers(context):
        return 0
    return min(SHARED_SECS.get(name, 0) for name, _ in operation.root_fields)


def told_to_caches(request: Request, response: Response, well: bool, secs: int) -> Response:
    """The response with what caches are told; 304 for a caller who has it already."""
    response.headers["Vary"] = "Accept"
    if not (well and secs):
        return response
    response.headers["Cache-Control"] = f"public, max-age={secs}"
    response.headers["ETag"] = etag = f'W/"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'
    if etag not in {one.strip() for one in request.headers.get("if-none-match", "").split(",")}:
        return response
    return Response(status_code=304, headers={name: response.headers[name] for name in ("cache-control", "etag", "vary")})
