"""Identifiers: UUIDv7 made in Python, and the reading of the ones callers send."""

import os
import time
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
    return _spelled(_first_digits(), os.urandom(_RANDOM).hex())


def new_text_ids(count: int) -> list[str]:
    """Several of the same moment: a fifth of the time each."""
    first, digits = _first_digits(), os.urandom(_RANDOM * count).hex()
    return [_spelled(first, digits[at : at + 2 * _RANDOM]) for at in range(0, 2 * _RANDOM * count, 2 * _RANDOM)]


def _first_digits() -> str:
    """The moment, and the version."""
    moment = f"{_moment():012x}"
    return f"{moment[:8]}-{moment[8:]}-7"


def _spelled(first: str, digits: str) -> str:
    """An id that begins with these, of twenty random digits: of the last, two bits go behind those of the variant."""
    return f"{first}{digits[:3]}-{_VARIANTS[digits[19]]}{digits[3:6]}-{digits[6:18]}"


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
