"""Holds what a person says about columns before they are read, and refuses what would lose too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.engines.tabular.types import vocabulary
from coreplex.errors.nearest import hint
from coreplex.errors.tree import Invalid

MOST_LOST = 0.5
"""The share of a column's values that may be lost to a type; beyond it a person must say `force`."""
EXAMPLES = 5


@dataclass(frozen=True)
class Overrides:
    """What a person says: `types`: column → type. `missing`: column → texts missing in it. `everywhere`: texts missing
    in all.

    `force`: read so even where most of a column is lost.
    """

    types: Mapping[str, ColumnType] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    everywhere: tuple[str, ...] = ()
    force: bool = False

    def texts(self, name: str) -> tuple[str, ...]:
        """Every text said to be missing in a column."""
        return (*self.missing.get(name, ()), *self.everywhere)

    def missing_of(self, name: str, kind: str, usual: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """`Column.missing` of a column read as that kind of rule, where `usual` was found to be usual in it."""
        own = self.missing.get(name, usual)
        return _with(own, self.everywhere, text=kind == "string") if self.everywhere else own

    def loss_finding(self, name: str, kind: str, lost: int, kept: int, examples: Sequence[str]) -> Finding:
        """The finding about values that did not fit an ordered type. Raises Invalid when they are most of the column."""
        shown = ", ".join(map(repr, examples[:EXAMPLES]))
        if not self.force and lost > MOST_LOST * (lost + kept):
            raise Invalid.field(
                f"Column {name!r} read as {kind} would lose {_part(lost, lost + kept)} values, such as {shown}. "
                "Choose another type, or say force: true.",
                "overrides",
                name,
                "type",
            )
        severity: Severity = "medium" if kept else "high"
        message = f"{lost:,} cells of {name!r} are no {kind} and were taken as missing: {shown}."
        return Finding("mixed_types", severity, message, evidence={"examples": list(examples)}, column=name, affected_rows=lost)


def with_missing(column: Column, values: Sequence[str]) -> tuple[str, ...]:
    """`Column.missing` of the column when these are missing in it, too."""
    return _with(column.missing, values, text=column.dtype == "string")


def _with(own: tuple[str, ...] | None, more: Sequence[str], *, text: bool) -> tuple[str, ...]:
    bare = sorted(vocabulary.SIGNS) if text else ()
    return tuple(dict.fromkeys([*(bare if own is None else own), *more]))


def unknown_column(name: str, names: Sequence[str]) -> str:
    """The sentence about a column that is not there; it names the nearest one."""
    return f"There is no column {name!r} in this table.{hint(name, names)}"


def _part(lost: int, present: int) -> str:
    return "all of its" if lost == present else f"{lost:,} of its {present:,}"
