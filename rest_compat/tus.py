"""Resumable uploads by the open protocol tus 1.0.0 (https://tus.io/protocols/resumable-upload) at `/api/uploads/tus`.

Core, creation (with the first bytes), expiration, termination and checksums: what `tus-js-client`, `tuspy` and Uppy speak. The
id at the end of an upload's address is the `upload_id` of `uploadDataset`. Creating one is charged as any request; sending its
bytes is not, so neither many small pieces nor many tries end at a rate limit.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import ClassVar
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import BadInput, DomainError, Message
from coreplex.platform.permissions import WRITE, Category
from coreplex.platform.resumable import ALGORITHMS, Checksum, Resumable, Upload
from coreplex.platform.services import Services
from edge.body import stream_of
from edge.caller import Caller
from edge.idempotency import REPLAYED, first, made_before, once
from edge.request import charge, check_csrf, check_origin
from edge.routing import RouteRow
from rest_compat.adapter import admit, refusal
from rest_compat.stored import operations
from schema.execution import open_context

ROOT = "/api/uploads/tus"
ONE = f"{ROOT}/{{upload_id}}"
VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "expiration", "termination", "checksum")
WHOLE_NUMBER = "^[0-9]{1,18}$"
CHUNK_TYPE = "application/offset+octet-stream"
SENT = (
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Metadata",
    "Upload-Checksum",
    "Upload-Defer-Length",
    "X-HTTP-Method-Override",
)
EXPOSED = (
    "Location",
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Expires",
)
Act = Callable[[Request], Awaitable[Response]]


class WrongVersion(DomainError):
    code: ClassVar[str] = "unsupported_version"
    status: ClassVar[int] = 412


class WrongMediaType(DomainError):
    code: ClassVar[str] = "unsupported_media_type"
    status: ClassVar[int] = 415


class WrongMethod(DomainError):
    code: ClassVar[str] = "method_not_allowed"
    status: ClassVar[int] = 405


class Tus:
    """Handles the requests of resumable uploads (`coreplex.platform.resumable`)."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.uploads: Resumable = services.resumable

    def rows(self) -> list[RouteRow]:
        acts = {"HEAD": self._state, "PATCH": self._append, "DELETE": self._terminate}
        return [
            ("OPTIONS", ROOT, self._capabilities),
            ("OPTIONS", ONE, self._capabilities),
            ("POST", ROOT, self._answering(self._create)),
            # For clients whose network lets only GET and POST pass.
            ("POST", ONE, self._answering(self._overridden)),
            *((method, ONE, self._answering(act)) for method, act in acts.items()),
        ]

    def _answering(self, act: Act) -> Act:
        """The protocol's headers on every answer, errors included; a HEAD has no body to say them in."""

        async def answer(request: Request) -> Response:
            try:
                if request.headers.get("tus-resumable") != VERSION:
                    raise WrongVersion(
                        Message(
                            "wrong_tus_version",
                            "Send the header Tus-Resumable: {version}, the version of tus spoken here.",
                            version=VERSION,
                        )
                    )
                response = await act(request)
            except Exception as error:
                response = refusal(error, request)
                if request.method == "HEAD":
                    response = Response(status_code=response.status_code)
            response.headers["Tus-Resumable"] = VERSION
            if response.status_code == 412:
                response.headers["Tus-Version"] = VERSION
            return response

        return answer

    async def _capabilities(self, _request: Request) -> Response:
        headers = {
            "Tus-Resumable": VERSION,
            "Tus-Version": VERSION,
            "Tus-Extension": ",".join(EXTENSIONS),
            "Tus-Max-Size": str(self.uploads.limit),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        return Response(status_code=204, headers=headers)

    async def _create(self, request: Request) -> Response:
        context = await admit(self.services, request, operations()["UploadTarget"])
        context.admit(WRITE)
        assert context.principal is not None, "uploads need a scope"
        name, length = filename_of(request.headers.get("upload-metadata", "")), _number(request, "upload-length")
        owner, checksum = context.principal.user_id, _checksum(request)
        begun: list[Upload] = []

        async def begin() -> tuple[Response, bool]:
            begun.append(await self._begun(context, owner, name, length))
            return self._said(begun[0], 201, {"Location": f"{ROOT}/{begun[0].id}"}), False

        response = await once(context, request, {"": WRITE}, lambda: orjson.dumps([name, length]), begin)
        if REPLAYED in response.headers:
            return response  # with the offset at which to go on
        chunks = stream_of(request) if _has_bytes(request) else _nothing()
        response.headers.update(_state(await self.uploads.append(begun[0], 0, chunks, checksum)))
        return response

    async def _begun(self, context: Caller, owner: UUID, name: str, length: int) -> Upload:
        """A new upload, or the one that an earlier request with the same key began, as it is now."""
        before = made_before(context)
        if before is None:
            upload = await asyncio.to_thread(self.uploads.create, owner, name, length)
            try:
                before = await first(context, upload.id)
            except BaseException:
                self.uploads.discard(upload)
                raise
            if before == upload.id:
                return upload
            self.uploads.discard(upload)
        return self.uploads.open(before, owner)

    async def _state(self, request: Request) -> Response:
        upload = await self.uploads.finish(await self._own(request))
        name = base64.b64encode(upload.filename.encode()).decode()
        return self._said(upload, 200, {"Upload-Length": str(upload.length), "Upload-Metadata": f"filename {name}"})

    async def _append(self, request: Request) -> Response:
        upload = await self._own(request)
        if not _has_bytes(request):
            raise WrongMediaType(
                Message("wrong_chunk_type", "Send the bytes as Content-Type: {media_type}.", media_type=CHUNK_TYPE)
            )
        offset = _number(request, "upload-offset")
        return self._said(await self.uploads.append(upload, offset, stream_of(request), _checksum(request)), 204)

    async def _terminate(self, request: Request) -> Response:
        self.uploads.discard(await self._own(request))
        return Response(status_code=204)

    async def _overridden(self, request: Request) -> Response:
        wanted = request.headers.get("x-http-method-override", "").upper()
        if wanted not in ("PATCH", "DELETE"):
            raise WrongMethod(Message("override_missing", "POST here needs X-HTTP-Method-Override: PATCH or DELETE."))
        return await (self._append if wanted == "PATCH" else self._terminate)(request)

    async def _own(self, request: Request) -> Upload:
        """The upload, when it is the caller's. Free of charge: its creation was paid for, and its size is limited."""
        context: Caller = await open_context(self.services, request)
        if context.principal is None:
            await charge(context, {Category.general: 1}, request)
        context.admit(WRITE)
        assert context.principal is not None, "uploads need a scope"
        if request.method != "HEAD":
            check_origin(request, self.services.settings)
            check_csrf(context)
        return self.uploads.open(request.path_params["upload_id"], context.principal.user_id)

    def _said(self, upload: Upload, status: int, headers: dict[str, str] | None = None) -> Response:
        return Response(status_code=status, headers={**_state(upload), **(headers or {})})


def filename_of(metadata: str) -> str:
    """The file's name from `Upload-Metadata`: keys with values in Base64, separated by commas. Raises BadInput."""
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return base64.b64decode(value.strip(), validate=True).decode("utf-8", "replace") or "upload"
            except binascii.Error:
                raise BadInput(
                    Message("metadata_no_base64", "Upload-Metadata: the value of {key!r} is not Base64.", key=key)
                ) from None
    return "upload"


def _state(upload: Upload) -> dict[str, str]:
    return {"Upload-Offset": str(upload.offset), "Upload-Expires": formatdate(upload.expires_at, usegmt=True)}


def _has_bytes(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == CHUNK_TYPE


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not re.fullmatch(WHOLE_NUMBER, text):
        raise BadInput(
            Message("no_number_of_bytes", "The header {header} must be a whole number of bytes.", header=header.title())
        )
    return int(text)


def _checksum(request: Request) -> Checksum | None:
    text = request.headers.get("upload-checksum")
    return None if text is None else Checksum.parse(text)


async def _nothing() -> AsyncIterator[bytes]:
    for _ in ():
        yield b""
