"""Columns that give the target away: copies of it, things known only afterwards.

A feature that nearly settles the target alone is a leak. One that is merely far ahead of all others is suspicious: honest strong
features (carat for price, petals for iris) come in company.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coreplex.engines.diagnosis.probes import Probe
from coreplex.engines.tabular.notes import Severity

CERTAIN_CLASS = 0.9
CERTAIN_NUMBER = 0.965
STRONG = 0.8
GAP = 0.25


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
    next_best: float
    leave_out: tuple[str, ...]
    evidence: dict[str, Any] = field(default_factory=dict)


def alone(probes: Mapping[str, Probe], target: str, *, classification: bool) -> list[Leak]:
    """Which columns settle the target by themselves, the strongest first. Certain ones do not count as company for the rest."""
    certain = CERTAIN_CLASS if classification else CERTAIN_NUMBER
    doubtful = sorted((found.skill for found in probes.values() if found.skill < certain), reverse=True)
    scores = {found.skill: found.score for found in probes.values()}
    leaks = []
    for name, found in probes.items():
        others = doubtful[1:] if doubtful and found.skill == doubtful[0] else doubtful
        best = max(others[0], 0.0) if others else 0.0
        settled = found.skill >= certain
        if not settled and not (found.skill >= STRONG and best <= found.skill - GAP and len(probes) > 2):
            continue
        share = f"{100 * found.skill:.0f} %"
        message = (
            f"Column {name!r} alone settles {target!r} ({share} explained). It probably repeats it or is known only afterwards: "
            "leave it out, or models will look perfect and fail in use."
            if settled
            else f"Column {name!r} explains {target!r} suspiciously well ({share}; the next best column {100 * best:.0f} %). "
            "Make sure that it is known before the outcome."
        )
        next_best = scores.get(others[0], 0.0) if others else 0.0
        evidence = {"target": target, "skill": round(found.skill, 4), "next_best": round(best, 4)}
        severity: Severity = "high" if settled else "medium"
        leaks.append(Leak("alone", (name,), severity, message, found.score, next_best, (name,), evidence))
    return sorted(leaks, key=lambda leak: -leak.alone)
