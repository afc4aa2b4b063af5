"""Counts how large an answer has become while it is built, and ends one that would be too large.

What it is made from is counted too: a small answer may be a little of each of many large documents.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from coreplex.errors.tree import Message, TooLarge

LEAST_READ = 32 << 20
"""Bytes of documents any answer may be made from, however little it may have itself: they hold more than is shown of them."""


class AnswerTooLarge(TooLarge):
    """The answer would have more bytes than any answer may."""

    code = "answer_too_large"
    mendable = False

    @classmethod
    def of(cls, limit: int) -> "AnswerTooLarge":
        return cls(
            Message(
                "answer_too_large",
                "The answer would have more than {most}, or be made from more; "
                "ask for fewer rows, smaller pages or fewer fields at once.",
                most=f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes",
            )
        )


def require_size(body: bytes, limit: int) -> bytes:
    """The answer as it is written. Raises AnswerTooLarge."""
    if len(body) > limit:
        raise AnswerTooLarge.of(limit)
    return body


class AnswerSize:
    """The bytes of JSON that are certain so far, counted from several threads.

    Never more than will be written: the door that writes an answer decides whether it is too large, this only ends what would be.
    """

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.total = 0
        self.exceeded = False
        self.may_read = max(LEAST_READ, limit)
        self._lock = Lock()

    def add(self, count: int) -> None:
        """Raises AnswerTooLarge as soon as that is clear, and from then on."""
        with self._lock:
            self.total += count
            if self.total > self.limit:
                self.exceeded = True
        if self.exceeded:
            raise AnswerTooLarge.of(self.limit)

    def check(self) -> None:
        """Raise AnswerTooLarge when `add` has."""
        if self.exceeded:
            raise AnswerTooLarge.of(self.limit)

    def take_back(self, count: int) -> None:
        with self._lock:
            self.total -= count

    def read(self, count: int) -> None:
        """Say that a document of so many bytes was read for it. Raises AnswerTooLarge."""
        self.may_read -= count
        self.exceeded = self.exceeded or self.may_read < 0
        if self.exceeded:
            raise AnswerTooLarge.of(self.limit)

    def part(self) -> "Part":
        return Part(self)

    @contextmanager
    def reading(self) -> Iterator["Part"]:
        """Count what is read for one field, until it is counted as the value of that field."""
        part = self.part()
        try:
            yield part
        finally:
            part.give_up()


class Part:
    """What an attempt adds, which is taken back when the attempt is given up."""

    def __init__(self, whole: AnswerSize) -> None:
        self.whole = whole
        self.own = 0
        self.given_up = False

    def add(self, count: int) -> None:
        if not self.given_up:
            self.own += count
            self.whole.add(count)

    def check(self) -> None:
        self.whole.check()

    def give_up(self) -> None:
        self.given_up = True
        self.whole.take_back(self.own)

    def part(self) -> "Part":
        return self
