"""`POST /api/uploads`: a file for a later operation that names its id; as a form, or as the bare body with `?filename=`."""

from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import Invalid, Message
from coreplex.platform.permissions import WRITE, Permission
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile
from edge.body import json_answer, stream_of
from edge.caller import Caller
from edge.idempotency import REPLAYED, first, once
from edge.routing import RouteRow
from rest_compat import unknown
from rest_compat.adapter import admit
from rest_compat.endpoint import ANY_MEDIA
from rest_compat.files import Receiver, answering
from rest_compat.openapi.common import problems, security
from rest_compat.openapi.names import NAMED
from rest_compat.openapi.operation import KEYED, answer
from rest_compat.stored import operations

PATH = "/api/uploads"
RECEIPT = {
    "id": "Identifier of the upload.",
    "upload_id": "The same.",
    "filename": "Its name.",
    "sha256": "Digest of its bytes.",
}
"""What the answer says of a file."""


def inbox_rows(services: Services) -> list[RouteRow]:
    """What answers there."""
    return [("POST", PATH, answering(Inbox(services).answer))]


class Inbox(Receiver):
    """The handler."""

    permission: Permission = WRITE

    async def answer(self, request: Request) -> Response:
        context = await admit(self.services, request, operations()["UploadTarget"])
        context.admit(self.permission)
        self.check_length(request)
        file, ignored = await self._file(request, context)
        with self.kept_on_success(file):
            said = orjson.dumps([file.filename, file.sha256])

            async def answer() -> tuple[Response, bool]:
                kept = await first(context, file.id)
                return self._receipt(self.services.staging.open(kept, file.owner_id), ignored), True

            response = await once(context, request, {"": self.permission}, lambda: said, answer)
        if REPLAYED in response.headers:
            self.services.staging.discard(file)
        return response

    async def _file(self, request: Request, context: Caller) -> tuple[StagedFile, list[str]]:
        """The file, and what was ignored beside it."""
        content_type = request.headers.get("content-type", "")
        if not content_type.lower().startswith("multipart/"):
            filename = request.query_params.get("filename", "")
            if not filename:
                raise Invalid.field(Message("filename_missing", "name the file: ?filename=…"), "query", "filename")
            file = await self.stage(context, stream_of(request), filename)
            return file, unknown.parameters(request.query_params, {"filename"})
        form = self.form(request)
        await form.until_file()
        file = await self.receive(context, form)
        return file, unknown.keys(form.fields, ()) + unknown.parameters(request.query_params, ())

    def _receipt(self, file: StagedFile, ignored: Sequence[str]) -> Response:
        facts = {"filename": file.filename, "size_bytes": file.size_bytes, "sha256": file.sha256}
        warned = {unknown.WARNINGS: ignored} if ignored else {}
        return json_answer({"id": str(file.id), "upload_id": str(file.id), **facts, **warned}, 201)


def described() -> dict[str, Any]:
    """The one endpoint of the description that is no operation."""
    binary = {"type": "string", "format": "binary", "description": "The file."}
    form = {"type": "object", "properties": {"file": binary}, "required": ["file"], NAMED: "UploadFileForm"}
    text = {name: {"type": "string", "description": about} for name, about in RECEIPT.items()}
    known = {**text, "size_bytes": {"type": "integer", "description": "Bytes it has."}}
    properties = {**known, unknown.WARNINGS: unknown.SCHEMA}
    receipt = {"type": "object", "properties": properties, "required": list(known), NAMED: "UploadFileAnswer"}
    filename = {"name": "filename", "in": "query", "required": False, "schema": {"type": "string", "minLength": 1}}
    operation = {
        "operationId": "UploadFile",
        "tags": ["dataset"],
        "summary": "Receive a file for a later `uploadDataset` in GraphQL, which names it by `upload_id`; it waits for an hour.",
        "parameters": [{**filename, "description": "Name of the file when it is sent as the bare body."}, KEYED],
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, ANY_MEDIA: {"schema": {"type": "string", "format": "binary"}}},
        },
        "responses": {"201": answer(receipt, REPLAYED), **problems()},
        "x-rate-limit": "general",
        "security": security(False, False, "POST"),
    }
    return {PATH: {"post": operation}}
