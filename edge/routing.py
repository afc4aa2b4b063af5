"""All rows of the table as one route: the path is walked segment by segment instead of being tried against a hundred patterns.

A literal segment stands before a parameter in the same place; where it leads to no row of the method, the parameter is tried.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

Answer = Callable[[Request], Awaitable[Response]]
RouteRow = tuple[str, str, Answer]
"""Method, path with `{parameters}`, what answers."""


PATTERN = "route_pattern"
"""Where a scope has the path of its row, with `{parameters}`."""


class Leaf(NamedTuple):
    """What answers one method of one path."""

    answer: Answer
    pattern: str
    names: Sequence[str]
    """Its parameters, in the order of the path."""


@dataclass
class Node:
    """A node of the tree of paths: the segments that may follow."""

    literals: dict[str, "Node"] = field(default_factory=dict)
    parameter: "Node | None" = None
    leaves: dict[str, Leaf] = field(default_factory=dict)

    def step(self, part: str) -> "Node":
        """The node behind one segment of a pattern, made when missing."""
        if part.startswith("{"):
            self.parameter = self.parameter or Node()
            return self.parameter
        return self.literals.setdefault(part, Node())

    def ends(self, parts: Sequence[str]) -> list[tuple["Node", tuple[str, ...]]]:
        """Nodes that a path leads to, with the values of the parameters; the most literal first."""
        found: list[tuple[Node, tuple[str, ...]]] = [(self, ())]
        for part in parts:
            before, found = found, []
            for node, values in before:
                literal = node.literals.get(part)
                if literal is not None:
                    found.append((literal, values))
                if node.parameter is not None and part:
                    found.append((node.parameter, (*values, part)))
            if not found:
                break
        return found


class TableRoute(BaseRoute):
    """The one route of all rows."""

    def __init__(self, rows: Iterable[RouteRow]) -> None:
        self.root = Node()
        for method, path, answer in rows:
            node = self.root
            for part in path.split("/"):
                node = node.step(part)
            names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
            node.leaves[method] = Leaf(answer, path, names)
            if method == "GET":
                node.leaves.setdefault("HEAD", node.leaves[method])

    def find(self, scope: Scope) -> Answer | None:
        """What answers a request, whose scope has the parameters of the path then. None where no row does."""
        method = scope["method"]
        for node, values in self.root.ends(scope["path"].split("/")):
            leaf = node.leaves.get(method)
            if leaf is not None:
                scope[PATTERN] = leaf.pattern
                scope["path_params"] = dict(zip(leaf.names, values, strict=True))
                return leaf.answer
        return None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """For Starlette, which is asked where `find` has found nothing: a path that has rows of other methods."""
        if scope["type"] != "http":
            return Match.NONE, {}
        allowed = {method for node, _ in self.root.ends(scope["path"].split("/")) for method in node.leaves}
        return (Match.PARTIAL, {"endpoint": allowed}) if allowed else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the method. Raises HTTPException (405)."""
        raise HTTPException(status_code=405, headers={"Allow": ", ".join(sorted(scope["endpoint"]))})
