"""What one row of the table of documented endpoints says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Shape = Callable[[Any, Mapping[str, Any]], Any]
"""From an operation's result and its variables to the response body."""


@dataclass(frozen=True)
class Endpoint:
    """A documented endpoint: method and path, the stored operation that is its meaning, and how the two fit together.

    `params` are the parameters of the query string, `body` the keys taken from a JSON body or a form (others of either are
    ignored with a warning). Each goes to the GraphQL variable `into` names (`project_id` → `filter.projectId`); unnamed ones go
    to the variable of the same name in camelCase, or into `input` when the operation takes one.
    """

    method: str
    path: str
    operation: str
    shape: Shape
    status: int = 200
    params: Sequence[str] = ()
    body: Sequence[str] = ()
    into: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Query parameters with words of REST's own: each word with the value of the variable it stands for."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Variables every call sets."""
    columns: str = ""
    """Takes what REST says of columns: `OVERRIDES` or `MARKS` of `rest_compat.columns`."""
    warning: Callable[[str], Any] = str
    """What a sentence is among the `warnings` of the answer."""
    paged: bool = False
    """Takes limit, offset, search, sort_field and sort_direction."""
    body_optional: bool = False
    """An empty body is an empty object."""
