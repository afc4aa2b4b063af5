"""Fields that are published for a module which does not exist yet: only the value that promises nothing is taken.

What is stored and does nothing is worse than what is refused: somebody relies on it. When the module comes, the field's
`not_yet(only, …)` becomes an ordinary `Field(None, …)`, and nothing else refuses it.
"""

from typing import Any

import orjson
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


def only(value: Any) -> str:
    """How a description says which value is taken."""
    taken = "an empty value" if value == [] else f"`{_word(value)}`"
    return f"Not available in this version: only {taken} is taken."


def not_yet(value: Any, description: str, **limits: Any) -> Any:
    """A field that may be null, or `value`. Anything else that has its type is refused as `not_available`."""

    def check(sent: Any) -> Any:
        if sent is not None and sent != value:
            raise PydanticCustomError("not_available", "Not available in this version; leave it out.")
        return sent

    field = Field(None, description=f"{description} {only(value)}", json_schema_extra=_schema(value), **limits)
    field.metadata.append(AfterValidator(check))
    return field


def _word(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _schema(value: Any) -> dict[str, Any]:
    """The same for a JSON Schema. Numbers have ends, because every reader of one knows what these mean."""
    if isinstance(value, list):
        return {"maxItems": 0}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"minimum": value, "maximum": value}
    return {"enum": [value]} if isinstance(value, str) else {"const": value}
