"""Envelopes: from an operation's result to the body the documentation promises.

By convention every stored operation has one root field, aliased `result`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rest_compat import documents
from rest_compat.endpoint import Shape
from rest_compat.response_schema import CANCELLED

OUTCOMES: Mapping[str, Any] = {
    "queued": ["queued"],
    "running": ["running"],
    "succeeded": ["succeeded"],
    "failed": ["failed", CANCELLED],
}
"""REST's words for the state of what runs as a job, and which states each stands for (contract A.9)."""


def outcome(record: dict[str, Any]) -> dict[str, Any]:
    """A resource in REST's words: its error is a sentence; what runs as a job and was cancelled has failed with a reason
    (contract A.9)."""
    if "error" in record:
        record["error"] = documents.sentence(record["error"])
    if record.get("status") == CANCELLED:
        return {**record, "status": "failed", "error": record.get("error") or CANCELLED}
    return record


def outcomes(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same list, each of it in REST's words."""
    records[:] = map(outcome, records)
    return records


def page(result: Any, variables: Mapping[str, Any]) -> Any:
    """List: items, total, limit, offset."""
    return {
        "items": outcomes(result["items"]),
        "total": result["total"],
        "limit": variables.get("first", 50),
        "offset": variables.get("offset", 0),
    }


def page_of(made: Callable[[Any], Any]) -> Shape:
    """List of things that are spelled one by one."""

    def shape(result: Any, variables: Mapping[str, Any]) -> Any:
        items = result["items"]
        items[:] = map(made, items)
        return page(result, variables)

    return shape


def named_page(name: str) -> Shape:
    """List under its own name too (timeline events, logs)."""

    def shape(result: Any, variables: Mapping[str, Any]) -> Any:
        body = page(result, variables)
        return {name: body["items"], **body}

    return shape


def named(name: str) -> Shape:
    """Single resource: wrapped in a key named after it."""
    return lambda result, _: {name: outcome(result)}


def unwrapped(name: str) -> Shape:
    """A payload's one resource, wrapped in its key."""
    return lambda result, _: {name: outcome(result[name])}


def mirrored(name: str) -> Shape:
    """Single resource, wrapped and with its fields at top level as well (contract A.3)."""

    def shape(result: Any, _: Mapping[str, Any]) -> Any:
        resource = outcome(result)
        return {**resource, name: resource}

    return shape


def created(name: str, *also: str) -> Shape:
    """A new resource: its id twice, itself, and the named extra fields of the payload."""

    def shape(result: Any, _: Mapping[str, Any]) -> Any:
        resource = outcome(result[name])
        extra = {key: result[key] for key in also}
        return {"id": resource["id"], f"{name}_id": resource["id"], **extra, name: resource}

    return shape


def ok(_result: Any, _variables: Mapping[str, Any]) -> Any:
    """Done, nothing to show."""
    return {"ok": True}


def plain(result: Any, _variables: Mapping[str, Any]) -> Any:
    """The result as it is."""
    return result
