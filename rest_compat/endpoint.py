"""What one row of the table of documented endpoints says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from coreplex.errors.tree import TooLarge
from coreplex.platform.staging import file_too_large
from rest_compat.whole import Whole

Shape = Callable[[Any, Mapping[str, Any]], Any]
"""From an operation's result and its variables to the response body."""


ANY_MEDIA = "application/octet-stream"


class Kind(Enum):
    """How the body of the request or of the answer travels."""

    json = "json"
    upload = "upload"
    """Takes a form with a file, or names one that is here already (`upload_id`)."""
    download = "download"
    """Its operation names a file; the answer is the file."""


@dataclass(frozen=True)
class File:
    """What an endpoint that takes a file says of it."""

    about: str
    """What the file is."""
    target: str
    """The operation that tells whether the caller may put a file there, asked before its first byte is taken."""
    into: Mapping[str, str]
    """The target's variables by the path's and the form's names; without any of these there is nothing to ask yet."""
    or_else: Sequence[str] = ()
    """Keys of the body that may stand in place of a file."""
    limit: str = "max_dataset_upload_bytes"
    """The setting that says how large it may be."""
    too_large: Callable[[int], TooLarge] = file_too_large
    """The refusal of a file beyond that limit."""


@dataclass(frozen=True, eq=False)
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
    """Parameters and keys of the body with words of REST's own: each word with the value of the variable it stands for."""
    by_name: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Keys of the body that are objects in REST and lists in the contract: the fields of an item for a key and for its value."""
    constants: Mapping[str, Any] = field(default_factory=dict)
    """Variables every call sets."""
    in_json: Mapping[str, str] = field(default_factory=dict)
    """Keys of the body that are JSON texts in a form, each with an example."""
    columns: str = ""
    """Takes what REST says of columns: `OVERRIDES` or `MARKS` of `rest_compat.columns`."""
    warning: Callable[[str], Any] = str
    """What a sentence is among the `warnings` of the answer."""
    paged: bool = False
    """Takes limit, offset, search, sort_field and sort_direction."""
    whole: Whole | None = None
    """Takes the same; its operation gives the list whole."""
    many_rows: bool = False
    """Takes as large a body as a prediction, which has rows."""
    says_one_of: Sequence[str] = ()
    """Keys of which the body must have one, were it null: what it leaves out it takes away."""
    body_optional: bool = False
    """An empty body is an empty object."""
    certain: Sequence[str] = ()
    """Places of the answer (`user.role`) that are never null here, though the contract says that they may be elsewhere."""
    kind: Kind = Kind.json
    file: File | None = None
    """Of an upload: what is said of its file."""
    made_for_answer: bool = True
    """Of a download: its file has served with the answer."""
    media: Sequence[str] = (ANY_MEDIA,)
    """Of a download: the types its files have; `ANY_MEDIA` stands for further ones."""
    name: str = ""
    """What it is called in OpenAPI, where another endpoint runs the same operation."""
