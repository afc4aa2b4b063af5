"""A schema with every kind of field, and the comparison of a compiled operation with graphql-core's own executor."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Optional
from uuid import UUID

import orjson
import strawberry
from graphql import DocumentNode, ExecutionResult, OperationDefinitionNode, execute, get_variable_values, parse
from graphql.execution.values import VariableValues
from strawberry.dataloader import DataLoader

from schema.compiler.executor import CompilingExecutor
from schema.compiler.kept import Kept
from schema.compiler.operation import selections_of
from schema.compiler.plan import Planner
from schema.compiler.reading import Contextual, Loaded
from schema.compiler.reading import Item as Entry
from schema.field_sources import READING, readings_of


@strawberry.enum
class Colour(Enum):
    red = "red"


@dataclass
class Context:
    """The rows, and a loader that knows a text for every key but `nothing` and fails for `broken`."""

    rows: Any
    asked: list[list[Any]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loader: DataLoader[Any, Any] = DataLoader(load_fn=self._load)

    async def _load(self, keys: list[Any]) -> list[Any]:
        self.asked.append(keys)
        return [KeyError("broken") if key == "broken" else None if key == "nothing" else f"<{key}>" for key in keys]


def _hash(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _entry(root: strawberry.Parent[Any]) -> Any:
    return root.get("text")


def _named(root: strawberry.Parent[Any]) -> Any:
    return root.text


def _many(root: Any, context: Any) -> Any:
    return [root.text, str(len(context.rows))]


def _in_context(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    return _many(root, info.context)


async def _loaded(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    key = _hash(root.text)
    return None if key is None else await info.context.loader.load(key)


def _slow(root: strawberry.Parent[Any], info: strawberry.Info, fails: bool = False) -> Any:
    if fails:
        raise ValueError("as told")
    return root.text


def _deeper(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    info.context.called.append("deeper")
    return root


def _counted(root: strawberry.Parent[Any], info: strawberry.Info) -> str:
    info.context.called.append("counted")
    return "counted"


async def _waits(root: strawberry.Parent[Any]) -> str:
    await asyncio.sleep(0)
    if root.text == "a":
        raise ValueError("a fails")
    return "waited"


Lazy = Annotated["Item", strawberry.lazy("tests.graphql.compiled_rows")]

LOADED = Loaded(lambda context: context.loader, lambda row: _hash(row.text), lambda found, _: found)


@strawberry.type
class Small:
    entry: str = strawberry.field(resolver=_entry, graphql_type=str, metadata={READING: Entry("text")})


@strawberry.type
class Item:
    id: strawberry.ID | None
    text: str
    maybe: str | None
    number: int
    ratio: float | None
    flag: bool
    colour: Colour | None
    moment: datetime | None
    words: list[str]
    small: Small | None
    smalls: list[Small]
    child: Optional["Item"]
    children: list["Item"] | None
    loose: list[Small | None] | None
    named: str = strawberry.field(resolver=_named, graphql_type=str)
    many: list[str] | None = strawberry.field(
        resolver=_in_context, graphql_type=list[str] | None, metadata={READING: Contextual(_many)}
    )
    loaded: str | None = strawberry.field(resolver=_loaded, graphql_type=str | None, metadata={READING: LOADED})
    must: str = strawberry.field(resolver=_loaded, graphql_type=str, metadata={READING: LOADED})
    slow: str | None = strawberry.field(resolver=_slow, graphql_type=str | None)
    strict: str = strawberry.field(resolver=_slow, graphql_type=str)
    waits: str | None = strawberry.field(resolver=_waits, graphql_type=str | None)
    deeper: "Item" = strawberry.field(resolver=_deeper, graphql_type=Lazy)
    counted: str = strawberry.field(resolver=_counted)
    insists: str = strawberry.field(resolver=_waits, graphql_type=str)


@strawberry.type
class Query:
    @strawberry.field
    def items(self, info: strawberry.Info) -> list[Item | None]:
        return info.context.rows

    @strawberry.field
    def all(self, info: strawberry.Info) -> list[Item]:
        return info.context.rows

    @strawberry.field
    async def first(self, info: strawberry.Info) -> Item | None:
        return info.context.rows[0] if info.context.rows else None


core = strawberry.Schema(Query)._schema

planner = Planner(core, readings_of(core))


@dataclass
class Row:
    text: Any = "b"
    maybe: Any = None
    number: Any = 1
    ratio: Any = 0.5
    flag: Any = True
    colour: Any = Colour.red
    moment: Any = datetime(2026, 1, 1, tzinfo=UTC)
    words: Any = field(default_factory=lambda: ["a"])
    small: Any = field(default_factory=lambda: {"text": "s"})
    smalls: Any = field(default_factory=lambda: [{"text": "s"}, {"text": "t"}])
    child: Any = None
    children: Any = None
    loose: Any = None
    id: Any = field(default_factory=lambda: UUID(int=7))


async def executed(
    document: DocumentNode,
    rows: Any,
    kept: Kept | None = None,
    variables: dict[str, Any] | None = None,
    planned: Planner = planner,
) -> ExecutionResult:
    """The result for these rows: by compiled plans, which `kept` holds between executions, or by graphql-core alone."""
    more: dict[str, Any] = {} if kept is None else {"executor_class": CompilingExecutor, "planner": planned, "kept": kept}
    context = rows if isinstance(rows, Context) else Context(rows)
    found = execute(planned.schema, document, context_value=context, variable_values=variables, **more)
    return found if isinstance(found, ExecutionResult) else await found


def kept_for(document: DocumentNode, variables: dict[str, Any] | None = None, planned: Planner = planner) -> Kept:
    """A place for the plans of a document as these variables select from it."""
    selections = selections_of(document)
    assert selections is not None
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    values = get_variable_values(planned.schema, operation.variable_definitions or (), variables or {})
    assert isinstance(values, VariableValues)
    kept = selections.kept(values)
    assert kept is not None
    return kept


def nulled(data: Any, path: list[str | int]) -> str:
    """The place that is null because of an error at `path`."""
    for depth, key in enumerate(path):
        if data is None:
            return repr(path[:depth])
        data = data[key]
    return repr(path)


def causes(result: ExecutionResult) -> dict[str, set[str]]:
    """Why each place is null. Of several errors beneath one null the specification leaves open which are told."""
    found: dict[str, set[str]] = {}
    for error in result.errors or ():
        place = nulled(result.data, error.path or [])
        own = place == repr(error.path)
        found.setdefault(place, set()).add(
            f"{error.message} {error.locations} {type(error.original_error)}" if own else "beneath"
        )
    return found


def require_equal(one: ExecutionResult, other: ExecutionResult) -> None:
    """Raise AssertionError unless both have the same data, byte for byte, and the same reasons for what is null."""
    assert orjson.dumps(one.data) == orjson.dumps(other.data)
    assert causes(one) == causes(other)


def answered_alike(
    text: str, rows: Any, variables: dict[str, Any] | None = None, planned: Planner = planner
) -> tuple[Any, list[str]]:
    """Data and messages of an operation, after holding compiled plans against graphql-core: same data, same reason for each null.

    The plans are used twice: what they keep must not be of one answer.
    """
    document = parse(text)
    kept = kept_for(document, variables, planned)

    async def ways() -> tuple[ExecutionResult, ...]:
        general = await executed(document, rows, None, variables, planned)
        return general, *[await executed(document, rows, kept, variables, planned) for _ in range(2)]

    general, compiled, again = asyncio.run(ways())
    require_equal(compiled, general)
    require_equal(again, general)
    assert kept.plans or not rows or planned is not planner
    return compiled.data, sorted(error.message for error in compiled.errors or ())
