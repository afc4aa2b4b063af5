"""One finding of the searches for leaks."""

from dataclasses import dataclass, field
from typing import Any

from coreplex.engines.diagnosis.leakage.detector_input import Case
from coreplex.engines.tabular.findings import Severity

LATER = "Make sure that it is known before the outcome, or leave it out."


@dataclass(frozen=True)
class Leak:
    """`columns` that give the target away together, and `leave_out`, those of them to drop.

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


def of_one(case: Case, kind: str, name: str, message: str, severity: Severity = "high", **evidence: Any) -> Leak:
    """The leak of a single column, which is left out when it is certain."""
    score = case.probes[name].score if name in case.probes else 1.0
    leave_out = (name,) if severity == "high" else ()
    return Leak(kind, (name,), severity, message, score, leave_out=leave_out, evidence=evidence)
