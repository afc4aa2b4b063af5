"""graphql-core's executor, which builds whole parts of an answer by compiled plans where it can (docs/decisions/0013).

A part is an object or a list of objects that a resolver returned. It is tried on a copy of the executor with a list of errors
of its own; parts within it share that copy. When anything goes wrong anywhere in it, the whole attempt is thrown away and
graphql-core executes the part from the beginning, with nothing compiled in it. So a resolver below the root runs twice at most,
which the specification lets anybody do: it reads and changes nothing.
"""

from asyncio import gather
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from types import NoneType
from typing import Any

from graphql import Executor, GraphQLLeafType, GraphQLObjectType
from graphql.execution import executor as core
from graphql.pyutils import Path

from schema.compiler.kept import Errors, Kept
from schema.compiler.leaf import odd
from schema.compiler.level import Built, Level
from schema.compiler.plan import Choice, Details, Plan, Planner, key_of
from schema.compiler.shape import Composite
from schema.compiler.size import Size, Uncounted, written

ERROR = 100
"""Bytes an error has at least."""


async def gather_whole(*awaitables: Awaitable[Any]) -> list[Any]:
    """What all of them give; where one raises, its exception once the others have ended.

    graphql-core cancels the siblings of a field that failed where null may not be: those that had not begun were coroutines
    nobody ever awaits, and those that had lost a connection to the database, or a load that others wait for.
    """
    outcomes = await gather(*awaitables, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


core.gather_with_cancel = gather_whole  # type: ignore[attr-defined]


class CompilingExecutor(Executor[None]):
    """Give `planner`, and `kept` of the operation; without `kept` nothing is compiled.

    `size` is told of everything that is completed, and ends the execution by raising.
    """

    def __init__(
        self, *args: Any, planner: Planner | None = None, kept: Kept | None = None, size: Size | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.planner = planner
        self.kept = kept
        self.size: Size = size or Uncounted()

    def collect_subfields(self, return_type: GraphQLObjectType, field_details_list: Details) -> Any:
        """Which fields a selection has: worked out once for what is kept."""
        if self.kept is None:
            return super().collect_subfields(return_type, field_details_list)
        key = key_of(return_type, field_details_list)
        found = self.kept.collected.get(key)
        if found is None:
            found = self.kept.collected[key] = super().collect_subfields(return_type, field_details_list)
        return found

    def complete_leaf_value(self, return_type: GraphQLLeafType, result: Any) -> Any:  # type: ignore[override]
        completed = super().complete_leaf_value(return_type, result)
        self.size.add(written(completed))
        return completed

    def handle_field_error(self, *args: Any, **more: Any) -> None:
        super().handle_field_error(*args, **more)
        self.size.add(ERROR)

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: Details,
        info: Any,
        path: Path,
        result: Any,
        position_context: None,
    ) -> Any:
        plan = self.plan(return_type, field_details_list)
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
        shape = self.planner.shape(return_type) if self.planner and self.kept and result.__class__ is list else None
        numbers = _objects(result, shape.gaps) if shape else None
        plan = self.plan(shape.kind, field_details_list) if shape and numbers else None
        if plan is None:
            return super().complete_list_value(return_type, field_details_list, info, path, result, position_context)

        def again() -> Any:
            return self._general().complete_list_value(return_type, field_details_list, info, path, result, position_context)

        if numbers is None or len(numbers) == len(result):
            return self._attempt(plan, result, path.add_key, lambda built: built, again)
        there, rows = numbers, [result[number] for number in numbers]

        def whole(built: Built) -> list[Any]:
            items: list[Any] = [None] * len(result)
            for number, one in zip(there, built, strict=True):
                items[number] = one
            for number, one in enumerate(result):
                if isinstance(one, Exception):
                    self.handle_field_error(one, return_type.of_type, field_details_list, path.add_key(number))
            return items

        return self._attempt(plan, rows, lambda number: path.add_key(there[number]), whole, again)

    def plan(self, kind: Composite, details: Details) -> Plan | Choice | None:
        if self.planner is None or self.kept is None or not self.planner.builds(kind):
            return None
        found = self.kept.plans.get(key_of(kind, details))
        if found is None:
            try:
                found = self.planner.plan(kind, details, self._fields, self.kept.plans)
            except Exception:  # a directive that cannot be read, which graphql-core meets in its place, if it does
                return None
        return found

    def _fields(self, kind: GraphQLObjectType, details: Details) -> Mapping[str, Details]:
        return self.collect_subfields(kind, details).grouped_field_set

    def _attempt(
        self,
        plan: Plan | Choice,
        rows: list[Any],
        place: Callable[[int], Path],
        shaped: Callable[[Built], Any],
        again: Callable[[], Any],
    ) -> Any:
        scout = self if plan.simple or self._scouting else self._scout()
        level = Level(scout, scout.size.part(), scout._fields)
        try:
            built = level.build(plan, rows, place)
        except Exception as problem:
            level.abandon()
            self._give_up(problem)
        else:
            if level.pending:
                return self._settled(scout, level, lambda: shaped(built), again)
            if self._adopted(scout):
                return shaped(built)
        return self._once_more(level, again)

    async def _settled(self, scout: "CompilingExecutor", level: Level, done: Callable[[], Any], again: Callable[[], Any]) -> Any:
        try:
            await level.settle()
        except Exception as problem:
            self._give_up(problem)
        else:
            if self._adopted(scout):
                return done()
        found = self._once_more(level, again)
        return await found if isinstance(found, Awaitable) else found

    def _once_more(self, level: Level, again: Callable[[], Any]) -> Any:
        """The part from the beginning, unless the answer is too large as it is."""
        level.size.give_up()
        self.size.check()
        return again()

    @property
    def _scouting(self) -> bool:
        return isinstance(self.collected_errors, Errors)

    def _give_up(self, problem: Exception) -> None:
        """Within an attempt: end it as a whole, whatever becomes of the exception on the way."""
        if isinstance(self.collected_errors, Errors):
            self.collected_errors.failed = True
            raise problem

    def _general(self) -> "CompilingExecutor":
        """The same execution, with nothing compiled in it."""
        plain = copy(self)
        plain.planner = None
        return plain

    def _scout(self) -> "CompilingExecutor":
        scout = copy(self)
        scout.collected_errors = Errors()
        scout.size = self.size.part()
        return scout

    def _adopted(self, scout: "CompilingExecutor") -> bool:
        """Whether the attempt went well; its errors are ours then."""
        attempt = scout.collected_errors
        if scout is self or not isinstance(attempt, Errors):
            return True
        if not attempt.failed:
            for error, path in attempt.added:
                self.collected_errors.add(error, path)
        return not attempt.failed


def _objects(items: list[Any], gaps: bool) -> Sequence[int] | None:
    """Which items of a list are objects. The others may be nulls and errors in a list that may have gaps; else None."""
    strange = {kind for kind in set(map(type, items)) if odd(kind)}
    if not strange:
        return range(len(items))
    if not gaps or not all(kind is NoneType or issubclass(kind, Exception) for kind in strange):
        return None
    return [number for number, one in enumerate(items) if type(one) not in strange]
