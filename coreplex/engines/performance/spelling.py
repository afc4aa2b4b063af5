"""When two spellings of a class are the same class."""

from typing import Any


def spelled(label: Any) -> str:
    """A class as one and the same text, however its sender's JSON has it: true is the `True` of a file, too, and 1.0 is 1."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    said = str(label)
    return said.lower() if said.lower() in {"true", "false"} else said
