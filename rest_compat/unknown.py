"""What an endpoint does not take is ignored, and the answer says so: keys of a body, fields of a form, parameters of a query."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coreplex.errors.nearest import ignored
from coreplex.errors.tree import Message
from rest_compat import columns
from rest_compat.endpoint import Endpoint

WARNINGS = "warnings"
SCHEMA = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Keys of the body and parameters of the query that were ignored; left out if none was.",
}


def keys(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """A sentence for each key of a body that is not known."""
    return list(ignored(names, sorted(known), _key))


def parameters(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """A sentence for each parameter of a query that is not known."""
    return list(ignored(names, sorted(known), _parameter))


def _key(name: str) -> Message:
    return Message("key_ignored", "This endpoint takes no key '{key}', which is ignored.", key=name)


def _parameter(name: str) -> Message:
    return Message("parameter_ignored", "This endpoint takes no parameter '{parameter}', which is ignored.", parameter=name)


def with_warnings(
    body: Any, endpoint: Endpoint, path: Mapping[str, str], sent: Mapping[str, Any], unknown_parameters: Sequence[str] = ()
) -> Any:
    """The answer with a warning for each key of `sent` and each parameter that was ignored, beside its own ones if it has any.

    A key that repeats what the path says is no such key.
    """
    known = {*endpoint.body}
    if endpoint.columns:
        known = known - {"columns"} | columns.keys(endpoint.columns)
    if not unknown_parameters and sent.keys() <= known:
        return body
    said = keys((name for name, value in sent.items() if name not in path or path[name] != value), known)
    said += unknown_parameters
    if not said:
        return body
    return {**body, WARNINGS: [*body.get(WARNINGS, ()), *map(endpoint.warning, said)]}


def header(said: Sequence[str]) -> dict[str, str]:
    """The sentences as a header (RFC 7234, 5.5), for answers whose body is a file."""
    text = re.sub(r"[^ !#-\[\]-~]", "?", " ".join(said))
    return {"Warning": f'299 - "{text}"'} if said else {}
