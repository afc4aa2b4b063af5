"""What webhooks can be told of. Each concept declares its own, in a module that every process imports (its `jobs.py`, say)."""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_TYPE = 64
PING = "ping"


@dataclass(frozen=True)
class EventType:
    """`name` is `noun.what_happened`."""

    name: str
    description: str


_TYPES: dict[str, EventType] = {}


def declare(name: str, description: str) -> str:
    """Make a type known; returns its name. Raises ValueError when it is taken or too long."""
    if name in _TYPES or not 0 < len(name) <= MAX_TYPE:
        raise ValueError(f"the type of event `{name}` is declared already, or has no 1 to {MAX_TYPE} characters")
    _TYPES[name] = EventType(name, description)
    return name


def is_known(name: str) -> bool:
    return name in _TYPES


def choices() -> Sequence[EventType]:
    """Those a webhook can ask for, by name."""
    return [_TYPES[name] for name in sorted(_TYPES) if name != PING]


declare(PING, "A test, sent when somebody asks for it.")
