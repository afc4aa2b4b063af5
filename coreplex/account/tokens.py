"""Opaque secrets: 256 random bits handed out once; the server keeps only a digest and so can give none away."""

import base64
import hashlib
import secrets

LENGTH = 43
"""Characters of a token: 32 bytes in URL-safe base64 without padding."""


def new() -> str:
    """A fresh token of 256 bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is stored of a token. SHA-256 without salt is enough: nobody can guess 256 bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def csrf_of(session_token: str) -> str:
    """The CSRF token that belongs to a session: derived one way, so it is bound to the cookie and stored nowhere."""
    return base64.urlsafe_b64encode(digest(f"csrf:{session_token}")).decode().rstrip("=")
