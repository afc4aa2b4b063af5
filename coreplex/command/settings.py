"""`settings`: every environment variable the server reads, as the table of the README."""

from argparse import ArgumentParser, Namespace
from enum import StrEnum
from typing import Any

from pydantic.fields import FieldInfo

from coreplex.platform.settings import Settings

HEAD = "| Variable | Default | Meaning |\n|---|---|---|"


def add_arguments(parser: ArgumentParser) -> None:
    """None: the environment says it all."""


def run(options: Namespace) -> int:
    print(table())
    return 0


def table() -> str:
    """A Markdown table with one row per setting, in the order of the class."""
    rows = (f"| `{name.upper()}` | {_default(field)} | {field.description} |" for name, field in Settings.model_fields.items())
    return "\n".join([HEAD, *rows])


def _default(field: FieldInfo) -> str:
    """As one would write it in the environment; what depends on the machine is told in the description."""
    value: Any = field.default
    if field.default_factory is not None:
        return "(machine)"
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.value if isinstance(value, StrEnum) else value}`"
