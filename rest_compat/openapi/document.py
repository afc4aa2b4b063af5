"""OpenAPI 3.1, derived: parameters and bodies from the table and the SDL, responses by running each envelope on a typed result.

Nothing here is written by hand that the table or the schema knows already. A typed result is the operation's result with types in
place of values; the envelope of the row is run on it, and what comes out is read back as a JSON Schema.
"""

import re
from functools import lru_cache
from typing import Any

from rest_compat import inbox, tus_openapi
from rest_compat.openapi.common import SESSION, components
from rest_compat.openapi.given import NAMES
from rest_compat.openapi.names import Components, folded, without_hints
from rest_compat.openapi.operation import Described
from rest_compat.stored import snake
from rest_compat.table import CONCEPTS
from schema.execution import STORED

_ROOT_FIELDS = {name for root in STORED.roots.values() if root is not None for name in root.fields}


@lru_cache(maxsize=2)
def document(session_cookie: str = SESSION) -> dict[str, Any]:
    """The whole description, with its schemas among the components; the same for every request and every process."""
    paths = _paths()
    named = Components({one["operationId"]: one for methods in paths.values() for one in methods.values()}, NAMES)
    return _whole(named.replaced(paths), components(named.schemas, session_cookie))


@lru_cache(maxsize=1)
def inlined() -> dict[str, Any]:
    """The same with each schema where it is used."""
    return _whole(without_hints(_paths()), components({}, SESSION))


def _whole(paths: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CorePlexML REST API",
            "version": "0.1.0",
            "description": "Every endpoint is a stored operation of the GraphQL schema at /graphql.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {**parts, "schemas": dict(sorted(parts["schemas"].items()))},
    }


@lru_cache(maxsize=1)
def _paths() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for concept, rows in CONCEPTS.items():
        for row in rows:
            paths.setdefault(row.path, {})[row.method.lower()] = Described(row, concept).as_dict()
    paths |= inbox.described()
    paths |= tus_openapi.paths()
    _require_names(paths)
    found: dict[str, dict[str, Any]] = _respelled(dict(sorted(paths.items())))
    return found


def _require_names(paths: dict[str, dict[str, Any]]) -> None:
    """Raise ValueError for two operations that tools would give one name."""
    used: set[str] = set()
    for name in (operation["operationId"] for methods in paths.values() for operation in methods.values()):
        if folded(name) in used:
            raise ValueError(f"two endpoints are called {name} in OpenAPI: give one of their rows a `name`")
        used.add(folded(name))


def _respelled(value: Any) -> Any:
    """The texts with names of inputs as REST spells them, `dataset_id` for `datasetId`; those of GraphQL's operations stay."""
    if isinstance(value, dict):
        return {key: _respelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_respelled(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"`([a-z]+[A-Z]\w*)`", lambda found: found[0] if found[1] in _ROOT_FIELDS else snake(found[0]), value)
