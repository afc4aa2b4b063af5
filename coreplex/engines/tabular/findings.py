"""Defines a finding, the one type for what reading, quality rules and diagnosis tell the user, and how shares are written."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True)
class Finding:
    """One issue of a quality report, about a column or (column None) about the table.

    `kind` is a stable key for programs, `message` a sentence for people that says what to do, `evidence` what it rests
    on, JSON-ready. `affected_rows` counts rows, or cells where a row has one cell at most; 0 where no row is meant.
    """

    kind: str
    severity: Severity
    message: str
    _: KW_ONLY
    column: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    affected_rows: int = 0


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent, four decimals; 0 of nothing."""
    return round(100.0 * part / whole, 4) if whole else 0.0
