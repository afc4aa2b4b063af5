"""Which columns of a version could be predicted, and how."""

from collections.abc import Sequence
from dataclasses import dataclass

from coreplex.dataset.versions import Documents
from coreplex.engines.automl.data import feasibility
from coreplex.engines.tabular.profile.target_suggestion import problem_type, ranked
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Invalid

MAX_TARGETS = 100


@dataclass(frozen=True, slots=True)
class TargetCandidate:
    """A column, how it would be predicted, and why it cannot be, if so."""

    column: str
    problem_type: str
    unique_count: int
    missing_pct: float
    refusal: str | None


def targets(known: Documents, first: int) -> Sequence[TargetCandidate]:
    """The likeliest `first` columns (MAX_TARGETS at most), the likeliest first."""
    schema, rows = TableSchema.from_json(known.table_schema), int(known.profile.get("row_count") or 0)
    found = []
    for column in ranked(known.profile.get("columns", []))[: max(1, min(first, MAX_TARGETS))]:
        kind = problem_type(column, rows)
        found.append(
            TargetCandidate(
                column=column["name"],
                problem_type=kind,
                unique_count=column["unique_count"],
                missing_pct=column["missing_pct"],
                refusal=_refusal(known, schema, column["name"], kind),
            )
        )
    return found


def _refusal(known: Documents, schema: TableSchema, name: str, kind: str) -> str | None:
    try:
        feasibility.check_creation(known.profile, schema, name, kind)
    except Invalid as error:
        return error.errors[0].msg if error.errors else error.message  # of the column, whatever the place is called
    return None
