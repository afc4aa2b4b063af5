"""Answers logged rows by a candidate: `python -m coreplex.engines.child coreplex.engines.replay.task:run`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from coreplex.engines.child import Report
from coreplex.engines.performance.realised import Judge
from coreplex.engines.replay import agreement, net_gain, slices, training_rows
from coreplex.engines.replay.pairs import Candidate, Pairs, paired, read
from coreplex.engines.replay.verdict import ReplayVerdict, verdict
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.sequential.sample import LEAST_NUMBERS
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.nearest import hint
from coreplex.errors.tree import Message

USUAL_COLUMNS = 5
"""The most important ones, where no columns are named."""
MOST_SHARES = 4_000_000
"""Probabilities kept at once, for the metrics that are made of them."""


def run(request: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Score and compare. Request: bundle, sha256, reasons (the model's explanation, or null); rows (a file, see `pairs.read`),
    row_count; table (the one the model has learned from, where rows may be in it) and schema; threshold, odd (kinds of warnings
    that refuse a row), columns (or null), confidence, margin (or null).

    Returns what the row of a replay keeps: counts, the verdict with its interval, and `report`, the rest. Raises Corrupt.
    """
    report.progress(0.0, "reading the model")
    scorer = Scorer.load(request["bundle"], request["sha256"])
    columns = request["columns"] if request["columns"] is not None else _important(scorer, request["reasons"])
    candidate = Candidate(scorer, request["threshold"], frozenset(request["odd"]))
    pairs = Pairs(bool(scorer.classes))
    most = MOST_SHARES // max(len(scorer.classes), 1)
    for pairs in paired(candidate, read(Path(request["rows"])), columns, most):
        done = pairs.size / max(request["row_count"], 1)
        report.progress(0.9 * done, f"answered {pairs.size:,} of {request['row_count']:,} rows")
    _tell_of_columns(pairs, request["columns"] or (), scorer.features, report)
    if len(pairs.judged) >= most:
        report.warn(Message("replay_metrics_of_first", "The metrics are of the first {rows:,} rows with outcomes.", rows=most))
    learned = _learned(pairs, scorer, request, report)
    report.progress(0.95, "comparing")
    compared = _compared(pairs, scorer, request)
    if not pairs.is_class and 0 < compared["unit_count"] < LEAST_NUMBERS:
        report.warn(_few_units(compared))
    return {**compared, "early_outcome_count": len(pairs.early), "learned_row_count": learned}


def _few_units(compared: Mapping[str, Any]) -> Message:
    return Message(
        "replay_of_few_units",
        "The {outcomes:,} rows with outcomes are {units:,} different ones: of numbers nothing is said below {least} (rows with "
        "the same values count once, as do those of a key of an A/B test).",
        outcomes=compared["outcome_count"],
        units=compared["unit_count"],
        least=LEAST_NUMBERS,
    )


def _important(scorer: Scorer, reasons: str | None) -> list[str]:
    """The columns that matter most to the candidate; of a model that was not explained, its first ones."""
    found = orjson.loads(Path(reasons).read_bytes())["feature_importance"] if reasons else []
    ranked = [one["feature"] for one in sorted(found, key=lambda one: -one["percentage"])]
    known = [name for name in ranked if name in scorer.features]
    return (known or list(scorer.features))[:USUAL_COLUMNS]


def _tell_of_columns(pairs: Pairs, wanted: Sequence[str], known: Sequence[str], report: Report) -> None:
    """Of those that were asked for and that no row has."""
    for column in wanted:
        if pairs.size and all(value is None for value in pairs.values[column]):
            told = Message("replay_slice_absent", "No row has the column '{column}': there are no slices by it.", column=column)
            report.warn(told if column in known else told.then(hint(column, known)))


def _learned(pairs: Pairs, scorer: Scorer, request: Mapping[str, Any], report: Report) -> int:
    """How many rows with outcomes the candidate has learned from, of those that were answered before its table was made."""
    if not pairs.early:
        return 0

    def tell(share: float) -> None:
        report.progress(0.9 + 0.05 * share, "looking for the rows in the table it has learned from")

    schema = TableSchema.from_json(request["schema"])
    return training_rows.learned(scorer, Path(request["table"]), schema, pairs.early, tell)


def _compared(pairs: Pairs, scorer: Scorer, request: Mapping[str, Any]) -> dict[str, Any]:
    found, alike = net_gain.losses(pairs), agreement.agreed(pairs)
    judge = Judge.of("classification" if pairs.is_class else "regression", scorer.classes)
    margin = net_gain.margin_of(found, pairs.is_class) if request["margin"] is None else request["margin"]
    told, known = net_gain.gain(found, pairs.is_class, request["confidence"]), found.places.size
    lower, upper = (None, None) if told is None else (told.lower, told.upper)
    return {
        "row_count": pairs.size,
        "failed_row_count": sum(pairs.failures.values()),
        "outcome_count": int(known),
        "unit_count": len(net_gain.units_of(found)) if known else 0,
        "agreement": sum(alike) / pairs.size if pairs.size else None,
        "verdict": verdict(lower, upper, margin) if known else ReplayVerdict.no_outcomes,
        "margin": margin,
        "gain": None if told is None else told.estimate,
        "gain_lower": lower,
        "gain_upper": upper,
        "served_loss": float(found.served.mean()) if known else None,
        "candidate_loss": float(found.candidate.mean()) if known else None,
        "report": {
            "differences": agreement.differences(pairs),
            "changes": agreement.changes(pairs),
            "disagreements": agreement.disagreements(pairs),
            "failures": agreement.failures(pairs),
            "latency": agreement.latency(pairs),
            "metrics": net_gain.metrics(pairs, judge),
            "slices": slices.judged(pairs, alike, found, request["confidence"], margin),
        },
    }
