"""What subscriptions share over every transport: a place per caller, a pulse, and an end when the credential ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Any, TypeVar

from graphql import ExecutionResult, GraphQLError

from coreplex.account.cache import AccessCache
from coreplex.errors.tree import Message, RateLimited, Unauthenticated, Unavailable
from coreplex.platform.permissions import Principal
from resolvers.context import Context
from schema.execution import Operation, subscribe

PULSE_SECS = 12.0
LIFETIME_SECS = 3600.0

Item = TypeVar("Item")
Check = Callable[[], Awaitable[None]]
SignIn = Callable[[], Awaitable[Principal | None]]
SIGNED_OUT = Unauthenticated(Message("credential_ended", "The credential of this connection has ended; sign in again."))


class Places:
    """Limits how many long answers each caller of this process holds at once."""

    def __init__(self, limit: int, noun: str) -> None:
        self.limit = limit
        self.noun = noun
        self._taken: Counter[str] = Counter()

    def require(self, who: str) -> None:
        """Raise RateLimited when the caller has no place left."""
        if self._taken.get(who, 0) >= self.limit:
            raise RateLimited(
                Message("too_many_live", "At most {most} {noun} at once; close one first.", most=self.limit, noun=self.noun),
                retry_after=int(PULSE_SECS),
            )

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Hold a place for as long as the block runs."""
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]


async def confirm(sign_in_again: SignIn) -> Principal | None:
    """The caller, asked again. Raises Unauthenticated when a credential that was good is so no longer.

    A database that is away proves nothing: None.
    """
    try:
        principal = await sign_in_again()
    except Unavailable:
        return None
    if principal is None:
        raise SIGNED_OUT
    return principal


class Subscription:
    """One subscription of one caller, followed for as long as the caller might open it anew."""

    def __init__(self, operation: Operation, variables: Mapping[str, Any], context: Context, sign_in_again: SignIn) -> None:
        self.operation = operation
        self.variables = variables
        self.context = context
        self.sign_in_again = sign_in_again

    async def open(self) -> AsyncIterator[ExecutionResult]:
        """The results to come. Raises the error of a subscription that is refused."""
        results = await subscribe(self.operation, self.variables, self.context)
        if isinstance(results, ExecutionResult):
            raise (results.errors or [GraphQLError("The subscription could not be opened.")])[0]
        return results

    async def follow(self, results: AsyncIterator[ExecutionResult]) -> AsyncGenerator[ExecutionResult | None, None]:
        """The results as they come, with pulses between; an error that ends it is raised."""
        principal = self.context.principal
        assert principal is not None, "who subscribes has a credential"
        with AccessCache.of(self.context.services).watched(principal) as changed:
            async with aclosing(pulsing(results, self._signed_in, self._may_open, changed)) as pulses:
                async for result in pulses:
                    yield result

    async def _signed_in(self) -> None:
        self.context.principal = await confirm(self.sign_in_again) or self.context.principal

    async def _may_open(self) -> None:
        """Raise what opening it would raise now."""
        await self._signed_in()
        try:
            results = await self.open()
        except GraphQLError as error:
            if isinstance(error.original_error, Unavailable):
                return
            raise
        await _close(results, None)


async def done_before(waiting: "asyncio.Future[Any]", changed: asyncio.Event, pulse: float) -> bool:
    """Whether `waiting` came to its end before `changed` was set, which is taken back, and before `pulse` seconds."""
    ringing = asyncio.ensure_future(changed.wait())
    try:
        # Not wait_for: it would cancel the source, which then is over.
        await asyncio.wait({waiting, ringing}, timeout=pulse, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ringing.cancel()
    rung = changed.is_set()
    changed.clear()
    return waiting.done() and not rung


async def pulsing(
    items: AsyncIterator[Item], still_signed_in: Check, still_allowed: Check, changed: asyncio.Event, pulse: float = PULSE_SECS
) -> AsyncGenerator[Item | None, None]:
    """The items as they come, and None whenever `pulse` seconds pass without one, or `changed` was set.

    `still_signed_in` is asked before each item, `still_allowed` at each None; either raises to end the whole. Ends by itself
    after LIFETIME_SECS, so that no connection outlives a deployment for ever; a client that wants more comes back with its last
    cursor. Closes `items` in any case.
    """
    end = asyncio.get_running_loop().time() + LIFETIME_SECS
    task = asyncio.current_task()
    waiting: asyncio.Future[Item] | None = None
    try:
        # A cancellation that a library on the way here swallowed is still counted by the task.
        while asyncio.get_running_loop().time() < end and not (task and task.cancelling()):
            waiting = waiting or asyncio.ensure_future(anext(items))
            if not await done_before(waiting, changed, pulse):
                await still_allowed()
                yield None
                continue
            await still_signed_in()
            finished, waiting = waiting, None
            try:
                item = finished.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        await _close(items, waiting)


async def _close(items: AsyncIterator[Item], waiting: "asyncio.Future[Item] | None") -> None:
    if waiting is not None:
        waiting.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await waiting
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
