"""The guard of the public GraphQL door: what a document may weigh, decided in linear time before the spec's rules see it.

Every fragment is measured once and remembered, whatever the number of its uses, and numbers saturate, so no document costs more
than its own length to judge. Refuses with BadRequest. Trusted documents (stored operations of REST) never come here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
)
from graphql.validation.rules import max_introspection_depth_rule, overlapping_fields_can_be_merged

from coreplex.errors.tree import Message
from schema.errors import BadDocument, BadRequest

# graphql-core reads both when a validation starts. Defaults allow 1.3 s of comparing fields, and introspection of types in types.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 20_000
max_introspection_depth_rule.MAX_LIST_DEPTH = 2

INTROSPECTION = frozenset({"__schema", "__type"})
MANY = 1_000_000
_LONG_NUMBER = re.compile(r"[0-9]{301}")  # Python itself refuses to read integers beyond 4,300 digits
MAX_LEVELS = 100
"""Nested braces and spreads the walk follows; bounds its recursion."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each a public document may have. Everything but the first three is counted after fragment expansion."""

    source_chars: int = 20_000
    tokens: int = 2_000
    comments: int = 50
    operations: int = 10
    fragments: int = 50
    variables: int = 100
    depth: int = 12
    introspection_depth: int = 20
    fields: int = 2_000
    aliases: int = 30
    directives: int = 20
    root_fields: int = 20


LIMITS = Limits()


class Size(NamedTuple):
    """The size of a selection, fragments expanded."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: "Size") -> "Size":
        """Both in one selection: the deeper depth, the sum of everything else."""
        return Size(max(self.depth, other.depth), *(min(MANY, a + b) for a, b in zip(self[1:], other[1:], strict=True)))


def read(text: str) -> DocumentNode:
    """Parse a public document. Raises BadDocument for wrong syntax and for one too long to be read."""
    if _LONG_NUMBER.search(text):
        raise BadRequest(Message("number_too_long", "A number in a document may have at most 300 digits."))
    try:
        return parse(text, max_source_length=LIMITS.source_chars, max_lexical_tokens=LIMITS.tokens, max_comments=LIMITS.comments)
    except GraphQLError as error:
        raise BadDocument([error]) from None


def check(document: DocumentNode) -> None:
    """Raise BadRequest when the document, or any operation of it, exceeds a limit."""
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    if len(operations) + len(fragments) < len(document.definitions):
        raise BadRequest(
            Message("no_executable_document", "A document may hold operations and fragments only, each fragment once.")
        )
    _within("operations", len(operations))
    _within("fragments", len(fragments))
    meter = _Meter(fragments)
    for operation in operations:
        _within("variables", len(operation.variable_definitions or ()))
        size = meter.measure(operation.selection_set)
        own = len(operation.directives or ()) + sum(len(v.directives or ()) for v in operation.variable_definitions or ())
        for name in ("depth", "fields", "aliases"):
            _within(name, getattr(size, name))
        _within("directives", size.directives + own)


def _within(name: str, count: int) -> None:
    limit = getattr(LIMITS, name)
    if count > limit:
        raise BadRequest(
            Message(
                "document_over_limit",
                "A document may have at most {most} {what}.",
                most=limit,
                what=name.replace("depth", "levels of depth").replace("_", " "),
            )
        )


class _Meter:
    """Measures selections of one document."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.fragments = fragments
        self.known: dict[str, Size] = {}

    def measure(self, selections: SelectionSetNode, level: int = 0) -> Size:
        if level > MAX_LEVELS:
            raise BadRequest(Message("document_too_deep", "The document is nested too deeply."))
        if not selections.selections:
            raise BadRequest(Message("selection_empty", "A selection must not be empty."))
        total = Size()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                size = self._field(node, level)
            elif isinstance(node, InlineFragmentNode):
                size = self.measure(node.selection_set, level + 1)
            else:
                assert isinstance(node, FragmentSpreadNode)
                size = self._fragment(node.name.value, level)
            total = total.beside(size).beside(Size(directives=len(node.directives or ())))
        return total

    def _field(self, node: FieldNode, level: int) -> Size:
        inner = self.measure(node.selection_set, level + 1) if node.selection_set else Size()
        aliases = inner.aliases + (node.alias is not None)
        depth = inner.depth + 1
        if node.name.value in INTROSPECTION:
            _within("introspection_depth", depth)
            if aliases:
                # Without aliases repeated selections merge, so one walk over the schema is the most it can cost.
                raise BadRequest(Message("introspection_aliased", "Introspection takes no aliases."))
            depth = 1
        return Size(depth, min(MANY, inner.fields + 1), aliases, inner.directives)

    def _fragment(self, name: str, level: int) -> Size:
        """Size of a fragment, measured at its first use. Unknown and circular ones weigh nothing: validation refuses them."""
        if name in self.known or name not in self.fragments:
            return self.known.get(name, Size())
        self.known[name] = Size()
        fragment = self.fragments[name]
        size = self.measure(fragment.selection_set, level + 1)
        self.known[name] = size.beside(Size(directives=len(fragment.directives or ())))
        return self.known[name]
