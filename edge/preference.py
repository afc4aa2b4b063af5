"""What a client likes, as headers such as `Accept` and `Accept-Encoding` say it."""

from typing import Any


def weights(header: str) -> dict[str, float]:
    """How much each is liked, from 0 (not at all) to 1, by lower-case name. A weight that makes no sense is 0."""
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = [piece.strip().lower() for piece in part.split(";")]
        if name:
            found[name] = _quality(parameters)
    return found


def _quality(parameters: list[str]) -> float:
    said: Any = next((one[2:] for one in parameters if one.startswith("q=")), 1)
    try:
        return min(1.0, max(0.0, float(said)))
    except ValueError:
        return 0.0
