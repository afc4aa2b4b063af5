"""What may be odd about rows a model is given, in the public contract."""

from typing import Any

from schema.common import named_enum
from schema.enums import enum

KINDS = {
    "missing_column": "A column that the model reads is not there; it is taken as missing.",
    "extra_column": "A column that the model does not know; it is ignored.",
    "matched_column": "A column was taken for one of nearly the same name.",
    "unreadable_value": "A value that cannot be read as what its column is; it is taken as missing.",
    "unseen_category": "A category that training has not seen.",
    "missing_value": "A value is missing in a column in which training always saw one.",
    "out_of_range": "A number or time outside the range that training has seen.",
    "unknown_option": "An option that there is not; it is ignored.",
    "candidate_failed": "The candidate of a canary could not answer; the production deployment did.",
    "idle_option": "An option that changes nothing for a model of this kind.",
    "not_logged": "The answer is not in the inference log.",
    "more": "There are more warnings than are shown.",
}
RowWarningKind: Any = named_enum("RowWarningKind", KINDS)
enum(RowWarningKind, "What is odd about rows, or about the call they came with.", KINDS)
