"""The text of API keys: `cpx_live.<id>.<secret><checksum>`, after GitHub's token format.

The prefix lets secret scanners find leaked keys; the checksum (CRC-32 of everything before it) lets a mistyped key be refused
without asking the database. It proves nothing: only the stored SHA-256 of the whole text does.
"""

import re
import secrets
import zlib
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MARK = "cpx_live"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 22, 43, 6
_SHAPE = re.compile(
    rf"(?P<body>{MARK}\.(?P<id>[0-9A-Za-z]{{{ID_LENGTH}}})\.[0-9A-Za-z]{{{SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


def new(key_id: UUID) -> str:
    """The text of a new key: 256 random bits under this id."""
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    body = f"{prefix(key_id)}.{secret}"
    return body + _checksum(body)


def prefix(key_id: UUID) -> str:
    """The part of a key that may be shown, to tell keys apart."""
    return f"{MARK}.{_base62(key_id.int, ID_LENGTH)}"


def id_of(text: str) -> UUID | None:
    """The id a well-formed key names; None for anything mistyped, at the price of one CRC."""
    found = _SHAPE.fullmatch(text)
    if found is None or _checksum(found["body"]) != found["checksum"]:
        return None
    number = 0
    for character in found["id"]:
        number = number * 62 + ALPHABET.index(character)
    return UUID(int=number) if number < 1 << 128 else None


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
