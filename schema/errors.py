"""Errors as a caller sees them: one translation for both doors.

A DomainError keeps its code, status and message. A wrong input becomes Invalid with its fields. Everything else is masked,
and logged with the request id the caller gets.
"""

import re
from collections.abc import Sequence
from typing import Any

import structlog
from graphql import GraphQLError
from pydantic import ValidationError
from sqlalchemy.exc import NoResultFound

from coreplex.errors.disk import FULL, is_full
from coreplex.errors.rules import wrong_values
from coreplex.errors.tree import Conflict, Damaged, DomainError, Invalid, Message, StorageFull, Unavailable
from coreplex.platform.database import is_bad_value, is_unavailable, refers_to_nothing
from coreplex.platform.memory import NoMemory
from edge.body import extensions

log = structlog.get_logger()


class Internal(DomainError):
    """An unexpected exception, as a caller sees it: masked."""

    code, status = "internal", 500


class BadRequest(DomainError):
    """The document itself is wrong: syntax, unknown fields, a limit."""

    code, status = "bad_request", 400


class BadDocument(BadRequest):
    """Errors of syntax or validation, each with its place in the document."""

    def __init__(self, found: Sequence[GraphQLError]) -> None:
        super().__init__(not_valid(*(error.message for error in found[:5])))
        self.found = tuple(found)


def from_validation(error: ValidationError) -> Invalid:
    """Pydantic's list of wrong values as ours."""
    return Invalid.fields(wrong_values(error))


def not_valid(*told: str) -> Message:
    """GraphQL's own complaint about a document or its variables."""
    return Message("document_not_valid", "{told}", told="; ".join(map(without_values, told)))


def without_values(message: str) -> str:
    """GraphQL's complaint about a value without the value: it may be a password in the wrong place."""
    message = re.sub(r"(?s)(cannot represent [\w\s-]*value): .*", r"\1", message)
    return re.sub(r"(?s)([,;.]|(?<=\?)) [Ff]ound: .*", "", message)


def domain_error(error: BaseException, request_id: str) -> DomainError:
    """The error a caller may see for whatever was raised. Never fails."""
    original = error.original_error if isinstance(error, GraphQLError) else error
    if isinstance(original, GraphQLError):
        original = original.original_error or original
    if isinstance(original, DomainError):
        if isinstance(original, Damaged):
            log.error("stored_file_damaged", exc_info=original, request_id=request_id)
        return original
    if isinstance(original, ValidationError):
        return from_validation(original)
    if original is None or isinstance(original, GraphQLError):
        return BadRequest(not_valid(getattr(error, "message", str(error))))
    if is_unavailable(original):
        log.warning("unavailable", error=repr(original), request_id=request_id)
        return Unavailable(
            Message("part_not_reachable", "A part of the server is not reachable at the moment; try again shortly.")
        )
    if is_full(original):
        log.error("storage_full", error=repr(original), request_id=request_id)
        return StorageFull(FULL)
    if is_bad_value(original):
        log.warning("bad_value", error=repr(original), request_id=request_id)
        return Invalid(
            Message(
                "value_of_wrong_kind",
                "A value is of the wrong kind, or out of range, for where it is used (a cursor of another list?).",
            )
        )
    if refers_to_nothing(original) or isinstance(original, NoResultFound):
        log.warning("reference_gone", error=repr(original), request_id=request_id)
        return Conflict(
            Message("deleted_meanwhile", "Something that this needs was deleted in the same moment; nothing was done.")
        )
    if isinstance(original, MemoryError):
        log.error("out_of_memory", exc_info=original, request_id=request_id)
        return NoMemory()
    log.error("internal_error", exc_info=original, request_id=request_id)
    return Internal(
        Message(
            "internal_error",
            "Internal error; give the request id {request_id} to the administrator of this server.",
            request_id=request_id,
        )
    )


def graphql_error(error: GraphQLError, request_id: str) -> dict[str, Any]:
    """One entry of a GraphQL answer's `errors`."""
    seen = domain_error(error, request_id)
    entry: dict[str, Any] = {"message": seen.message}
    if error.locations:
        entry["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        entry["path"] = list(error.path)
    entry["extensions"] = extensions(seen, request_id)
    return entry
