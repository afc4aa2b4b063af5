"""Runs a diagnosis in a child process: JSON in, JSON out, the heavy imports inside.

python -m coreplex.engines.child coreplex.engines.diagnosis.task:run
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coreplex.engines.child import Report


def run(request: dict[str, Any], report: "Report") -> dict[str, Any]:
    """request: `table`, `schema`, `target`, `problem_type`, `roles`, `seed`,
    `seconds` (of processor time), `patience` (seconds by the clock for each). Returns what `diagnose` does."""
    from coreplex.engines.diagnosis.diagnose import diagnose
    from coreplex.engines.diagnosis.request import ColumnRoles, DiagnosisRequest
    from coreplex.engines.tabular.schema import TableSchema

    report.progress(0.05, "looking at the target before training")
    asked = DiagnosisRequest(request["target"], request["problem_type"], ColumnRoles.of(request["roles"]))
    schema = TableSchema.from_json(request["schema"])
    limits = {"seed": request["seed"], "seconds": request["seconds"], "wall_per_cpu": request["patience"]}
    return diagnose(Path(request["table"]), schema, asked, **limits)
