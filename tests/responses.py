"""Every REST answer a test sees is held against the derived description of the API: a hook of the clients, not a test of its own.

Checked are the rate-limit headers of any answer, and for documented endpoints the status, the body's schema, and that the body
has no field the description does not know.
"""

import re
from functools import cache, lru_cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from rest_compat.openapi.common import RATE_HEADERS
from rest_compat.openapi.document import document

ANY_MEDIA = "application/octet-stream"
EVERYWHERE = {"405", "500", "507"}
"""Statuses that need no line in the description: a wrong method, a bug, a full disk."""
DESCRIPTION = "urn:description"


def check(response: httpx.Response) -> None:
    """Raise AssertionError when an answer is not as described."""
    where = f"{response.request.method} {response.request.url} → {response.status_code}"
    for name in RATE_HEADERS:
        assert re.fullmatch(r"\d+", response.headers.get(name, "")), f"{where}: no {name}"
    assert response.headers.get("X-Request-Id"), where
    operation = operation_of(response.request.method, response.request.url.path)
    if operation is not None and response.status_code == 200:
        media = response.headers.get("content-type", "").partition(";")[0]
        listed = operation["responses"]["200"].get("content", {media: None})
        assert media in listed or ANY_MEDIA in listed, f"{where}: {media} is not documented"
    if operation is None or response.headers.get("content-type") != "application/json":
        return
    status = str(response.status_code)
    if status in EVERYWHERE:
        return
    assert status in operation["responses"], f"{where}: the status is not documented: {response.text[:300]}"
    if (validator := validator_of(response.request.method, response.request.url.path, status)) is not None:
        problems = [f"{list(e.absolute_path)}: {e.message[:300]}" for e in validator.iter_errors(response.json())]
        assert not problems, f"{where}: {problems[:5]}"


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The documented operation that answers at a path; literal paths before those with a parameter."""
    template = template_of(path)
    return None if template is None else document()["paths"][template].get(method.lower())


@lru_cache(maxsize=1)
def _templates() -> list[tuple[re.Pattern[str], str]]:
    paths = sorted(document()["paths"], key=lambda path: [("{" in part, part) for part in path.split("/")])
    return [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), path) for path in paths]


def template_of(path: str) -> str | None:
    return next((template for pattern, template in _templates() if pattern.fullmatch(path)), None)


def validator_of(method: str, path: str, status: str) -> Draft202012Validator | None:
    return _validator(method.lower(), template_of(path) or "", status)


@lru_cache
def _registry() -> Registry[Any]:
    closed = _closed(document())
    return Registry().with_resource(DESCRIPTION, Resource(closed, DRAFT202012))


@cache
def _validator(method: str, template: str, status: str) -> Draft202012Validator | None:
    response = document()["paths"][template][method]["responses"][status]
    if "$ref" in response:
        response = document()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    schema = response["content"].get("application/json", {}).get("schema")
    return None if schema is None else Draft202012Validator(_closed(schema), registry=_registry())


def _closed(schema: Any) -> Any:
    """The schema with every described object closed: a field nobody described is a leak or a gap."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _closed(item) for name, item in schema.items()}
    if isinstance(schema.get("$ref"), str):
        found["$ref"] = DESCRIPTION + schema["$ref"]
    if isinstance(schema.get("properties"), dict) and schema.get("type") in ("object", ["object", "null"]):
        found.setdefault("additionalProperties", False)
    return found
