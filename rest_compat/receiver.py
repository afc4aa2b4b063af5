"""Takes files from requests: streamed into the staging folder, hashed and counted on their way to disk."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import DomainError, Invalid, TooLarge
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile
from coreplex.platform.staging_quota import in_words
from edge.answers import error_answer
from edge.body import announced, stream_of
from edge.caller import Caller
from edge.multipart import Form
from edge.request import exchange_of
from rest_compat.adapter import Handler
from schema.errors import domain_error

FORM_OVERHEAD = 2 << 20
"""What a form may add to its file: boundaries, headers and the text fields."""


def answering(handler: Handler) -> Handler:
    """Errors as answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            request_id = exchange_of(request).request_id
            return error_answer(error if isinstance(error, DomainError) else domain_error(error, request_id), request_id)

    return answer


class Receiver:
    """Takes one file from a request into the staging folder."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.limit = services.settings.max_dataset_upload_bytes

    def form(self, request: Request) -> Form:
        return Form(request.headers.get("content-type", ""), stream_of(request), self.limit + FORM_OVERHEAD)

    async def receive(self, context: Caller, form: Form) -> StagedFile:
        assert form.filename is not None, "the file has begun"
        return await self._stage(form.file(), context, form.filename)

    async def receive_raw(self, request: Request, context: Caller) -> StagedFile:
        filename = request.query_params.get("filename", "")
        if not filename:
            raise Invalid.field("name the file: ?filename=…", "query", "filename")
        return await self._stage(stream_of(request), context, filename)

    async def _stage(self, chunks: AsyncIterator[bytes], context: Caller, filename: str) -> StagedFile:
        assert context.principal is not None, "uploads need a scope"
        return await self.services.staging.receive(
            chunks, owner_id=context.principal.user_id, filename=filename, limit=self.limit
        )

    def check_length(self, request: Request) -> None:
        """Refuse by the announced length, where there is one, before anything is read."""
        if announced(request) > self.limit + FORM_OVERHEAD:
            raise TooLarge(f"The file is larger than the limit of {in_words(self.limit)}.")

    @contextmanager
    def kept_on_success(self, file: StagedFile) -> Iterator[None]:
        """Remove the staged file when what it was sent for fails."""
        try:
            yield
        except BaseException:
            self.services.staging.discard(file)
            raise
