"""Entry point of the child process that diagnoses a target: JSON in, JSON out, the heavy imports inside.

python -m coreplex.engines.child coreplex.engines.diagnosis.task:run
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coreplex.engines.child import Report


def run(request: dict[str, Any], report: "Report") -> dict[str, Any]:
    """request: `table`, `schema`, `target`, `problem_type`, `roles`, `seed`, `seconds`, `patience`. Returns what it finds."""
    from coreplex.engines.diagnosis.diagnose import diagnose
    from coreplex.engines.diagnosis.request import Question, Roles
    from coreplex.engines.tabular.schema import TableSchema

    report.progress(0.05, "looking at the target before training")
    question = Question(request["target"], request["problem_type"], Roles.of(request["roles"]))
    schema = TableSchema.from_json(request["schema"])
    limits = {name: request[name] for name in ("seed", "seconds", "patience")}
    return diagnose(Path(request["table"]), schema, question, **limits)
