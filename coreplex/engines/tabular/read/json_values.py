"""Reads JSON as a stream: an array of objects, objects one after the other (JSON Lines), or the one array inside an
object.

Memory holds one record and a piece of the file. Numbers keep the digits they were written with: a float of 64 bits
would change long keys. Whatever is not JSON is refused with its line.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from coreplex.engines.tabular.read.interface import Limits
from coreplex.errors.tree import BadInput, Message

Record = dict[str, Any]
_BLANK = re.compile(r"[ \t\r\n]*")
_LONGEST_WORD = 32
"""So near to the end of a piece an error may be a cut: in `-Infinity` or an escaped pair of surrogates."""
_KEY = json.JSONDecoder()


class Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class Values:
    """The records of a JSON text. `line` is where the last one began; `loaded` counts the pieces read so far."""

    def __init__(self, pieces: Iterator[str], limits: Limits, *, lines: bool) -> None:
        self._pieces = pieces
        self._limits = limits
        self._lines = lines
        """The file's name says that it is JSON Lines: there a single object is a row."""
        self._text = ""
        self._at = 0
        self._before = 0
        self._ended = False
        self.loaded = 0
        self.sequence = False
        """Whether it was objects one after the other."""
        self.repeated_keys = 0
        self.not_numbers = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_int=Number, parse_float=Number, parse_constant=self._constant
        )

    @property
    def line(self) -> int:
        """The line at which the reader stands, from 1."""
        return self._line_of(self._at)

    def records(self) -> Iterator[Record]:
        """Every record. Raises BadInput, naming the line, for what is no JSON, no object, or ends in the middle."""
        opening = self._next()
        if opening == "[":
            self._at += 1
            yield from self._array()
        elif self._first_is_whole():
            yield from self._sequence()
        else:
            yield from self._wrapped()
        if self._next():
            raise self._refused("there is something after the end of the JSON value")

    # What the text is made of

    def _array(self) -> Iterator[Record]:
        """The objects up to the closing bracket; the opening one was read."""
        if self._next() == "]":
            self._at += 1
            return
        while True:
            yield self._record()
            following = self._next()
            self._at += 1
            if following == "]":
                return
            if following != ",":
                self._at -= 1
                raise self._refused("a comma or the end of the list is missing") if following else self._cut_off()
            self._next()

    def _sequence(self) -> Iterator[Record]:
        first = self._record()
        if not self._next() and not self._lines:
            yield from self._single(first)
            return
        self.sequence = True
        yield first
        while following := self._next():
            if following == ",":
                self._at += 1
                self._next()
            yield self._record()

    def _single(self, whole: Record) -> Iterator[Record]:
        """One object: a wrapper around its only list of objects."""
        lists = [key for key, value in whole.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if len(lists) != 1:
            raise self._no_table(lists)
        for number, record in enumerate(whole[lists[0]], start=1):
            if not isinstance(record, dict):
                raise BadInput(
                    Message(
                        "entry_no_object",
                        "Entry {number} of {list!r} is no JSON object. A table is a list of objects.",
                        number=number,
                        list=lists[0],
                    )
                )
            yield record

    def _wrapped(self) -> Iterator[Record]:
        """A large object: its only list of objects is streamed, its other members are skipped."""
        self._at += 1
        found: list[str] = []
        while (following := self._next()) != "}":
            key = self._value(_KEY)
            if not isinstance(key, str) or self._next() != ":":
                raise self._refused("a key and a colon are missing") if following else self._cut_off()
            self._at += 1
            if self._next() == "[" and self._peek_in_list() == "{":
                found.append(key)
                if len(found) > 1:
                    raise self._no_table(found)
                self._at += 1
                yield from self._array()
            else:
                self._value(self._decoder)
            if self._next() == ",":
                self._at += 1
            elif self._next() != "}":
                raise self._refused("a comma or the end of the object is missing") if self._next() else self._cut_off()
        self._at += 1
        if not found:
            raise self._no_table(found)

    def _no_table(self, lists: list[str]) -> BadInput:
        if not lists:
            return BadInput(
                Message(
                    "json_single_object",
                    "The JSON holds a single object; a table is one list of objects, one for each row (in pandas: "
                    "to_json(orient='records')), or JSON Lines with the ending .jsonl.",
                )
            )
        return BadInput(
            Message(
                "json_several_lists",
                "The JSON holds {count} lists of objects ({lists!r}); a table is one list of objects, one for each row (in "
                "pandas: to_json(orient='records')), or JSON Lines with the ending .jsonl.",
                count=len(lists),
                lists=lists[:5],
            )
        )

    # Values

    def _record(self) -> Record:
        value = self._value(self._decoder)
        if not isinstance(value, dict):
            kind = "a list" if isinstance(value, list) else "a single value"
            raise BadInput(
                Message(
                    "no_object_on_line",
                    "Line {line}: {found} stands where an object is expected, with a key for each column.",
                    line=self.line,
                    found=kind,
                )
            )
        return value

    def _value(self, decoder: json.JSONDecoder) -> Any:
        """The value at the position. More is read while it may only be cut by the end of the piece."""
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
                if end < len(self._text) or self._ended or isinstance(value, (dict, list)):
                    self._at = end
                    return value
                self._more()
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or len(self._text) - error.pos < _LONGEST_WORD
                if self._ended and (error.msg.startswith("Unterminated") or not self._text[error.pos :].strip()):
                    raise self._cut_off() from None
                final = self._ended or not cut
                if final or len(self._text) - self._at > self._limits.line_bytes:
                    raise self._refused(error.msg, error.pos) from None
                self._more()
            except RecursionError:
                raise self._refused("it is nested too deeply") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> Record:
        found = dict(pairs)
        self.repeated_keys += len(pairs) - len(found)
        return found

    def _constant(self, word: str) -> Number | None:
        if word == "NaN":
            self.not_numbers += 1
            return None
        return Number(word.replace("Infinity", "inf"))

    # The text

    def _first_is_whole(self) -> bool:
        """Whether objects follow each other, rather than one around them all; a row of megabytes needs a name that says
        so.
        """
        if self._lines:
            return True
        try:
            self._decoder.raw_decode(self._text, self._at)
        except (json.JSONDecodeError, RecursionError):
            return self._ended
        return True

    def _next(self) -> str:
        """The next character that is not blank, at the position; empty at the end."""
        while True:
            match = _BLANK.match(self._text, self._at)
            assert match is not None
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _peek_in_list(self) -> str:
        while True:
            match = _BLANK.match(self._text, self._at + 1)
            assert match is not None
            if match.end() < len(self._text):
                return self._text[match.end()]
            if not self._more():
                return ""

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        self.loaded += 1
        self._ended = piece is None
        self._before += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + (piece or ""), 0
        return not self._ended

    def _line_of(self, position: int) -> int:
        return self._before + self._text.count("\n", 0, position) + 1

    def _refused(self, why: str, position: int | None = None) -> BadInput:
        at = self._at if position is None else position
        began = self._line_of(self._at)
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        if began == (line := self._line_of(at)):
            return BadInput(
                Message(
                    "json_not_valid",
                    "Line {line} is not valid JSON (character {character}: {why}). Mend it and upload again.",
                    line=line,
                    character=column,
                    why=why,
                )
            )
        return BadInput(
            Message(
                "json_record_not_valid",
                "Line {line} is not valid JSON (character {character}: {why}; its record began on line {began}). Mend it and "
                "upload again.",
                line=line,
                character=column,
                why=why,
                began=began,
            )
        )

    def _cut_off(self) -> BadInput:
        line = self._line_of(len(self._text.rstrip()))
        return BadInput(
            Message(
                "json_cut_off",
                "Line {line} ends in the middle of the JSON: the file was cut off. Write it again and upload it.",
                line=line,
            )
        )


def written(value: Any) -> str:
    """A parsed value as JSON text again, numbers with their own digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return value if type(value) is Number else json.dumps(value, ensure_ascii=False)
