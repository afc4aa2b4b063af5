"""The codes of errors, declared in the contract: what `extensions.code` of an error says, and the `code` of a `UserError`."""

from schema.common import named_enum
from schema.enums import enum

MENDABLE = {
    "bad_input": "What was sent cannot be read: a file of no supported type, a token that is wrong or has expired.",
    "conflict": "The thing is in another state: already a member, still deployed, in training, not finished.",
    "damaged": "A stored file is missing or was changed behind the server's back; it is not used.",
    "invalid": "A value is missing or wrong.",
    "locked": "Somebody else is at it this moment.",
    "no_model": "A training ended before a single model was done.",
    "quota_exceeded": "An account or a project holds as much as it may.",
    "too_large": "What was sent is larger than it may be.",
}
CODES = {
    **MENDABLE,
    "answer_too_large": "The answer would be larger than an answer may be; nothing of it is sent.",
    "bad_request": "The document is wrong or over a limit, or the request is no GraphQL request.",
    "busy": "Too many requests at once; try again after `retryAfter` seconds.",
    "caller_left": "The caller hung up.",
    "cancelled": "The work was ended on request.",
    "checksum_mismatch": "The bytes that arrived are not those that were announced.",
    "crashed": "The work ended its process; the log has why.",
    "document_not_found": "The server has no document of this id.",
    "document_not_listed": "The server runs listed documents only, and this is none of them.",
    "forbidden": "The caller may not: a scope, a role, a token against forgery, or what the plan includes is missing.",
    "internal": "A bug of the server; the log has it under `requestId`.",
    "method_not_allowed": "The address exists, the method does not.",
    "not_found": "Unknown, malformed, or another person's: the three are told apart nowhere.",
    "out_of_memory": "The work needs more memory than it may have.",
    "persisted_query_not_found": "The server has no document of this hash: send it in full.",
    "persisted_query_not_supported": "The server keeps no documents: send it in full, always.",
    "rate_limited": "The budget of the window is used up; try again after `retryAfter` seconds.",
    "storage_full": "The disk of the server or of its database is full, or nearly.",
    "timeout": "The work took longer than it may.",
    "too_expensive": "The operation would touch more objects than one request may.",
    "unauthenticated": "No credential, or a wrong, expired or revoked one.",
    "unavailable": "A part of the server is away for a moment.",
    "uri_too_long": "The address is longer than one may be: send the request by POST.",
    "unsupported_media_type": "The request is not declared as JSON.",
}
ErrorCode = enum(
    named_enum("ErrorCode", sorted(CODES)),
    "What kind an error is: `extensions.code` of every entry of `errors`. Further extensions: `status` (of HTTP), `requestId`, "
    "`reason` (a machine word for the message) with `parameters`, `errors` (a list of wrong values) and `retryAfter` (seconds).",
    CODES,
)
UserErrorCode = enum(named_enum("UserErrorCode", MENDABLE), "What kind of error a person can mend it is.", MENDABLE)
