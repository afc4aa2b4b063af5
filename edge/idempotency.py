"""The header `Idempotency-Key` around a mutation, at whichever door it comes."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import structlog
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import Invalid
from coreplex.idempotency import outcome, service
from coreplex.idempotency.service import Attempt, Repeated
from coreplex.platform.permissions import PUBLIC, Grant, Permission, authorize
from resolvers.context import Context
from edge.request import KEY, answer_of
from schema.door.answers import media_type
from schema.execution import Operation

log = structlog.get_logger()
HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

Answer = Callable[[], Awaitable[tuple[Response, bool]]]
"""Runs the request; says with the response whether the whole of it went well."""


def has_key(request: Request) -> bool:
    return KEY in answer_of(request).headers


async def once(
    context: Context, request: Request, permissions: Mapping[str, Permission], said: Callable[[], bytes], answer: Answer
) -> Response:
    """The response to a request, done once per key. `said` is what the request says, asked for only when there is a key.

    Without the header, or without a signed-in caller, it simply runs. `permissions` are those of the fields it may do. Where the
    key had no effect, `keyed` stays off and the outer layer says so.
    """
    principal = context.principal
    if not has_key(request) or principal is None or not permissions:
        return (await answer())[0]
    keys = request.headers.getlist(HEADER)
    if len(keys) > 1:
        raise Invalid(f"The header {HEADER} was sent {len(keys)} times; a request has one.")
    fingerprint = _fingerprint(request, said())
    async with service.attempt(context.services, principal, keys[0], fingerprint, context.request.id) as attempt:
        context.attempt, answer_of(request).keyed = attempt, True
        if attempt.answer is not None and attempt.may_read:
            await _require_rights(context, attempt, permissions)
            status, body = attempt.answer
            return Response(body, status, {REPLAYED: "true"}, media_type(request))
        response, well = await answer()
        if attempt.replayed:
            response.headers[REPLAYED] = "true"
        answer_of(request).keyed = bool(attempt.done)
        if well and attempt.fields.issuperset(permissions):  # what runs again (a login) has another answer each time
            await _keep(context, attempt, response)
        return response


def made_before(context: Context) -> UUID | None:
    """What an earlier request with the same key made outside the schema, as far as that is known beforehand."""
    attempt = context.attempt
    if attempt is None or (before := attempt.done.get("")) is None:
        return None
    attempt.replayed = True
    return UUID(before["made"]["id"])


async def first(context: Context, made: UUID) -> UUID:
    """For what is made outside the schema: its id, or that of what an earlier request with the same key made."""
    attempt = context.attempt
    if attempt is None:
        return made
    try:
        async with context.transaction() as session:
            await attempt.claim(session, "")
            await attempt.record(session, "", "", made)
    except Repeated as repeated:
        attempt.replayed = True
        return UUID(repeated.made["id"])
    return made


def permissions_of(operation: Operation) -> dict[str, Permission]:
    """By name, of the fields of a mutation that may be done once per key; none where all of them are public, or of a query."""
    fields = {name: permission for name, permission in operation.root_fields if permission is not None}
    signed_in = any(not permission.public for permission in fields.values())
    return fields if signed_in and operation.kind is OperationType.MUTATION else {}


def _fingerprint(request: Request, said: bytes) -> str:
    url = request.url
    return hashlib.sha256(b"\n".join((request.method.encode(), url.path.encode(), url.query.encode(), said))).hexdigest()


async def _require_rights(context: Context, attempt: Attempt, permissions: Mapping[str, Permission]) -> None:
    """Raise what doing it would raise for a caller who may not any more."""
    assert context.principal is not None, "a key has an owner"
    async with context.read() as session:
        for entry in attempt.done.values():
            permission = permissions.get(entry["field"], PUBLIC)
            authorize(context.principal, permission)
            await outcome.may_see(session, Grant(context.principal, permission), entry["made"])


async def _keep(context: Context, attempt: Attempt, response: Response) -> None:
    """Store the answer. That this fails is no reason to withhold it: it can be built anew."""
    try:
        await attempt.keep(context.services.database, response.status_code, bytes(response.body))
    except Exception as error:
        log.warning("answer_not_kept", error=f"{type(error).__name__}: {error}", request_id=context.request.id)
