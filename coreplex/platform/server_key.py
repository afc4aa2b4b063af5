"""The key of this server: 256 random bits in a file beside its data, and secrets that are derived from it and stored nowhere.

Every process that shares the data folder has the same. Who has a copy of the database alone has none of the secrets.
"""

import hashlib
import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from coreplex.platform.settings import Settings

FILE = "server.key"
LENGTH = 32


def derived(settings: Settings, purpose: str, salt: bytes) -> bytes:
    """256 bits that follow from the server's key, what they are for, and a salt (HMAC-SHA256, RFC 2104)."""
    return hmac.digest(_key(settings.data_dir / FILE), purpose.encode() + b"\0" + salt, hashlib.sha256)


@cache
def _key(path: Path) -> bytes:
    """The key in the file, which whoever asks first makes."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{FILE}.{secrets.token_hex(8)}")
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, path)  # unless another process was quicker: then its key is the key
        except FileExistsError:
            pass
        finally:
            made.unlink()
    found = path.read_bytes()
    if len(found) != LENGTH:
        raise ValueError(f"{path} is not a key of this server: it must have {LENGTH} bytes")
    return found
