"""`Leak`: columns that give the target away, as one detector found them."""

from dataclasses import dataclass, field
from typing import Any

from coreplex.engines.diagnosis.leakage.detector_input import DetectorInput
from coreplex.engines.tabular.findings import Severity

VERIFY_TIMING = "Make sure that it is known before the outcome, or leave it out."


@dataclass(frozen=True)
class Leak:
    """`columns` that give the target away together, and `leave_out`, those of them to drop. JSON has the same names.

    `alone` is their score without any other column, `next_best` that of the best other column alone, in the target's metric.
    """

    kind: str
    columns: tuple[str, ...]
    severity: Severity
    message: str
    alone: float
    next_best: float = 0.0
    leave_out: tuple[str, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)


def single_column_leak(
    data: DetectorInput, kind: str, name: str, message: str, severity: Severity = "high", **evidence: Any
) -> Leak:
    """The leak of one column, to be left out where the severity is high; a column without a univariate score counts as 1."""
    score = data.univariate[name].score if name in data.univariate else 1.0
    leave_out = (name,) if severity == "high" else ()
    return Leak(kind, (name,), severity, message, score, leave_out=leave_out, evidence=evidence)
