"""Fields whose values are credentials: said in the contract, and known of an operation before it runs."""

from collections.abc import Mapping
from typing import Any

import strawberry
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
)
from strawberry.schema_directive import Location


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="secret",
    description="The value is a credential: an answer that holds it is kept by no cache and never compressed.",
)
class SecretDirective:
    pass


def secret(description: str, **options: Any) -> Any:
    """A field whose value nobody but the caller may learn, not even from the length of the answer."""
    return strawberry.field(description=description, directives=[SecretDirective()], **options)


class Secrets:
    """The secret fields of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        objects = [kind for kind in schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
        self.fields = {(kind.name, name) for kind in objects for name, field in kind.fields.items() if _is_secret(field)}
        self.names = {name for _, name in self.fields}

    def among(self, selections: SelectionSetNode, parent: Any, fragments: Mapping[str, FragmentDefinitionNode]) -> bool:
        """Whether a validated selection asks for one."""
        left, seen = [(selections, parent)], set()
        while left:
            selections, parent = left.pop()
            for node in selections.selections:
                if isinstance(node, FieldNode):
                    if self._has(parent, node.name.value):
                        return True
                    if node.selection_set is not None and node.name.value in parent.fields:
                        left.append((node.selection_set, get_named_type(parent.fields[node.name.value].type)))
                elif isinstance(node, FragmentSpreadNode):
                    if node.name.value not in seen:
                        seen.add(node.name.value)
                        fragment = fragments[node.name.value]
                        left.append((fragment.selection_set, self.schema.get_type(fragment.type_condition.name.value)))
                elif isinstance(node, InlineFragmentNode):
                    condition = node.type_condition
                    left.append((node.selection_set, self.schema.get_type(condition.name.value) if condition else parent))
        return False

    def _has(self, parent: Any, name: str) -> bool:
        """Of an interface any field counts that is secret in some object."""
        return (parent.name, name) in self.fields if isinstance(parent, GraphQLObjectType) else name in self.names


def _is_secret(field: Any) -> bool:
    definition = field.extensions.get("strawberry-definition")
    return any(isinstance(one, SecretDirective) for one in getattr(definition, "directives", ()))
