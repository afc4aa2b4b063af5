"""Execution level by level: all objects a selection has in the whole answer are built together, and what they wait for is
fetched for all of them at once.

A Level does the building of one part of an answer. It raises for anything out of the ordinary; whoever began it then lets
graphql-core execute that part.
"""

from asyncio import gather
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import accumulate, chain
from typing import Any

from graphql import Executor, get_argument_values
from graphql.pyutils import Path

from schema.compiler.plan import Choice, Collect, Column, Plan
from schema.compiler.reading import Asked, Fetched, Loaded, Loader
from schema.compiler.shape import positions, whole
from schema.compiler.size import Attempt, written
from schema.compiler.source import Leaves

Place = Callable[[int], Path]
"""Where in the answer the n-th object is; asked only for fields that graphql-core executes."""
Built = list[dict[str, Any]]
COUNTED_AT_ONCE = 100
"""Rows whose size is found out together."""
NULL = 4
"""Bytes of a null, which stands for what is not built yet."""


class Level:
    """Objects under construction, and what still has to be waited for."""

    def __init__(self, executor: Executor[Any], size: Attempt, collect: Collect) -> None:
        self.executor = executor
        self.size = size
        self.collect = collect
        self.pending: list[Awaitable[None]] = []

    def build(self, plan: Plan | Choice, rows: Sequence[Any], place: Place) -> Built:
        """One dictionary per row. Whole when nothing is pending, else once `settle` has ended."""
        return self._parts(plan, rows, place) if isinstance(plan, Choice) else self._objects(plan, rows, place)

    def _parts(self, choice: Choice, rows: Sequence[Any], place: Place) -> Built:
        """Rows of several types: those of a type together, put back in order."""
        told, numbers = choice.told, defaultdict[str | None, list[int]](list)
        for number, row in enumerate(rows):
            numbers[told(row)].append(number)
        plans = [choice.plan(name, self.collect) for name in numbers]
        built: Built = [{}] * len(rows)
        for plan, here in zip(plans, numbers.values(), strict=True):
            part = self._objects(plan, [rows[number] for number in here], _places(place, here))
            for number, one in zip(here, part, strict=True):
                built[number] = one
        return built

    def _objects(self, plan: Plan, rows: Sequence[Any], place: Place) -> Built:
        built = plan.leaves(rows, self.executor.context_value)
        self._count(built, 1 + NULL * len(plan.columns))
        for column in plan.columns:
            if column.reading is None:
                self._execute(plan, column, rows, built, place)
            elif isinstance(column.reading, Fetched):
                if self._known(column, rows, built):
                    continue
                self.pending.append(self._fetch(plan, column, column.reading, rows, built, place))
            else:
                context, read = self.executor.context_value, column.read
                self._nest(plan, column, [read(row, context) for row in rows], built, place)
        return built

    async def settle(self) -> None:
        """Wait for everything that is pending; nothing is cancelled, as others may wait for the same things."""
        if len(self.pending) == 1:
            await self.pending[0]
        elif self.pending:
            for outcome in await gather(*self.pending, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    def abandon(self) -> None:
        """Nobody will wait: what was begun ends in the background."""
        if self.pending:
            self.executor.settle_in_background(self.pending)

    def _execute(self, plan: Plan, column: Column, rows: Sequence[Any], built: Built, place: Place) -> None:
        """A field with a resolver of its own, row by row."""
        execute, waits = self.executor.execute_field, self.executor.is_awaitable
        for number, row in enumerate(rows):
            path = place(number).add_key(column.response, plan.kind.name)
            result = execute(plan.kind, row, column.details, path, None)
            if waits(result):
                self.pending.append(_put(result, built[number], column.response))
            else:
                built[number][column.response] = result

    def _known(self, column: Column, rows: Sequence[Any], built: Built) -> bool:
        """Whether the leaves of a field kept elsewhere were all there already; they are put in place."""
        reading = column.reading
        if not isinstance(reading, Loaded) or reading.known is None or column.leaf is None:
            return False
        values = list(map(reading.known, rows))
        if None in values:
            return False
        self._put_leaves(column.leaf, column, values, built)
        return True

    def _put_leaves(self, leaf: Leaves, column: Column, values: Sequence[Any], built: Built) -> None:
        leaves = leaf(values, None)
        self._count(leaves, 1 + len('{"":}') + len(column.response))
        for row, one in zip(built, leaves, strict=True):
            row.update(one)

    async def _fetch(self, plan: Plan, column: Column, reading: Fetched, rows: Sequence[Any], built: Built, place: Place) -> None:
        """A field kept elsewhere: each key is asked for once, all of them together."""
        keys = [reading.key(row) for row in rows]
        once = [key for key in dict.fromkeys(keys) if key is not None]
        if isinstance(reading, Asked):
            loader = self._asked(plan, column, reading, place)
        else:
            loader = reading.loader(self.executor.context_value)
        found = dict(zip(once, await loader.load_many(once), strict=True))
        values = [found.get(key) for key in keys]
        if isinstance(reading, Loaded):
            values = [reading.read(value, row) for value, row in zip(values, rows, strict=True)]
        if column.leaf is not None:
            self._put_leaves(column.leaf, column, values, built)
            return
        below = Level(self.executor, self.size, self.collect)
        try:
            below._nest(plan, column, values, built, place)
        except Exception:
            below.abandon()
            raise
        await below.settle()

    def _asked(self, plan: Plan, column: Column, reading: Asked, place: Place) -> Loader:
        """The loader for the field's arguments, which are the same for every row."""
        first, executor = column.details[0], self.executor
        field = executor.schema.get_field(plan.kind, first.node.name.value)
        assert field is not None, "the document is valid"
        given = get_argument_values(field, first.node, executor.variable_values, first.fragment_variable_values)
        nodes = [one.node for one in column.details]
        path = place(0).add_key(column.response, plan.kind.name)
        return reading.loader(executor.build_resolve_info(field, nodes, plan.kind, path), given)

    def _nest(self, plan: Plan, column: Column, values: Sequence[Any], built: Built, place: Place) -> None:
        """Objects within objects: those of all rows are built together and handed back to their rows."""
        shape, inner, response = column.shape, column.inner, column.response
        assert shape is not None
        assert inner is not None
        lists = [shape.present(value) for value in values]

        ends: list[int] = []

        def inside(number: int) -> Path:
            if not ends:
                ends.extend(accumulate(map(len, lists)))
            row = bisect_right(ends, number)
            path = place(row).add_key(response, plan.kind.name)
            if not shape.items:
                return path
            index = number - ends[row] + len(lists[row])
            return path.add_key(positions(values[row])[index] if shape.gaps else index)

        flat = lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))
        objects = self.build(inner, flat, inside) if flat else []
        at = 0
        for row, value, here in zip(built, values, lists, strict=True):
            part = objects[at : at + len(here)]
            at += len(here)
            row[response] = None if value is None else whole(value, part) if shape.items else part[0]

    def _count(self, built: Built, spare: int) -> None:
        """Say how much there is now; `spare` bytes of each dictionary are not of the answer, or counted already."""
        for start in range(0, len(built), COUNTED_AT_ONCE):
            rows = built[start : start + COUNTED_AT_ONCE] if len(built) > COUNTED_AT_ONCE else built
            if size := written(rows):
                self.size.add(size - 1 - spare * len(rows))


async def _put(result: Awaitable[Any], row: dict[str, Any], response: str) -> None:
    row[response] = await result


def _places(place: Place, numbers: Sequence[int]) -> Place:
    """Where those of the objects are that have these numbers."""
    return lambda number: place(numbers[number])
