"""Identifiers: UUIDv7 made in Python, and the reading of the ones callers send."""

import os
import time
from uuid import UUID

from coreplex.errors.tree import NotFound


def new_id() -> UUID:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    return UUID(int=_new_bits())


def new_text_id() -> str:
    """The same as a text, for what is never a UUID in Python: half the time."""
    digits = f"{_new_bits():032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _new_bits() -> int:
    stamp = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    return (stamp & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1


def parse_id(text: str | UUID, noun: str) -> UUID:
    """The identifier, or NotFound: a malformed id names nothing, so it is not found (contract A.1)."""
    if isinstance(text, UUID):
        return text
    try:
        return UUID(text)
    except (ValueError, AttributeError, TypeError):
        raise NotFound.of(noun) from None
