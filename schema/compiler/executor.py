"""graphql-core's executor, which builds whole parts of an answer by compiled plans where it can (docs/decisions/0013).

A part is an object or a list of objects that a resolver returned. It is tried on a copy of the executor with a list of errors
of its own; when anything in it goes wrong, the attempt is thrown away and graphql-core executes the part from the beginning.
That may call resolvers below the root twice, which the specification lets anybody do: they read and change nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any

from graphql import Executor, GraphQLError, GraphQLObjectType
from graphql.execution.executor import CollectedErrors
from graphql.pyutils import Path

from schema.compiler.level import Built, Level
from schema.compiler.plan import Details, Plan, Planner, Shape


class Kept:
    """What is worked out once per operation and lives as long as the document that owns its nodes."""

    def __init__(self) -> None:
        self.collected: dict[tuple[Any, ...], Any] = {}
        self.plans: dict[tuple[Any, ...], Plan] = {}


class Errors(CollectedErrors):
    """Errors with their places, so that an attempt that went well can hand them over."""

    __slots__ = ("added",)

    def __init__(self) -> None:
        super().__init__()
        self.added: list[tuple[GraphQLError, Path | None]] = []

    def add(self, error: GraphQLError, path: Path | None) -> None:
        self.added.append((error, path))
        super().add(error, path)


class CompilingExecutor(Executor[None]):
    """Give `planner`, and `kept` of the operation; without `kept` (directives may change the selection) nothing is compiled."""

    def __init__(self, *args: Any, planner: Planner | None = None, kept: Kept | None = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.planner = planner
        self.kept = kept

    def collect_subfields(self, return_type: GraphQLObjectType, field_details_list: Details) -> Any:
        """Which fields a selection has: worked out once per operation where no directive can change it."""
        if self.kept is None:
            return super().collect_subfields(return_type, field_details_list)
        key = _key(return_type, field_details_list)
        found = self.kept.collected.get(key)
        if found is None:
            found = self.kept.collected[key] = super().collect_subfields(return_type, field_details_list)
        return found

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Details,
        info: Any,
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        plan = self._plan(return_type, field_details_list)
        if plan is None:
            return super().complete_object_value(return_type, field_details_list, info, path, result, position_context)

        def again() -> Any:
            return self._general().complete_object_value(return_type, field_details_list, info, path, result, position_context)

        return self._attempt(plan, [result], lambda _: path, lambda built: built[0], again)

    def complete_list_value(
        self,
        return_type: Any,
        field_details_list: Details,
        info: Any,
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        shape = Shape.of(return_type)
        plan = self._plan(shape.kind, field_details_list) if shape and result.__class__ is list else None
        if plan is None or not all(map(_object, result)):
            return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

        def again() -> Any:
            return self._general().complete_list_value(return_type, field_details_list, info, path, result, position_context)

        return self._attempt(plan, result, path.add_key, lambda built: built, again)

    def _plan(self, kind: GraphQLObjectType, details: Details) -> Plan | None:
        if self.planner is None or self.kept is None or kind.is_type_of is not None or kind.name.startswith("__"):
            return None
        key = _key(kind, details)
        plan = self.kept.plans.get(key)
        if plan is None:
            plan = self.kept.plans[key] = self.planner.plan(kind, details, self._fields)
        return plan

    def _fields(self, kind: GraphQLObjectType, details: Details) -> Mapping[str, Details]:
        return self.collect_subfields(kind, details).grouped_field_set

    def _attempt(
        self,
        plan: Plan,
        rows: list[Any],
        place: Callable[[int], Path],
        shaped: Callable[[Built], Any],
        again: Callable[[], Any],
    ) -> Any:
        scout = self if plan.simple else self._scout()
        level = Level(scout)
        try:
            built = level.build(plan, rows, place)
        except Exception:
            level.abandon()
            return again()
        if level.pending:
            return self._settled(scout, level, built, shaped, again)
        self._adopt(scout)
        return shaped(built)

    async def _settled(
        self, scout: "CompilingExecutor", level: Level, built: Built, shaped: Callable[[Built], Any], again: Callable[[], Any]
    ) -> Any:
        try:
            await level.settle()
        except Exception:
            done = again()
            return await done if isinstance(done, Awaitable) else done
        self._adopt(scout)
        return shaped(built)

    def _general(self) -> "CompilingExecutor":
        """The same execution, with nothing compiled in it."""
        plain = copy(self)
        plain.planner = None
        return plain

    def _scout(self) -> "CompilingExecutor":
        scout = copy(self)
        scout.collected_errors = Errors()
        return scout

    def _adopt(self, scout: "CompilingExecutor") -> None:
        if isinstance(scout.collected_errors, Errors) and scout is not self:
            for error, path in scout.collected_errors.added:
                self.collected_errors.add(error, path)


def _key(kind: GraphQLObjectType, details: Details) -> tuple[Any, ...]:
    if len(details) == 1:
        return kind.name, id(details[0].node)
    return (kind.name, *(id(one.node) for one in details))


def _object(value: Any) -> bool:
    return value is not None and not isinstance(value, Exception) and not hasattr(value, "__await__")
