"""Turns what a diagnosis found into issues of a quality report."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from coreplex.engines.diagnosis import experiment_warnings
from coreplex.engines.diagnosis.imbalance import LEAST_EVENNESS
from coreplex.engines.diagnosis.leakage.leak import Leak
from coreplex.engines.tabular.findings import Finding, Severity


def issues(target: str, leaks: Sequence[Leak], classes: dict[str, Any] | None, step: float | None = None) -> list[dict[str, Any]]:
    """Every leak, class imbalance and a target that counts the rows, as `Finding`s in JSON.

    `classes`: what `class_counts` returned, None for a number; `step`: what `row_step` returned.
    """
    found = [
        Finding("target_leak", leak.severity, leak.message, column=leak.columns[0], evidence=_evidence(leak)) for leak in leaks
    ]
    if classes is not None and classes["class_count"] > 1 and classes["even"] < LEAST_EVENNESS:
        found.append(_uneven(target, classes))
    if step is not None:
        found.append(
            Finding(
                "target_is_order",
                "high",
                experiment_warnings.row_counter_text(target, step),
                column=target,
                evidence={"step": step},
            )
        )
    return [asdict(issue) for issue in found]


def _evidence(leak: Leak) -> dict[str, Any]:
    return {**leak.evidence, "kind": leak.kind, "columns": leak.columns, "leave_out": leak.leave_out, "alone": leak.alone}


def _uneven(target: str, counted: dict[str, Any]) -> Finding:
    commonest, rarest = counted["classes"][0], counted["classes"][-1]
    severity: Severity = "high" if rarest["pct"] < 1 else "medium" if counted["even"] < 0.2 else "low"
    message = (
        f"The classes of {target!r} are uneven: {rarest['value']!r} has {rarest['count']:,} rows ({rarest['pct']:.1f} %), "
        f"{commonest['value']!r} {commonest['count']:,}. Judge models by AUC or log loss, not accuracy, or balance the classes."
    )
    return Finding("class_imbalance", severity, message, column=target, evidence=counted, affected_rows=rarest["count"])
