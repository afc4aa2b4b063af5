"""Stored operations: read, validated and respelled once, at start-up.

Every selected field is aliased to snake_case in the document itself, so that results come out in REST's spelling and the user's
own JSON is never touched.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    NameNode,
    Node,
    OperationDefinitionNode,
    Visitor,
    parse,
    validate,
    visit,
)

from schema.execution import STORED, Operation, from_document

FOLDER = Path(__file__).parent / "operations"


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class _Respell(Visitor):
    """Gives each field, aliased or not, its name in snake_case."""

    def enter_field(self, node: FieldNode, *_args: Any) -> FieldNode | None:
        shown = (node.alias or node.name).value
        spelled = snake(shown)
        if spelled == shown:
            return None
        return FieldNode(
            alias=NameNode(value=spelled),
            name=node.name,
            arguments=node.arguments,
            directives=node.directives,
            selection_set=node.selection_set,
        )


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
        self.names.add(node.name.value)


def _spreads(node: Node) -> set[str]:
    visitor = _Spreads()
    visit(node, visitor)
    return visitor.names


@lru_cache(maxsize=1)
def operations() -> dict[str, Operation]:
    """Every stored operation by name, with the fragments it needs. Raises at start-up when one is wrong."""
    definitions = [
        visit(definition, _Respell())
        for path in sorted(FOLDER.glob("*.graphql"))
        for definition in parse(path.read_text()).definitions
    ]
    fragments = {d.name.value: d for d in definitions if isinstance(d, FragmentDefinitionNode)}
    found: dict[str, Operation] = {}
    for definition in definitions:
        if isinstance(definition, OperationDefinitionNode):
            assert definition.name is not None, "stored operations have names"
            found[definition.name.value] = _stored(definition, fragments)
    return found


def _stored(definition: OperationDefinitionNode, fragments: dict[str, FragmentDefinitionNode]) -> Operation:
    needed: dict[str, FragmentDefinitionNode] = {}
    open_names = _spreads(definition)
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed[name] = fragments[name]
            open_names |= _spreads(fragments[name])
    document = DocumentNode(definitions=(definition, *needed.values()))
    errors = validate(STORED.schema, document)
    if errors:
        assert definition.name is not None
        raise ValueError(f"stored operation {definition.name.value}: {errors[0].message}")
    return from_document(document, contract=STORED)
