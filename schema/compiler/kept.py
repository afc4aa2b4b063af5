"""What outlives a part of an execution: what is worked out of an operation, and the errors of an attempt that went well."""

from typing import Any

from graphql import GraphQLError
from graphql.execution.executor import CollectedErrors
from graphql.pyutils import Path

from schema.compiler.plan import Plans


class Kept:
    """What is worked out once per operation and lives as long as the document that owns its nodes."""

    def __init__(self) -> None:
        self.collected: dict[tuple[Any, ...], Any] = {}
        self.plans: Plans = {}
        self.root: Any = None
        """The fields of the operation itself."""
        self.single: Any = None
        """How it runs where they are one."""


class Errors(CollectedErrors):
    """The errors of an attempt with their places, so that they can be handed over when it went well."""

    __slots__ = ("added", "failed")

    def __init__(self) -> None:
        super().__init__()
        self.failed = False
        """A part within the attempt failed: a field that may be null has swallowed it, the attempt must not."""
        self.added: list[tuple[GraphQLError, Path | None]] = []

    def add(self, error: GraphQLError, path: Path | None) -> None:
        self.added.append((error, path))
        super().add(error, path)
