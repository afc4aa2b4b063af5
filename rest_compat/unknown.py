"""Keys of a body and fields of a form that an endpoint does not take: they are ignored, and the answer says so."""

from collections.abc import Iterable, Mapping
from typing import Any

from coreplex.nearest import ignored
from rest_compat import columns
from rest_compat.endpoint import Endpoint

WARNINGS = "warnings"
SCHEMA = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Keys of the body that were ignored; left out if none was.",
}


def sentences(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """One for each name that is not known."""
    return ignored(names, sorted(known), "This endpoint takes no key")


def with_warnings(body: Any, endpoint: Endpoint, path: Mapping[str, str], sent: Mapping[str, Any]) -> Any:
    """The answer with a warning for each key of `sent` that was ignored, beside its own ones if it has any.

    A key that repeats what the path says is no such key.
    """
    known = {*endpoint.body}
    if endpoint.columns:
        known = known - {"columns"} | columns.keys(endpoint.columns)
    said = sentences((name for name, value in sent.items() if name not in path or path[name] != value), known)
    if not said:
        return body
    return {**body, WARNINGS: [*body.get(WARNINGS, ()), *map(endpoint.warning, said)]}
