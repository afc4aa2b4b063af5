"""The header `Idempotency-Key` around a mutation, at whichever door it comes."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import Invalid, Message
from coreplex.idempotency import outcome, service
from coreplex.idempotency.service import Attempt, Repeated
from coreplex.platform.permissions import PUBLIC, Grant, Permission, authorize
from edge.body import JSON_TYPE
from edge.caller import Caller
from edge.request import KEY, exchange_of

log = structlog.get_logger()
HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

Answer = Callable[[], Awaitable[tuple[Response, bool]]]
"""Runs the request; says with the response whether the whole of it went well."""


def has_key(request: Request) -> bool:
    return KEY in exchange_of(request).headers


async def once(
    caller: Caller,
    request: Request,
    permissions: Mapping[str, Permission],
    said: Callable[[], bytes],
    answer: Answer,
    media_type: str = JSON_TYPE,
) -> Response:
    """The response to a request, done once per key. `said` is what the request says, asked for only when there is a key.

    Without the header, or without a signed-in caller, it simply runs. `permissions` are those of the fields it may do. Where the
    key had no effect, `keyed` stays off and the outer layer says so.
    """
    principal = caller.principal
    if not has_key(request) or principal is None or not permissions:
        return (await answer())[0]
    keys = request.headers.getlist(HEADER)
    if len(keys) > 1:
        raise Invalid(
            Message(
                "too_many_idempotency_keys",
                "The header {header} was sent {times} times; a request has one.",
                header=HEADER,
                times=len(keys),
            )
        )
    url = request.url
    fingerprint = _fingerprint(request.method, url.path, url.query, said())
    exchange_of(request).keyed = True
    response, exchange_of(request).keyed = await _under(caller, keys[0], fingerprint, permissions, answer, media_type)
    return response


async def as_by_post(
    caller: Caller, key: str, path: str, permissions: Mapping[str, Permission], said: bytes, answer: Answer
) -> Response:
    """The same for what came over a transport without headers: under the key it is one with what is sent by POST to `path`."""
    return (await _under(caller, key, _fingerprint("POST", path, "", said), permissions, answer, JSON_TYPE))[0]


async def _under(
    caller: Caller, key: str, fingerprint: str, permissions: Mapping[str, Permission], answer: Answer, media_type: str
) -> tuple[Response, bool]:
    """The response, and whether the key had an effect."""
    principal = caller.principal
    assert principal is not None, "a key has an owner"
    async with service.attempt(caller.services, principal, key, fingerprint, caller.request.id) as attempt:
        caller.attempt = attempt
        if attempt.answer is not None and attempt.may_read:
            await _require_rights(caller, attempt, permissions)
            caller.secret = True  # whatever the first answer held
            status, body = attempt.answer
            return Response(body, status, {REPLAYED: "true"}, media_type), True
        response, well = await answer()
        if attempt.replayed:
            response.headers[REPLAYED] = "true"
        effect = bool(attempt.done)
        if well and attempt.fields.issuperset(permissions):  # what runs again (a login) has another answer each time
            await _keep(caller, attempt, response)
        return response, effect


def made_before(caller: Caller) -> UUID | None:
    """What an earlier request with the same key made outside the schema, as far as that is known beforehand."""
    attempt = caller.attempt
    if attempt is None or (before := attempt.done.get("")) is None:
        return None
    attempt.replayed = True
    return UUID(before["made"]["id"])


async def first(caller: Caller, made: UUID) -> UUID:
    """For what is made outside the schema: its id, or that of what an earlier request with the same key made."""
    attempt = caller.attempt
    if attempt is None:
        return made
    try:
        async with caller.services.database.transaction() as session:
            await attempt.claim(session, "")
            await attempt.record(session, "", "", made)
    except Repeated as repeated:
        attempt.replayed = True
        return UUID(repeated.made["id"])
    return made


def _fingerprint(method: str, path: str, query: str, said: bytes) -> str:
    return hashlib.sha256(b"\n".join((method.encode(), path.encode(), query.encode(), said))).hexdigest()


async def _require_rights(caller: Caller, attempt: Attempt, permissions: Mapping[str, Permission]) -> None:
    """Raise what doing it would raise for a caller who may not any more."""
    assert caller.principal is not None, "a key has an owner"
    async with caller.services.database.read() as session:
        for entry in attempt.done.values():
            permission = permissions.get(entry["field"], PUBLIC)
            authorize(caller.principal, permission)
            await outcome.may_see(session, Grant(caller.principal, permission), entry["made"])


async def _keep(caller: Caller, attempt: Attempt, response: Response) -> None:
    """Store the answer. That this fails is no reason to withhold it: it can be built anew."""
    try:
        await attempt.keep(caller.services.database, response.status_code, bytes(response.body))
    except Exception as error:
        log.warning("answer_not_kept", error=f"{type(error).__name__}: {error}", request_id=caller.request.id)
