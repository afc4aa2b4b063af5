"""Gives the schemas of the description names: objects and words that operations share become components.

Whoever makes a schema may hint at its name: the resource's type or fragment, the enumeration's, what a body or an envelope is
for. A schema without a hint is named after the place where it is first seen. What is equal is one component whatever the hints
say; where one name is hinted for different schemas, the one hinted most has it, and the others put their operation before it.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

NAMED = "x-named"
"""The hint."""
ABOUT = "x-about"
"""What the named thing is, wherever it stands."""
ALONE = "x-alone"
"""Equal to nothing that has another hint: bodies, which change one by one."""
HINTS = frozenset({NAMED, ABOUT, ALONE})
"""Keys that no description has which leaves this package."""
OF_THE_PLACE = ("description", "default")
"""Keywords that belong to the place, and not to the schema that stands there."""
FEW = 3
"""Fewer words without a hint are no type of their own."""

Json = dict[str, Any]


def title(text: str) -> str:
    """`dataset_version` as `DatasetVersion`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text))


def joined(first: str, second: str) -> str:
    """Two names as one, with the words they share where they meet said once: `CreateDeployment`, `DeploymentStrategy`."""
    words, more = (re.findall(r"[A-Z]+[^A-Z]*|[^A-Z]+", name) for name in (first, second))
    shared = next(length for length in range(len(words), -1, -1) if words[len(words) - length :] == more[:length])
    return first + "".join(more[shared:])


def folded(name: str) -> str:
    """What is left of a name for tools that know neither case nor underscores."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def without_hints(value: Any) -> Any:
    """The same with every schema where it is used, for who reads on without looking names up."""
    if isinstance(value, dict):
        return {key: without_hints(item) for key, item in value.items() if key not in HINTS}
    return [without_hints(item) for item in value] if isinstance(value, list) else value


class Components:
    """The named schemas of one description."""

    def __init__(self, operations: Mapping[str, Json], given: Mapping[str, str] | None = None) -> None:
        """`operations`: by their ids, with schemas in place, and hints. `given`: names for places without a hint."""
        self._given = given or {}
        self.schemas: Json = {}
        self._identities: dict[int, bytes] = {}
        self._seen: Counter[bytes] = Counter()
        self._hints: dict[bytes, Counter[str]] = defaultdict(Counter)
        self._abouts: dict[bytes, str] = {}
        self._places: dict[bytes, str] = {}
        for name, operation in operations.items():
            for place, schema in _within(operation, name):
                self._note(place, schema)
        self._names = self._named()

    def replaced(self, value: Any) -> Any:
        """The same with references in place of what has a name."""
        if isinstance(value, list):
            return [self.replaced(item) for item in value]
        if not isinstance(value, dict):
            return value
        name = self._names.get(self._identity(value)) if is_type(value) else None
        inner = {key: self.replaced(item) for key, item in value.items() if key not in HINTS}
        return inner if name is None else self._reference(name, value, inner)

    def _reference(self, name: str, schema: Json, inner: Json) -> Json:
        said = {key: inner.pop(key) for key in OF_THE_PLACE if key in inner}
        about = self._abouts.get(self._identity(schema))
        self.schemas[name] = {**({"description": about} if about else {}), **_not_null(inner)}
        there: Json = {"$ref": f"#/components/schemas/{name}"}
        return {**({"anyOf": [there, {"type": "null"}]} if isinstance(schema["type"], list) else there), **said}

    def _note(self, place: str, schema: Json) -> None:
        known = self._identity(schema)
        self._seen[known] += 1
        self._places.setdefault(known, place)
        hint = schema.get(NAMED) or self._given.get(place)
        if hint:
            self._hints[known][hint] += 1
        if schema.get(ABOUT):
            self._abouts.setdefault(known, schema[ABOUT])

    def _named(self) -> dict[bytes, str]:
        taken: dict[str, bytes] = {}
        names: dict[bytes, str] = {}
        for known in sorted(self._seen, key=lambda known: -max(self._hints[known].values(), default=0)):
            names[known] = next(name for name in self._candidates(known) if folded(name) not in taken)
            taken[folded(names[known])] = known
        return names

    def _candidates(self, known: bytes) -> Iterator[str]:
        operation, *path = map(title, self._places[known].split("."))
        for hint, _ in self._hints[known].most_common(1):
            yield hint
            yield joined(operation, hint)
        yield operation + "".join(path)
        yield from (f"{operation}{''.join(path)}{number}" for number in range(2, 100))

    def _identity(self, schema: Json) -> bytes:
        """What makes two schemas the same: all but where they stand, and whether they may be null."""
        known = self._identities.get(id(schema))
        if known is None:
            bare = {key: value for key, value in without_hints(schema).items() if key not in OF_THE_PLACE}
            alone = {NAMED: schema[NAMED]} if ALONE in schema else {}
            known = orjson.dumps({**_not_null(bare), **alone}, option=orjson.OPT_SORT_KEYS)
            self._identities[id(schema)] = known
        return known


def is_type(value: Json) -> bool:
    """Whether it is worth a name: an object whose fields are known, or words that are meant as a type."""
    if not isinstance(value.get("type"), str | list):
        return False
    words = value.get("enum")
    return isinstance(value.get("properties"), dict) or (isinstance(words, list) and (NAMED in value or len(words) >= FEW))


def _within(value: Any, place: str) -> Iterator[tuple[str, Json]]:
    """Every schema worth a name, with the operation and the keys that lead to it."""
    if isinstance(value, list):
        for item in value:
            yield from _within(item, place)
    elif isinstance(value, dict):
        if is_type(value):
            yield place, value
        if "in" in value and "schema" in value:
            place = f"{place}.{value['name']}"
        for key, item in value.items():
            if key == "properties" and isinstance(item, dict):
                for name, below in item.items():
                    yield from _within(below, f"{place}.{name}")
            else:
                yield from _within(item, place.removesuffix("s") if key == "items" else place)


def _not_null(schema: Json) -> Json:
    if not isinstance(schema["type"], list):
        return schema
    kinds = [kind for kind in schema["type"] if kind != "null"]
    words = {"enum": [word for word in schema["enum"] if word is not None]} if "enum" in schema else {}
    return {**schema, "type": kinds[0] if len(kinds) == 1 else kinds, **words}
