"""Operations over the whole contract: compiled, and executed by graphql-core alone, they answer the same, byte for byte."""

import random
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    Undefined,
    get_named_type,
    is_leaf_type,
    parse,
    validate,
)

from coreplex.platform.permissions import Credential, Principal, Scope
from edge.caller import RequestFacts
from resolvers.context import Context
from rest_compat.stored import operations
from schema.execution import Operation, core_schema, execute, from_document
from tests.factories.asking import Asker

OPERATIONS = 60
DEPTH = 4
FIRST = "first: 3"
SWITCHES = (
    " @include(if: $yes)",
    " @skip(if: $yes)",
    " @include(if: $no) @skip(if: $yes)",
    " @skip(if: $no)",
    " @skip(if: true)",
)
ASKED = "query($yes: Boolean! = true, $no: Boolean = false) { __typename @include(if: $yes) @skip(if: $no)"
FRESH = {"Deployment.logFile", "Artifact.file", "DatasetVersion.file", "Model.file", "PredictionBatch.file"}
"""What is made anew each time it is asked for."""
ROOTS = {
    "me": "",
    "apiKeys": f"({FIRST})",
    "project": '(id: "{project}")',
    "projects": f"({FIRST}, sort: {{field: NAME}})",
    "dataset": '(id: "{dataset}")',
    "datasets": f"({FIRST})",
    "datasetVersion": '(id: "{version}")',
    "experiment": '(id: "{experiment}")',
    "experiments": f"({FIRST})",
    "model": '(id: "{model}")',
    "models": f"({FIRST})",
    "deployment": '(id: "{production}")',
    "deployments": f'(filter: {{{{projectId: "{{project}}"}}}}, {FIRST})',
    "predictionBatch": '(id: "{batch}")',
    "predictionBatches": f"({FIRST})",
    "job": '(id: "{job}")',
    "jobs": f"({FIRST})",
    "search": f'(text: "a", {FIRST})',
    "experimentCapabilities": "",
    "node": '(id: "{model}")',
    "nodes": '(ids: ["{project}", "{model}", "nonsense", "{experiment}", "{version}", "{model}", "{job}", "{production}"])',
}


def arguments(root: str, ids: dict[str, str]) -> str:
    text = ROOTS[root]
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value)
    return text.replace("{{", "{").replace("}}", "}")


def selection(kind: GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType, chance: random.Random, depth: int) -> str:
    """A random selection: leaves, objects down to `depth`, aliases, switches, fragments, and the same field twice."""
    wanted: list[str] = ["__typename"] if chance.random() < 0.2 else []
    for name, field in getattr(kind, "fields", {}).items():
        inner = get_named_type(field.type)
        needed = any(
            argument.default_value in (None, Undefined) and str(argument.type).endswith("!") for argument in field.args.values()
        )
        needed |= f"{kind.name}.{name}" in FRESH
        if needed or chance.random() < 0.45 or (not is_leaf_type(inner) and (depth <= 0 or chance.random() < 0.5)):
            continue
        alias = f"a{chance.randrange(10_000)}: " if chance.random() < 0.1 else ""
        given = f"({FIRST})" if "first" in field.args else ""
        below = "" if is_leaf_type(inner) else f" {{ {selection(inner, chance, depth - 1)} }}"
        switch = chance.choice(SWITCHES) if chance.random() < 0.1 else ""
        wanted += [f"{alias}{name}{given}{switch}{below}"] * (2 if chance.random() < 0.1 else 1)
    if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
        possible = chance.sample(core_schema.get_possible_types(kind), chance.randrange(1, 5))
        wanted += [f"... on {one.name} {{ {selection(one, chance, depth - 1)} }}" for one in possible]
    if wanted and chance.random() < 0.1:
        wanted.append(f"... on {kind.name}{chance.choice(SWITCHES)} {{ {wanted[0]} }}")
    return " ".join(wanted or ["__typename"])


def documents(ids: dict[str, str]) -> Iterator[str]:
    chance = random.Random(20261125)
    roots = core_schema.query_type
    assert roots is not None
    for number in range(OPERATIONS):
        root = list(ROOTS)[number % len(ROOTS)]
        kind = get_named_type(roots.fields[root].type)
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        yield valid(f"{root}{arguments(root, ids)}", kind, chance)


def valid(root: str, kind: GraphQLObjectType | GraphQLInterfaceType, chance: random.Random) -> str:
    """Drawn until it is: types may have one name for fields of different shapes, which no document may select together."""
    while True:
        text = f"{ASKED} {root} {{ {selection(kind, chance, DEPTH)} }} }}"
        if not validate(core_schema, parse(text)):
            return text


def uncompiled(operation: Operation) -> Operation:
    """The same, left to graphql-core."""
    compiled = copy(operation.compiled)
    compiled.selections = None
    return replace(operation, compiled=compiled)


def planned(operation: Operation) -> bool:
    """Whether plans were made for it."""
    selections = operation.compiled.selections
    assert selections is not None
    return selections.first is not None and bool(selections.first[1].plans)


async def said(asker: Asker, operation: Operation, variables: dict[str, Any], principal: Principal) -> tuple[bytes, list[str]]:
    services = asker.world.services
    result = await execute(operation, variables, Context(services, principal, RequestFacts(id="r")))
    return orjson.dumps(result.data, default=str), sorted(f"{e.path} {e.message} {e.locations}" for e in result.errors or ())


@pytest.fixture
def owner(asker: Asker) -> Principal:
    user = asker.world.people["owner"]
    return Principal(user.id, user.email, user.name, user.role, user.plan, Credential.api_key, user.id, frozenset(Scope))


async def test_any_query_of_the_contract(asker: Asker, owner: Principal) -> None:
    compiled = 0
    for number, text in enumerate(documents(asker.world.ids)):
        operation = from_document(parse(text))
        for variables in ({}, {"yes": False, "no": True})[: 1 + (number % 3 == 0)]:
            general = await said(asker, uncompiled(operation), variables, owner)
            assert await said(asker, operation, variables, owner) == general, text
            assert await said(asker, operation, variables, owner) == general, text
        compiled += planned(operation)
    assert compiled > OPERATIONS * 0.8


async def test_every_stored_operation_is_compiled(asker: Asker, owner: Principal) -> None:
    """Reads are run both ways on what is there; what writes must at least have a plan for everything it can answer."""
    ids = asker.world.ids
    known = {"projectId": ids["project"], "first": 3, "id": None}
    for name, operation in operations().items():
        assert operation.compiled.selections is not None, name
        if operation.kind.value != "query":
            continue
        wanted = {d.variable.name.value for d in operation.definition.variable_definitions or ()}
        for kind in ("project", "dataset", "version", "experiment", "model", "production", "job"):
            variables = {key: value or ids[kind] for key, value in known.items() if key in wanted}
            general = await said(asker, uncompiled(operation), variables, owner)
            assert await said(asker, operation, variables, owner) == general, name
