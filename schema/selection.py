"""What an operation selects of a field."""

from typing import Any

from graphql import FieldNode, FragmentSpreadNode, GraphQLResolveInfo, InlineFragmentNode


def selected(info: GraphQLResolveInfo[Any]) -> set[str]:
    """Names of the fields selected of the field that is being executed, in fragments too."""
    open_sets: list[Any] = [node.selection_set for node in info.field_nodes]
    names: set[str] = set()
    while open_sets:
        chosen = open_sets.pop()
        for node in chosen.selections if chosen else ():
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, FragmentSpreadNode):
                open_sets.append(info.fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                open_sets.append(node.selection_set)
    return names
