"""What is wrong with a table, in the public contract: issues with their harm and their fix, and the facts behind them."""

from typing import Any, NamedTuple

import orjson
import strawberry

from coreplex.dataset.issue_kinds import KINDS, LEAKS
from coreplex.dataset.version_issues import Issue
from resolvers import dataset as resolve
from schema.common import key, named_enum
from schema.cost import INSIDE
from schema.document_fields import at, pairs
from schema.enums import enum
from schema.node import node_elsewhere
from schema.scalars import JSON, Long, Value

IssueKind: Any = named_enum("DatasetIssueKind", KINDS)
enum(IssueKind, "What may be wrong with a table.", {name: kind.what for name, kind in KINDS.items()})
LeakKind: Any = named_enum("LeakKind", LEAKS)
enum(LeakKind, "How columns give the target away.", LEAKS)
Severity: Any = named_enum("Severity", ("low", "medium", "high"))
enum(
    Severity,
    "How grave something is.",
    {"low": "To know of.", "medium": "To look at.", "high": "To mend, or results mislead."},
)
CALLS = ("graphql", "rest")


class Fact(NamedTuple):
    """A part of some evidence, by what it is."""

    name: str
    value: Any = None
    values: list[Any] | None = None
    entries: list[tuple[str, Any]] | None = None
    groups: list[list[Any]] | None = None
    rows: list[list[tuple[str, Any]]] | None = None


def facts(evidence: dict[str, Any]) -> list[Fact]:
    """The facts of some evidence by name, calls that settle it left out. What is stored has lost the order it was made in."""
    return [_fact(name, value) for name, value in sorted(evidence.items()) if name not in CALLS]


def _fact(name: str, value: Any) -> Fact:
    if isinstance(value, dict):
        return Fact(name, entries=_entries(value))
    if not isinstance(value, list):
        return Fact(name, value)
    if value and all(isinstance(one, list) for one in value):
        return Fact(name, groups=[list(map(_flat, one)) for one in value])
    if value and all(isinstance(one, dict) for one in value):
        return Fact(name, rows=list(map(_entries, value)))
    return Fact(name, values=list(map(_flat, value)))


def _entries(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, _flat(one)) for name, one in pairs(value)]


def _flat(value: Any) -> Any:
    """What is nested deeper than any kind of issue nests it is told as JSON text."""
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value


@strawberry.type(description="A named value.")
class FactEntry:
    key: str = at(0, "Its name.", str)
    value: Value | None = at(1, "The value.", Value | None)


def _row(root: strawberry.Parent[Any]) -> Any:
    return root


@strawberry.type(description="Named values that belong together.")
class FactRow:
    entries: list[FactEntry] = strawberry.field(
        resolver=_row, graphql_type=list[FactEntry], metadata=INSIDE, description="The values."
    )


@strawberry.type(
    description="A fact behind an issue: one of a value, values, named values, groups of values and rows; the rest is null."
)
class IssueFact:
    name: str = strawberry.field(description="What it says: `missing_count`, `examples`, `lines`, …")
    value: Value | None = strawberry.field(description="A single value.")
    values: list[Value | None] | None = strawberry.field(description="Several values.")
    entries: list[FactEntry] | None = strawberry.field(metadata=INSIDE, description="Values by name.")
    groups: list[list[Value | None]] | None = strawberry.field(description="Values that go together, group by group.")
    rows: list[FactRow] | None = strawberry.field(metadata=INSIDE, description="Values by name, row by row.")


@strawberry.type(description="The call of the REST API that mends an issue.")
class RestCall:
    method: str = key("method", "The method.", str)
    path: str = key("path", "The path.", str)
    body: JSON = key("body", "What to send.", JSON)


def _text(root: strawberry.Parent[Issue]) -> str:
    return KINDS[root.stored["kind"]].fix


def _call(name: str) -> Any:
    def read(root: strawberry.Parent[Issue]) -> Any:
        return root.stored["evidence"].get(name)

    return read


@strawberry.type(description="What mends an issue.")
class IssueFix:
    text: str = strawberry.field(resolver=_text, description="What to do, a sentence for people.")
    mutation: str | None = strawberry.field(
        resolver=_call("graphql"), graphql_type=str | None, description="The mutation that does it, where one does."
    )
    rest: RestCall | None = strawberry.field(
        resolver=_call("rest"), graphql_type=RestCall | None, description="The same over REST."
    )


def _stored(name: str, kind: Any, description: str) -> Any:
    def read(root: strawberry.Parent[Issue]) -> Any:
        return root.stored[name]

    return strawberry.field(resolver=read, graphql_type=kind, description=description)


def _harm(root: strawberry.Parent[Issue]) -> str:
    return KINDS[root.stored["kind"]].harm


def _fix(root: strawberry.Parent[Issue]) -> Any:
    return root


def _evidence(root: strawberry.Parent[Issue]) -> Any:
    return facts(root.stored["evidence"])


@node_elsewhere(Issue, resolve.issue)
@strawberry.type(description="Something a person should know about the data, and can do something about.")
class DatasetIssue:
    id: strawberry.ID = strawberry.field(description="Identifier. It stays the same whenever this issue of this version is told.")
    kind: str = _stored("kind", IssueKind, "What is wrong.")
    severity: str = _stored("severity", Severity, "How grave it is.")
    column: str | None = _stored("column", str | None, "The column it is about; null for the whole table.")
    message: str = _stored("message", str, "What is wrong here and what to do, a sentence or two for people.")
    harm: str = strawberry.field(resolver=_harm, description="What such an issue does to models and results.")
    fix: IssueFix = strawberry.field(resolver=_fix, graphql_type=IssueFix, description="What mends it.")
    affected_row_count: Long = _stored("affected_rows", Long, "Rows it touches.")
    affected_percent: float = _stored("affected_pct", float, "Share of rows it touches, in percent.")
    evidence: list[IssueFact] = strawberry.field(
        resolver=_evidence, graphql_type=list[IssueFact], metadata=INSIDE, description="The facts behind it."
    )
