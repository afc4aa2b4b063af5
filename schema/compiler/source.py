"""Generated code: one function per selection that reads the leaves of every row into dictionaries ready for JSON.

Names of the caller's document come in as string literals only; objects are bound by names made here.
"""

from collections.abc import Callable, Sequence
from keyword import iskeyword
from typing import Any

from graphql import GraphQLOutputType

from schema.compiler.leaf import Quick, expression
from schema.compiler.reading import Asked, Attribute, Computed, Contextual, Item, Loaded, Reading
from schema.compiler.shape import Shape, whole

Leaves = Callable[[Sequence[Any], Any], list[dict[str, Any]]]
"""(rows, context) → one dictionary per row, in the selection's order; what is no leaf is None for the time being."""


HEAD = """def leaves(rows, context):
    found = []
    add = found.append
    for row in rows:
        """
OWN = 'own = getattr(row, "__dict__", nothing)'


class Source:
    """The text of one function, and the objects it names."""

    def __init__(self, quick: Quick) -> None:
        self.quick = quick
        self.objects: dict[str, Any] = {"inf": float("inf"), "nothing": {}}
        self.lines: list[str] = []
        self.items: list[str] = []
        self.own = False
        """Whether something is read of what an object keeps itself."""

    def bind(self, hint: str, thing: Any) -> str:
        name = f"{hint}_{len(self.objects)}"
        self.objects[name] = thing
        return name

    def constant(self, response: str, value: Any) -> None:
        self.items.append(f"{response!r}: {value!r}")

    def nested(self, response: str, reading: Reading, shape: Shape, leaves: Leaves) -> None:
        """Objects that have leaves only, built by their own function."""
        self.lines.append(f"v = {self._read(reading)}")
        built = f"{self.bind('build', leaves)}({self.bind('present', shape.present)}(v), context)"
        if shape.gaps:
            built = f"{self.bind('whole', whole)}(v, {built})"
        elif shape.items:
            built = f"([] if v.__class__ is list and not v else {built})"
        else:
            built = f"{built}[0]"
        self._put(response, f"None if v is None else {built}" if shape.nullable else built)

    def leaf(self, response: str, reading: Reading, kind: GraphQLOutputType) -> None:
        self.lines.append(f"v = {self._read(reading)}")
        self._complete(response, kind)

    def value(self, response: str, kind: GraphQLOutputType) -> None:
        """The row itself is the value."""
        self.lines.append("v = row")
        self._complete(response, kind)

    def _complete(self, response: str, kind: GraphQLOutputType) -> None:
        self._put(response, expression(kind, self.bind, self.quick))

    def _put(self, response: str, text: str) -> None:
        place = f"x{len(self.items)}"
        self.lines.append(f"{place} = {text}")
        self.items.append(f"{response!r}: {place}")

    def _read(self, reading: Reading) -> str:
        match reading:
            case Attribute(name) if name.isidentifier() and not iskeyword(name):
                # What an object keeps under the name; a mapper's descriptor would find the same, by way of two calls.
                self.own = True
                return f"own[{name!r}] if {name!r} in own else row.{name}"
            case Item(name, as_float):
                found = f"row[{name}]" if isinstance(name, int) else f"row.get({name!r})"
                return f"(float(v) if (v := {found}).__class__ is int else v)" if as_float else found
            case Computed():
                return f"{self.bind('read', reading.function)}(row)"
            case Contextual():
                return f"{self.bind('read', reading.function)}(row, context)"
            case _:
                raise AssertionError(f"{reading} is not read from the row")

    def function(self) -> Leaves:
        """Compile it."""
        body = "\n        ".join([*[OWN] * self.own, *self.lines, f"add({{{', '.join(self.items)}}})"])
        text = f"{HEAD}{body}\n    return found"
        space = dict(self.objects)
        exec(compile(text, "<operation>", "exec"), space)  # noqa: S102 the text is ours: a document's names are literals in it
        made: Leaves = space["leaves"]
        return made


def reader(reading: Reading) -> Callable[[Any, Any], Any]:
    """The same for a value that is no leaf: (row, context) → value."""
    match reading:
        case Attribute(name):
            return lambda row, _: getattr(row, name)
        case Item(int() as place):
            return lambda row, _: row[place]
        case Item(key):
            return lambda row, _: row.get(key)
        case Computed():
            function = reading.function
            return lambda row, _: function(row)
        case Contextual():
            return reading.function
        case Loaded() | Asked():
            raise AssertionError("what is loaded is not read from the row")
