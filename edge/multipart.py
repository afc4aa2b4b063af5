"""A multipart form read as it arrives: short text fields, and one file that is handed on chunk by chunk, never gathered.

The parser is python-multipart's; this is the order of events around it. Refuses a second file, long or many fields, and a form
that ends too early or not at all.
"""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from coreplex.errors.tree import BadInput, FieldError, Invalid, Message, TooLarge

MAX_PARTS = 20
MAX_FIELD_BYTES = 64 << 10
FILE_FIELD = "file"


@dataclass
class _Part:
    """The part that is being read. `filename` is None for a text field."""

    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    name: str = ""
    filename: str | None = None


class Form:
    """`await form.until_file()`, then consume `form.file()`; afterwards `form.fields` is complete.

    `limit` is the most bytes the whole form may have. Raises BadInput, Invalid and TooLarge.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes], limit: int) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise Invalid(Message("send_as_multipart", "Send the file as multipart/form-data."))
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._body = body
        self._room = limit
        self._parts = 0
        self._part = _Part()
        self._header_name = bytearray()
        self._data: list[bytes] = []
        self._ended = False
        try:
            self._parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._part.header.extend(data[start:end]),
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadInput(_unreadable(error)) from None

    async def until_file(self, *, unless: Collection[str] = ()) -> bool:
        """Read until the file begins. False when the form has a field of `unless` in its place; raises Invalid without both."""
        while self.filename is None and await self._more():
            pass
        if self.filename is None and not self.fields.keys().isdisjoint(unless):
            return False
        if self.filename is None:
            raise Invalid.fields([FieldError.missing("body", FILE_FIELD)], skip=1)
        return True

    async def file(self) -> AsyncIterator[bytes]:
        """The file's bytes, and then the rest of the form."""
        more = True
        while more:
            while self._data:
                yield self._data.pop(0)
            more = await self._more()

    async def _more(self) -> bool:
        """Read one piece of the body. False at its end; raises BadInput when that comes too early."""
        async for chunk in self._body:
            self._room -= len(chunk)
            if self._room < 0:
                raise TooLarge(Message("form_too_large", "The form is larger than its file may be."))
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise BadInput(_unreadable(error)) from None
            return True
        if not self._ended:
            raise BadInput(Message("form_ends_early", "The multipart form ends before its last boundary."))
        return False

    def _begin(self) -> None:
        self._part = _Part()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadInput(Message("too_many_parts", "The form has more than {most} parts.", most=MAX_PARTS))

    def _header_end(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            self._part.disposition = bytes(self._part.header)
        self._header_name.clear()
        self._part.header.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(_latin(self._part.disposition))
        self._part.name = _text(options.get(b"name", b""))
        if b"filename" not in options:
            return
        if self.filename is not None:
            raise Invalid.field(Message("one_file_only", "send one file only"), "body", self._part.name)
        if self._part.name != FILE_FIELD:
            raise Invalid.field(
                Message("file_in_wrong_field", "the file must be in the field '{field}'", field=FILE_FIELD),
                "body",
                self._part.name,
            )
        self.filename = self._part.filename = _text(options[b"filename"])

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.filename is not None:
            self._data.append(data[start:end])
            return
        self._part.value.extend(data[start:end])
        if len(self._part.value) > MAX_FIELD_BYTES:
            raise Invalid.field(
                Message("form_field_too_large", "has more than {most} KB", most=MAX_FIELD_BYTES >> 10), "body", self._part.name
            )

    def _part_end(self) -> None:
        value = _text(bytes(self._part.value))
        # Clients send an optional field they leave out as an empty one.
        if self._part.filename is None and value:
            self.fields[self._part.name] = value

    def _end(self) -> None:
        self._ended = True


def _latin(header: bytes) -> str:
    return header.decode("latin-1")


def _text(value: bytes) -> str:
    """UTF-8 as browsers and clients send it; other bytes stay visible as replacement characters."""
    return value.decode("utf-8", errors="replace")


def _unreadable(error: FormParserError) -> Message:
    return Message("form_unreadable", "The multipart form cannot be read: {error}.", error=str(error))
