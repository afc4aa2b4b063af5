"""A mutation's resolver under an `Idempotency-Key`: what was done before is found, not done again."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from coreplex.idempotency import outcome
from coreplex.idempotency.service import Repeated
from coreplex.platform.database import WriteSession
from coreplex.serving.service import Asked
from resolvers.guard import Info

Result = TypeVar("Result")
Given = ParamSpec("Given")
Resolver = Callable[Concatenate[Info, Given], Coroutine[Any, Any, Result]]


def once(resolver: Resolver[Given, Result]) -> Resolver[Given, Result]:
    """For a resolver that does its act by `act`. Without a key it simply runs; with one, a second time gives the first's result.

    Asked before the resolver prepares anything. When another process was quicker meanwhile, `act` raises through it, so that
    what it prepared is thrown away as after a refusal.
    """

    @wraps(resolver)
    async def done(info: Info, /, *given: Given.args, **named: Given.kwargs) -> Result:
        attempt = info.context.attempt
        if attempt is None:
            return await resolver(info, *given, **named)
        try:
            if (before := attempt.done.get(info.place)) is not None:
                raise Repeated(before["made"])
            return await resolver(info, *given, **named)
        except Repeated as repeated:
            attempt.replayed = True
            async with info.context.read() as session:
                result: Result = await outcome.load(session, info.grant, repeated.made)
            return result

    return done


async def act(info: Info, work: Callable[[WriteSession], Awaitable[Result]]) -> Result:
    """The one transaction of a mutation field. What it made is committed with it, under the request's key if there is one."""
    attempt = info.context.attempt
    async with info.context.transaction() as session:
        if attempt is None:
            return await work(session)
        await attempt.claim(session, info.place)
        result = await work(session)
        await attempt.record(session, info.place, info.field_name, result)
        return result


acted = once(act)
"""For an act that nothing is prepared for: `act`, whose result a second time is found."""


def asked(info: Info) -> Asked:
    """With which request a field is asked that makes nothing but is noted: under a key, the same when it is sent again."""
    attempt = info.context.attempt
    request_id = info.context.request.id
    return Asked(request_id) if attempt is None else Asked(request_id, attempt, info.place, info.field_name)
