"""What a replay has found in detail, in the public contract."""

from typing import Any

import strawberry

from coreplex.engines.replay.slices import SliceKind
from coreplex.engines.replay.verdict import ReplayVerdict
from schema.common import key
from schema.cost import INSIDE
from schema.document_fields import real
from schema.enums import enum
from schema.scalars import Long, Value

enum(
    SliceKind,
    "How the rows of a slice are chosen.",
    {
        "value": "Their value is one.",
        "range": "Their number lies from `lower` to below `upper`; the last range holds its upper end.",
        "other": "Their value is none of the ten commonest.",
        "missing": "They have no value.",
    },
    "ReplaySliceKind",
)


def _maybe(name: str, description: str) -> Any:
    return real(name, description, float | None)


@strawberry.type(
    description="How far the two answers are from each other: of numbers the absolute difference, of classes half the sum of the "
    "differences of their probabilities, 0 to 1. Null where the candidate answered nothing."
)
class ReplayDifferences:
    mean: float | None = _maybe("mean", "The mean.")
    p50: float | None = _maybe("p50", "The median.")
    p95: float | None = _maybe("p95", "95 % are no farther.")
    p99: float | None = _maybe("p99", "99 % are no farther.")
    largest: float | None = _maybe("largest", "The largest.")
    correlation: float | None = _maybe("correlation", "Of numbers the correlation of the two, -1 to 1 (Pearson).")


@strawberry.type(description="How many rows go from one class to another, or stay.")
class ReplayChange:
    served: str = key("served", "The class that was answered.", str)
    candidate: str = key("candidate", "The class that the candidate answers.", str)
    row_count: Long = key("rows", "How many rows.", Long)


@strawberry.type(description="A row on which the two answers are far from each other.")
class ReplayDisagreement:
    request_id: str = key("request_id", "The request it came with.", str)
    row_index: int = key("row_index", "Place of the row in the request, from 0.", int)
    served: Value = key("served", "What was answered.", Value)
    candidate: Value = key("candidate", "What the candidate answers.", Value)
    outcome: Value | None = key("outcome", "What was true, if it was known.", Value | None)
    distance: float = real("distance", "How far they are from each other, as in `differences`.")


@strawberry.type(description="Why the candidate could not answer rows.")
class ReplayFailure:
    reason: str = key(
        "reason",
        "`no_column_known`; `answer_not_finite`; or, where callers are strict, what is odd: `strict_missing_column`, "
        "`strict_unseen_category` and the like.",
        str,
    )
    column: str = key("column", "The column it is about; empty where it is about none.", str)
    row_count: Long = key("rows", "How many rows.", Long)
    request_id: str = key("request_id", "The request of the first of them.", str)
    row_index: int = key("row_index", "Its place in the request, from 0.", int)


@strawberry.type(description="How long the candidate takes, in milliseconds.")
class ReplayLatency:
    of_many: float | None = _maybe("of_many", "For a row among thousands: the mean.")
    p50: float | None = _maybe("p50", "For a row that comes alone: the median.")
    p95: float | None = _maybe("p95", "For a row that comes alone: 95 % took no longer.")
    p99: float | None = _maybe("p99", "For a row that comes alone: 99 % took no longer.")


@strawberry.type(description="A metric over the rows that both answered and whose outcome is known.")
class ReplayMetric:
    name: str = key("name", "The metric.", str)
    served: float | None = _maybe("served", "Of the answers that were given; null where it is not defined.")
    candidate: float | None = _maybe("candidate", "Of the candidate's.")


@strawberry.type(description="The same of the rows of one slice. Intervals hold for all slices together.")
class ReplaySlice:
    column: str = key("column", "The column it is by.", str)
    kind: SliceKind = key("kind", "How its rows are chosen.", SliceKind)
    value: str | None = key("value", "Their value, of `VALUE`.", str | None)
    lower: float | None = _maybe("lower", "Where a `RANGE` begins.")
    upper: float | None = _maybe("upper", "Where it ends.")
    row_count: Long = key("rows", "How many rows.", Long)
    failed_row_count: Long = key("failed", "Rows of them that the candidate cannot answer.", Long)
    agreement: float | None = _maybe("agreement", "Share of them that it answers alike, 0 to 1.")
    outcome_count: Long = key("outcomes", "Rows of them whose outcome is known.", Long)
    served_loss: float | None = _maybe("served_loss", "Mean loss of the answers that were given; null without outcomes.")
    candidate_loss: float | None = _maybe("candidate_loss", "Mean loss of the candidate's.")
    gain: float | None = _maybe("gain", "What the candidate would have gained a row; below 0: cost.")
    gain_lower: float | None = _maybe("gain_lower", "Lower end of the interval that holds it.")
    gain_upper: float | None = _maybe("gain_upper", "Its upper end.")
    verdict: ReplayVerdict = key("verdict", "What it comes to, with the margin of the whole.", ReplayVerdict)


def _inside(name: str, kind: Any, description: str) -> Any:
    """A short list of the document."""
    field = key(name, description, kind)
    field.metadata = {**field.metadata, **INSIDE}
    return field


@strawberry.type(description="What a replay has found besides its verdict.")
class ReplayReport:
    differences: ReplayDifferences = key("differences", "How far the two answers are from each other.", ReplayDifferences)
    changes: list[ReplayChange] = _inside(
        "changes", list[ReplayChange], "Of classes: how many rows go from which to which, the commonest first, at most 100."
    )
    disagreements: list[ReplayDisagreement] = _inside(
        "disagreements", list[ReplayDisagreement], "The 20 rows on which they are farthest from each other."
    )
    failures: list[ReplayFailure] = _inside(
        "failures", list[ReplayFailure], "Why the candidate could not answer rows, the commonest reason first, at most 20."
    )
    latency: ReplayLatency = key("latency", "How long the candidate takes.", ReplayLatency)
    metrics: list[ReplayMetric] = _inside(
        "metrics", list[ReplayMetric], "The metrics of the leaderboard, of both; empty without outcomes."
    )
    slices: list[ReplaySlice] = _inside("slices", list[ReplaySlice], "By slice, that of the candidate's worst first.")
