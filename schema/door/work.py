"""What runs the operations of one process, whatever transport they came by: in turn, once per key, and to the end where they
change something."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from graphql import ExecutionResult, OperationType
from starlette.requests import HTTPConnection
from starlette.responses import Response

from coreplex.errors.tree import DomainError, Message
from coreplex.platform.answer_size import require_size
from coreplex.platform.fair_places import CALLER, FairPlaces, Limits
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Category
from coreplex.platform.services import Part, Services
from edge.admission import Admission
from edge.idempotency import REPLAYED, as_by_post
from edge.request import charge, exchange_of, give_back
from edge.unread import Unread
from resolvers.context import Context
from schema.door.admission import Admitted, admit
from schema.door.answers import dump, executed, is_request_error
from schema.door.documents import Documents
from schema.door.live import SignIn, Subscription, confirm
from schema.door.message import GraphQLRequest, parse_message
from schema.errors import BadDocument, BadRequest
from schema.execution import run

COSTLY = 500
"""From this price on a query is run beside no other one of its caller: building it holds up everybody for a tenth of a second."""
COSTLY_PLACES = Limits(total=4, each=1, patience=30.0, waiting_each=60, retry_after=5)
PATH = "/graphql"
STOP_SECS = 10.0
Result = TypeVar("Result")


class Work(Part):
    """The operations of one process."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._going_on: set[asyncio.Task[Any]] = set()
        self.documents = Documents(services)
        self.admission = Admission.of(services)
        self.unread = Unread.of(services)
        self.costly = FairPlaces(COSTLY_PLACES, "costly answers")

    async def admit(self, context: Context, connection: HTTPConnection, message: GraphQLRequest) -> Admitted:
        """The operation of a request, charged. Raises the DomainError of a refusal."""
        return await admit(self.documents, context, connection, message)

    async def understand(self, context: Context, connection: HTTPConnection, value: Any) -> GraphQLRequest:
        """The request in a decoded JSON value. Raises BadRequest, which is charged too."""
        try:
            return parse_message(value)
        except DomainError:
            await charge(context, {Category.general: 1}, connection)
            raise

    async def result(self, context: Context, admitted: Admitted) -> ExecutionResult:
        """Of a query or mutation."""
        costly = admitted.operation.kind is OperationType.QUERY and admitted.cost >= COSTLY
        async with self.costly.place() if costly else nullcontext():
            return await run(admitted.operation, admitted.variables, context)

    def place(self, connection: HTTPConnection) -> AbstractAsyncContextManager[None]:
        """A place among the requests of this process, as each over HTTP has one. Raises Busy."""
        return self.admission.place(connection.scope)

    async def payloads(
        self, context: Context, connection: HTTPConnection, admitted: Admitted, sign_in_again: SignIn
    ) -> AsyncGenerator[bytes | None, None]:
        """All that an operation answers over a connection that carries several, and None while a subscription is silent.

        Raises what a subscription is refused with; the generator what it is ended by.
        """
        if admitted.operation.kind is not OperationType.SUBSCRIPTION:
            return self._whole(context, connection, admitted)
        subscription = Subscription(admitted.operation, admitted.message.variables, context, sign_in_again)
        return self._followed(context, subscription.follow(await subscription.open()))

    async def _followed(
        self, context: Context, following: AsyncGenerator[ExecutionResult | None, None]
    ) -> AsyncGenerator[bytes | None, None]:
        async with aclosing(following) as results:
            async for result in results:
                yield None if result is None else self._dumped(executed(result, context.request.id))

    async def _whole(
        self, context: Context, connection: HTTPConnection, admitted: Admitted
    ) -> AsyncGenerator[bytes | None, None]:
        """One answer. Who hangs up ends a query; a mutation is brought to its end. Raises Busy for who leaves answers untaken."""
        reads, who = admitted.operation.kind is OperationType.QUERY, CALLER.get()
        async with self.place(connection):
            self.unread.require_read(who)
            answering = self._answered(context, connection, admitted)
            answer = await (answering if reads else self._to_the_end(answering))
        if reads:
            self.unread.require_read(who)
        with self.unread.held(len(answer)):
            yield answer

    async def _answered(self, context: Context, connection: HTTPConnection, admitted: Admitted) -> bytes:
        async def answer() -> tuple[Response, bool]:
            result = await self.result(context, admitted)
            if is_request_error(result):
                raise BadDocument(result.errors or ())
            body = executed(result, context.request.id, admitted.cost)
            return Response(self._dumped(body)), not (result.errors or context.refused)

        try:
            key = idempotency_key(admitted)
            if key is None:
                return bytes((await answer())[0].body)
            said = admitted.message.canonical()
            return _marked(await as_by_post(context, key, PATH, admitted.operation.keyed, said, answer))
        finally:
            await give_back(exchange_of(connection), context)

    async def _to_the_end(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of work that goes on when nobody waits for it any more."""
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._going_on.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited was told it; nobody else needs to be

    async def stop(self) -> None:
        """Wait a moment for what must not end in the middle."""
        if self._going_on:
            await asyncio.wait(self._going_on, timeout=STOP_SECS)

    def _dumped(self, body: dict[str, Any]) -> bytes:
        """Raises AnswerTooLarge."""
        return require_size(dump(body), self.services.settings.max_answer_bytes)


async def context_of_operation(opened: Context, sign_in_again: SignIn) -> Context:
    """The context of one operation on a connection that was opened before: its own request, and who its caller is by now."""
    principal = await confirm(sign_in_again) or opened.principal
    return Context(opened.services, principal, replace(opened.request, id=str(new_id())))


def idempotency_key(admitted: Admitted) -> str | None:
    """The key in the message of a transport without headers. Raises BadRequest where it would do nothing."""
    key = (admitted.message.extensions or {}).get("idempotencyKey")
    if key is None:
        return None
    if not isinstance(key, str):
        raise BadRequest(Message("idempotency_key_no_text", "`extensions.idempotencyKey` must be a text."))
    if not admitted.operation.keyed:
        raise BadRequest(
            Message(
                "idempotency_key_without_effect",
                "`extensions.idempotencyKey` has an effect only on mutations that need a credential.",
            )
        )
    return key


def _marked(response: Response) -> bytes:
    """The body, which says itself what a header says elsewhere: that it was done before."""
    if REPLAYED not in response.headers:
        return bytes(response.body)
    body = orjson.loads(response.body)
    return dump({**body, "extensions": {**body.get("extensions", {}), "idempotentReplayed": True}})
