"""Identifiers: UUIDv7 made in Python, and the reading of the ones callers send."""

import os
import time
from datetime import UTC, datetime
from uuid import UUID

from coreplex.errors.tree import NotFound

_RANDOM = 10
"""Bytes of chance in an id, six bits of which are left out."""
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    return UUID(int=_new_bits())


def new_text_id() -> str:
    """The same as a text, for what is never a UUID in Python: a third of the time."""
    moment, digits = f"{_moment():012x}", os.urandom(_RANDOM).hex()
    return f"{moment[:8]}-{moment[8:]}-7{digits[:3]}-{_VARIANTS[digits[19]]}{digits[3:6]}-{digits[6:18]}"


def new_text_ids(count: int) -> list[str]:
    """Several of the same moment, in their order: one by chance, and those that follow it (RFC 9562 §6.2), in no time."""
    first = new_text_id()
    if count == 1:
        return [first]
    head, last = first[:24], int(first[24:], 16) >> 1  # half of what fits in, so that none of them runs over
    return [f"{head}{number:012x}" for number in range(last, last + count)]


def moment_of(text: str) -> datetime | None:
    """When a UUID version 7 was made; None of anything else."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    try:
        return datetime.fromtimestamp((found.int >> 80) / 1000, UTC) if found.version == 7 else None
    except (OverflowError, ValueError):
        return None  # beyond the year 9999


def _moment() -> int:
    return time.time_ns() // 1_000_000 & (1 << 48) - 1


def _new_bits() -> int:
    random = int.from_bytes(os.urandom(_RANDOM), "big")
    return _moment() << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1


def parse_id(text: str | UUID, noun: str) -> UUID:
    """The identifier, or NotFound: a malformed id names nothing, so it is not found (contract A.1)."""
    if isinstance(text, UUID):
        return text
    try:
        return UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise NotFound.of(noun) from None
