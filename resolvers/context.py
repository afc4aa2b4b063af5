"""What one request carries to its resolvers: its caller with sessions and loaders, and a mutation's one transaction.

Under an `Idempotency-Key` what was done before is found, not done again.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID
from weakref import proxy

import strawberry
from sqlalchemy import Select

from coreplex.idempotency import outcome
from coreplex.idempotency.service import Repeated
from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.page import Page, Slice
from coreplex.platform.paging import View
from coreplex.platform.permissions import Grant, Principal, UserRole
from edge.caller import Caller
from resolvers.loading import Asking, Loaders

Result = TypeVar("Result")
Given = ParamSpec("Given")


NOT_BUILT = AnswerSize()
"""Of an answer before its operation runs."""


@dataclass
class Context(Caller):
    size: AnswerSize = NOT_BUILT
    """Of the answer that is being built; whoever executes an operation begins it."""
    proved: UUID | None = None
    """The account whose password this request has proved. Its answer may show the person what is theirs; no field is allowed
    more by it: who signs in is a stranger to the guard until the next request."""

    def sees_account(self, user_id: UUID) -> bool:
        """Whether the caller is that person, or administers the server."""
        principal = self.principal
        if principal is not None and (principal.user_id == user_id or principal.user_role is UserRole.admin):
            return True
        return self.proved == user_id

    refused: bool = False
    """A mutation of the request was refused, and said so in its payload."""

    @cached_property
    def loaders(self) -> Loaders:
        this = proxy(self)  # that both end with the request, and do not wait for the garbage collector with all they hold
        return Loaders(self.services.database, Asking(self.principal, lambda: this.size))

    def read(self) -> AbstractAsyncContextManager[ReadSession]:
        return self.services.database.read()

    def transaction(self) -> AbstractAsyncContextManager[WriteSession]:
        """The one transaction of a mutation field."""
        return self.services.database.transaction()

    async def slice(self, view: View, page: Page) -> Slice[Any]:
        """One page of a list."""

        async def count() -> int:
            async with self.services.database.reader() as reader:
                return await view.count(reader, page)

        async with self.services.database.reader() as reader:
            return await view.slice(reader, page, count)

    async def count(self, query: Select[Any]) -> int:
        """What a counting query says, in a session of its own: it is asked once the list's own is over."""
        async with self.read() as session:
            return int(await session.scalar(query) or 0)


class Info(strawberry.Info[Context, None]):
    """What a resolver knows about its field and its caller."""

    grant: Grant
    """The caller's for this field, of a field that is not public: its guard puts it here before the resolver runs."""

    @property
    def place(self) -> str:
        """Where the field's value stands in the answer."""
        return ".".join(map(str, self.path.as_list()))

    @property
    def principal(self) -> Principal:
        principal = self.context.principal
        assert principal is not None, "only fields that demand a scope may ask for the principal"
        return principal


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
