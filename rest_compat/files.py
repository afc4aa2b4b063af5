"""Files over REST, streamed both ways: into the staging folder and out of it. What they mean is said by stored operations.

An upload is received first, hashed and counted on its way to disk, and then named to its operation by its id; a download asks
an operation for a file and streams what it names. Whether the caller may is asked before a byte is taken.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from coreplex.errors.tree import Invalid, Message, TooLarge
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile, file_too_large
from edge.body import announced, decode_json, json_answer, stream_of
from edge.caller import Caller
from edge.multipart import Form
from edge.routing import RouteRow
from rest_compat import unknown
from rest_compat.adapter import Handler, Row, admit, done_once, refusal, run, run_bound, run_with
from rest_compat.columns import no_json
from rest_compat.endpoint import Endpoint, Kind
from rest_compat.stored import operations
from rest_compat.table import rows_of
from rest_compat.variables import binder_of

FORM_OVERHEAD = 2 << 20
"""What a form may add to its file: boundaries, headers and the text fields."""


def file_rows(services: Services) -> list[RouteRow]:
    """Uploads and downloads, for the same walk as the table's other rows."""
    uploads = [(row, Upload(services, row).answer) for row in rows_of(Kind.upload)]
    downloads = [(row, Download(services, row).answer) for row in rows_of(Kind.download)]
    return [(row.method, row.path, answering(answer)) for row, answer in (*uploads, *downloads)]


class Receiver:
    """Takes one file from a request into the staging folder."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.limit = services.settings.max_dataset_upload_bytes
        self.too_large: Callable[[int], TooLarge] = file_too_large

    def form(self, request: Request) -> Form:
        return Form(request.headers.get("content-type", ""), stream_of(request), self.limit + FORM_OVERHEAD)

    async def receive(self, context: Caller, form: Form) -> StagedFile:
        """The form's file, staged. `form.until_file()` goes before."""
        assert form.filename is not None, "the file has begun"
        return await self.stage(context, form.file(), form.filename)

    async def stage(self, context: Caller, chunks: AsyncIterator[bytes], filename: str) -> StagedFile:
        """Bytes as they come, streamed to the disk under a new id. Raises TooLarge, QuotaExceeded."""
        assert context.principal is not None, "uploads need a scope"
        return await self.services.staging.receive(
            chunks, owner_id=context.principal.user_id, filename=filename, limit=self.limit, too_large=self.too_large
        )

    def check_length(self, request: Request) -> None:
        """Refuse by the announced length, where there is one, before anything is read."""
        if announced(request) > self.limit + FORM_OVERHEAD:
            raise self.too_large(self.limit)

    @contextmanager
    def kept_on_success(self, file: StagedFile) -> Iterator[None]:
        """Remove the staged file when what it was sent for fails."""
        try:
            yield
        except BaseException:
            self.services.staging.discard(file)
            raise


class Upload(Receiver):
    """An endpoint that takes a form with a file, or names an upload that is here already, and runs an operation on it."""

    def __init__(self, services: Services, endpoint: Endpoint) -> None:
        super().__init__(services)
        self.endpoint = endpoint
        self.operation = operations()[endpoint.operation]
        assert endpoint.file is not None, "an upload says what its file is"
        self.file = endpoint.file
        self.limit, self.too_large = getattr(services.settings, self.file.limit), self.file.too_large
        self.target = operations()[self.file.target]
        self.binder = binder_of(endpoint)
        self.by_id = Row(services, endpoint)

    async def answer(self, request: Request) -> Response:
        if request.headers.get("content-type", "").lower().startswith("application/json"):
            return await self.by_id.answer(request)
        context = await admit(self.services, request, self.operation)
        self.check_length(request)
        form = self.form(request)
        if not await form.until_file(unless=("upload_id", *self.file.or_else)):
            return await self._once(context, request, form.fields, form.fields)
        await self._check_target(context, {**form.fields, **request.path_params})
        file = await self.receive(context, form)
        with self.kept_on_success(file):
            if "upload_id" in form.fields:
                raise Invalid.field(Message("file_and_id", "send a file or the id of one, not both"), "body", "upload_id")
            said = [form.fields, file.filename, file.sha256]
            response = await self._once(context, request, said, {**form.fields, "upload_id": str(file.id)})
        self.services.staging.discard(file)
        return response

    async def _once(self, context: Caller, request: Request, said: Any, fields: Mapping[str, Any]) -> Response:
        return await done_once(context, request, self.operation, said, lambda: self._run(context, request, fields))

    async def _check_target(self, context: Caller, said: Mapping[str, Any]) -> None:
        """Refuse a foreign project before its file is received, when the form names it first (as the client does)."""
        ids = {into: said[name] for name, into in self.file.into.items() if name in said}
        if ids:
            await run(self.target, ids, context)

    async def _run(self, context: Caller, request: Request, fields: Mapping[str, Any]) -> Response:
        said = {**fields, **_parsed(fields, self.endpoint.in_json)}
        answered = await run_with(self.binder, context, request.path_params, request.query_params, said)
        return json_answer(answered, self.endpoint.status)


def _parsed(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a form that are JSON texts, read; an empty one says nothing. Raises Invalid."""
    found = {}
    for name, example in names.items():
        if isinstance(text := fields.get(name), str):
            found[name] = _read(name, text, example) if text.strip() else None
    return found


def _read(name: str, text: str, example: str) -> Any:
    try:
        return decode_json(text.encode(), name, Invalid)
    except Invalid:
        raise no_json(name, example) from None


class Download:
    """An endpoint whose operation names a file; the answer is the file."""

    def __init__(self, services: Services, endpoint: Endpoint) -> None:
        self.services = services
        self.endpoint = endpoint
        self.operation = operations()[endpoint.operation]
        self.binder = binder_of(endpoint)

    async def answer(self, request: Request) -> Response:
        context = await admit(self.services, request, self.operation)
        bound = self.binder.bind(request.path_params, request.query_params, {})
        named = await run_bound(self.binder, bound, context)
        assert context.principal is not None, "downloads need a scope"
        file = self.services.staging.open(named["id"], context.principal.user_id)
        return self._stream(file, unknown.parameters(request.query_params, self.binder.accepted))

    def _stream(self, file: StagedFile, ignored: Sequence[str]) -> Response:
        headers = {"Content-Disposition": attachment(file.filename), **unknown.header(ignored)}
        # A file somebody asked for by its id may be fetched again; one made for this answer has served.
        served = BackgroundTask(self.services.staging.discard, file) if self.endpoint.made_for_answer else None
        return FileResponse(file.path, headers=headers, media_type=file.content_type, background=served)


def answering(handler: Handler) -> Handler:
    """Errors as answers."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            return refusal(error, request)

    return answer


def attachment(filename: str) -> str:
    """`Content-Disposition` for any name: plain for old clients, exact for the others (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
