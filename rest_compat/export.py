"""`python -m rest_compat.export`: writes rest_compat/openapi.json, the committed description of the REST API."""

from pathlib import Path

import orjson

from rest_compat.openapi.document import document

PATH = Path(__file__).parent / "openapi.json"


def text() -> bytes:
    """The description as it is committed."""
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    PATH.write_bytes(text())
