"""A schema with interfaces and unions in every kind of place, and random operations on it."""

import random
from dataclasses import dataclass, field
from typing import Annotated, Any

import strawberry
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
)

from schema.common import key
from schema.compiler.plan import Planner
from schema.compiler.reading import Loaded
from schema.field_sources import READING, readings_of
from schema.shown import shows, tell_types


@dataclass
class CatRow:
    """A row of a table."""

    name: Any = "cat"
    number: Any = 1
    friend: Any = None
    friends: Any = field(default_factory=list)
    things: Any = None
    pet: Any = None


@dataclass
class DogRow(CatRow):
    """A row of another."""

    name: Any = "dog"


def fish(**more: Any) -> dict[str, Any]:
    return {"kind": "fish", "name": "fish", "number": 3, "friend": None, "friends": [], "things": None, "pet": None, **more}


def stone(**more: Any) -> dict[str, Any]:
    return {**fish(name="stone"), "kind": "stone", **more}


async def _loaded(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    return (await info.context.loader.load(root.name)) and (root.pet or root)


def _slow(root: strawberry.Parent[Any], fails: bool = False) -> Any:
    if fails:
        raise ValueError("as told")
    return root.friends


LOADED = Loaded(lambda context: context.loader, lambda row: row.name, lambda found, row: found and (row.pet or row))

LazyNamed = Annotated["Named", strawberry.lazy("tests.graphql.compiled_kinds")]
LazyPet = Annotated["Pet", strawberry.lazy("tests.graphql.compiled_kinds")]
LazyThing = Annotated["Thing", strawberry.lazy("tests.graphql.compiled_kinds")]


@strawberry.interface
class Named:
    name: str
    number: int | None
    friend: LazyNamed | None
    friends: list[LazyNamed]


@strawberry.interface
class Keeper(Named):
    things: list[LazyThing | None] | None


@shows(CatRow)
@strawberry.type
class Cat(Keeper, Named):
    pet: LazyPet | None
    lives: int = strawberry.field(resolver=lambda root: root.number, graphql_type=int)
    loaded: LazyPet | None = strawberry.field(resolver=_loaded, graphql_type=LazyPet | None, metadata={READING: LOADED})
    must: LazyNamed = strawberry.field(resolver=_loaded, graphql_type=LazyNamed, metadata={READING: LOADED})


@shows(DogRow)
@strawberry.type
class Dog(Keeper, Named):
    pet: LazyPet
    barks: int | None = strawberry.field(resolver=lambda root: root.number, graphql_type=int | None)
    slow: list[LazyPet] | None = strawberry.field(resolver=_slow, graphql_type=list[LazyPet] | None)


@shows(dict, "kind", "fish")
@strawberry.type
class Fish(Named):
    name: str = key("name", "", str)
    number: int | None = key("number", "", int | None)
    friend: LazyNamed | None = key("friend", "", LazyNamed | None)
    friends: list[LazyNamed] = key("friends", "", list[LazyNamed])
    pet: LazyPet | None = key("pet", "", LazyPet | None)


@shows(dict, "kind", "stone", "rock")
@strawberry.type
class Stone:
    name: str = key("name", "", str)
    weight: float | None = key("number", "", float | None)
    on: LazyThing | None = key("friend", "", LazyThing | None)


@shows()
@strawberry.type
class Made(Named):
    """Shows nothing but itself."""


Pet = Annotated[Cat | Dog | Fish, strawberry.union("Pet")]
Thing = Annotated[Cat | Fish | Stone | Made, strawberry.union("Thing")]


def _rows(info: strawberry.Info) -> Any:
    return info.context.rows


def _first(info: strawberry.Info) -> Any:
    return info.context.rows[0]


async def _waited(info: strawberry.Info) -> Any:
    return info.context.rows


@strawberry.type
class Query:
    named: list[Named] = strawberry.field(resolver=_rows, graphql_type=list[Named])
    pets: list[Pet | None] | None = strawberry.field(resolver=_waited, graphql_type=list[Pet | None] | None)
    things: list[Thing | None] = strawberry.field(resolver=_rows, graphql_type=list[Thing | None])
    keepers: list[Keeper | None] | None = strawberry.field(resolver=_rows, graphql_type=list[Keeper | None] | None)
    one: Named | None = strawberry.field(resolver=_first, graphql_type=Named | None)
    must: Thing = strawberry.field(resolver=_first, graphql_type=Thing)


kinds_schema = strawberry.Schema(Query, types=[Made, Stone])._schema
kinds_planner = Planner(kinds_schema, readings_of(kinds_schema), told=tell_types(kinds_schema))
ROOTS = ("named", "pets", "things", "keepers", "one", "must")
SWITCHES = ("a", "b")


class Writer:
    """Writes a random selection of at most some fields."""

    def __init__(self, chance: random.Random, most: int = 25) -> None:
        self.chance, self.left = chance, most

    def selection(self, kind: Any, depth: int = 3, spreads: int = 2) -> str:
        """Fields, fragments on whatever may stand there, aliases that several types share, switches."""
        chance = self.chance
        wanted = ["__typename"] if chance.random() < 0.4 else []
        if spreads and (isinstance(kind, GraphQLInterfaceType | GraphQLUnionType) or chance.random() < 0.2):
            for _ in range(chance.randrange(1, 4)):
                on = chance.choice(_beside(kind))
                wanted.append(f"... on {on.name}{_switch(chance)} {{ {self.selection(on, depth, spreads - 1)} }}")
        wanted += [self.field(name, one, depth) for name, one in self.some(getattr(kind, "fields", {}))]
        chance.shuffle(wanted)
        return " ".join(filter(None, wanted)) or "__typename"

    def some(self, fields: dict[str, Any]) -> list[tuple[str, Any]]:
        return self.chance.sample(list(fields.items()), min(len(fields), self.chance.randrange(4)))

    def field(self, name: str, one: Any, depth: int) -> str:
        inner, chance = get_named_type(one.type), self.chance
        self.left -= 1
        if self.left < 0 or (depth == 0 and not is_leaf_type(inner)):
            return ""
        alias = f"{chance.choice(['x', 'y', 'z'])}: " if chance.random() < 0.15 else ""
        given = "(fails: true)" if "fails" in one.args and chance.random() < 0.2 else ""
        below = "" if is_leaf_type(inner) else f" {{ {self.selection(inner, depth - 1)} }}"
        return f"{alias}{name}{given}{_switch(chance)}{below}"


def _switch(chance: random.Random) -> str:
    if chance.random() > 0.15:
        return ""
    return f" @{chance.choice(['skip', 'include'])}(if: {chance.choice(['$a', '$b', 'true', 'false'])})"


def _beside(kind: Any) -> list[Any]:
    """The types a fragment may be on where this one stands."""
    possible = _possible(kind)
    kinds = [one for one in kinds_schema.type_map.values() if isinstance(one, GraphQLObjectType | GraphQLInterfaceType)]
    unions = [one for one in kinds_schema.type_map.values() if isinstance(one, GraphQLUnionType)]
    return [one for one in [*kinds, *unions] if _possible(one) & possible]


def _possible(kind: Any) -> set[str]:
    return {kind.name} if isinstance(kind, GraphQLObjectType) else {one.name for one in kinds_schema.get_possible_types(kind)}


def operation(chance: random.Random) -> str:
    """A valid one."""
    while True:
        root = chance.choice(ROOTS)
        query = kinds_schema.query_type
        assert query is not None
        inner = Writer(chance).selection(get_named_type(query.fields[root].type))
        text = f"query($a: Boolean = true, $b: Boolean!) {{ {root} {{ {inner} }} h: __typename @skip(if: $a) @include(if: $b) }}"
        if not validate(kinds_schema, parse(text)):
            return text


ODD = (None, 3, object(), ValueError("an item"), {"kind": "cloud"}, {}, {"kind": []}, "text")


def row(chance: random.Random, depth: int, odd: float) -> Any:
    """A row of some type, with others below it; or with the chance of `odd` something else."""
    if chance.random() < odd:
        return chance.choice(ODD)
    many = [row(chance, depth - 1, odd) for _ in range(chance.randrange(3))] if depth else []
    more = {
        "name": chance.choice(ODD) if chance.random() < odd / 2 else chance.choice(["a", "b", "c"]),
        "number": chance.choice([None, 7]),
        "friend": row(chance, depth - 1, odd) if depth and chance.random() < 0.7 else None,
        "friends": many,
        "things": chance.choice([None, many, [*many, None, *many]]),
        "pet": row(chance, depth - 1, odd) if depth else None,
    }
    made = {"name": "made", "number": 2, "friend": None, "friends": []}
    return chance.choice([CatRow, DogRow, fish, stone, lambda **_: Made(**made)])(**more)
