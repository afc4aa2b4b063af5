"""How deep and how many-parted JSON from callers may be."""

from typing import Any

MAX_JSON_DEPTH = 32
MAX_JSON_CONTAINERS = 100_000
"""Lists and objects in one body: each costs fifty times its two bytes in memory, and time in which nobody else is served."""


def containers(raw: bytes | str) -> int:
    """At most how many lists and objects a JSON text has, counted without reading it. Brackets within strings count too."""
    return raw.count(b"[") + raw.count(b"{") if isinstance(raw, bytes) else raw.count("[") + raw.count("{")


def too_deep(value: Any, limit: int = MAX_JSON_DEPTH) -> bool:
    """Whether lists and objects nest deeper than `limit`; walks level by level, never recursing."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [item for one in level for item in _items(one) if isinstance(item, dict | list)]
        if not level:
            return False
    return any(level)


def _items(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
