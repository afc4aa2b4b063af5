"""The entry point of a child that explains why a metric changed between two periods of a deployment's log.

python -m coreplex.engines.child coreplex.engines.metric_change.task:run
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.layout import Feature, Layout
from coreplex.engines.estimation.baseline import Estimation
from coreplex.engines.messages import Listener
from coreplex.engines.metric_change.explain import Explained, Side, explain
from coreplex.engines.metric_change.judging import Answered, Worth, expected, expected_error, realised
from coreplex.engines.metric_change.read import columns_of
from coreplex.engines.metric_change.replacing import Row
from coreplex.engines.performance.answers import can_read, expected_errors
from coreplex.engines.performance.estimated import CONFIDENCE, ERRORS, RANKED
from coreplex.engines.performance.realised import Judge
from coreplex.engines.scoring.scorer import Scorer
from coreplex.errors.tree import Conflict, Message

LEAST_ROWS = 100
"""Of either period."""
NOT_ESTIMABLE = Message("metric_not_estimable", "This metric cannot be estimated for this model: send outcomes.")


class Logged(NamedTuple):
    """A row of the log, and in which period it was: 0 the earlier, 1 the later one."""

    side: int
    inputs: Row
    output: Mapping[str, Any]
    outcome: Any


class _Model:
    """What answers, and what is expected of answers."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.scorer = Scorer.load(request["bundle"], request["sha256"])
        self.judge = Judge.of(request["problem_type"], request["classes"], request["quantile"])
        self.layout = Layout(tuple(map(Feature.from_json, request["features"])))
        self.counter = RowCounter(self.layout)
        estimation = request.get("estimation")
        self.estimation = None if estimation is None else Estimation.loads(Path(estimation).read_bytes())

    def answer(self, rows: Sequence[Row], threshold: float | None = None) -> Answered:
        """What it says to n rows; `threshold` in place of its own."""
        return self.answered(rows, self.scorer.predict_rows(rows, threshold)[0])

    def threshold(self, before: Answered) -> float | None:
        """By which answers were decided, where that was not the model's own."""
        return threshold_of(before, self.scorer.manifest.threshold) if len(self.scorer.classes) == 2 else None

    def answered(self, rows: Sequence[Row], outputs: Sequence[Mapping[str, Any]]) -> Answered:
        """What it has said to n rows, with what is to be expected of it where that can be told."""
        p, predicted = self.judge.answers(outputs)
        known = self.estimation
        if known is None:
            return Answered(p, predicted)
        if known.calibration is not None:
            return Answered(p, predicted, chances=known.calibration.apply(p))
        assert known.errors is not None
        errors = expected_errors(known.errors, self.counter.values(rows), p)
        return Answered(p, predicted, errors=np.stack(errors))


def run(request: Mapping[str, Any], report: Listener) -> dict[str, Any]:
    """Request: bundle, sha256, problem_type, classes, quantile; features: the layout's inputs; rows: a file of `Logged` lines;
    estimation: a file, where the metric is to be estimated; metric.

    Returns before, after, std_error, parts, rows, baseline_rows, unknown. Raises Conflict where nothing can be said.
    """
    model = _Model(request)
    report.progress(0.1, "reading the rows")
    rows = [Logged(*orjson.loads(line)) for line in Path(request["rows"]).read_bytes().splitlines()]
    (before, unknown_before), (after, unknown_after) = (
        _side(model, [one for one in rows if one.side == side]) for side in (0, 1)
    )
    for period, side in (("earlier", before), ("later", after)):
        if len(side.rows) < LEAST_ROWS:
            raise Conflict(_too_few(period, side, model))
    worth = _worth(model, request["metric"])
    columns, first, second = columns_of(model.layout, before.rows, after.rows)
    report.progress(0.3, "weighing the causes")
    found = explain(
        columns,
        replace(before, rows=first),
        replace(after, rows=second),
        worth,
        partial(model.answer, threshold=model.threshold(before.answered)),
        replaceable=frozenset(model.scorer.features),
    )
    if found is None:
        raise Conflict(
            Message("metric_undefined_in_period", "{metric} is not defined on the rows of a period.", metric=request["metric"])
        )
    return _told(found, before, after) | {"unknown": unknown_before + unknown_after}


def threshold_of(answered: Answered, own: float) -> float | None:
    """The threshold by which two classes were told apart; None where it was the model's `own`, or not one for all rows."""
    second, chosen = answered.p[:, 1], answered.predicted == 1
    low, high = float(np.max(second[~chosen], initial=-np.inf)), float(np.min(second[chosen], initial=np.inf))
    return high if low < high and not low < own <= high else None


def _too_few(period: str, side: Side, model: _Model) -> Message:
    if model.estimation is None:
        return Message(
            "too_few_outcomes_to_explain",
            "The {period} period has {rows} rows whose outcome is known; {least} are needed in both.",
            period=period,
            rows=len(side.rows),
            least=LEAST_ROWS,
        )
    return Message(
        "too_few_rows_to_explain",
        "The {period} period has {rows} answered rows; {least} are needed in both.",
        period=period,
        rows=len(side.rows),
        least=LEAST_ROWS,
    )


def _worth(model: _Model, metric: str) -> Worth:
    """The metric, by outcomes or as it is to be expected. Raises Conflict where it cannot be told without outcomes."""
    known = model.estimation
    if known is None:
        return realised(model.judge.measures[metric])
    if known.calibration is not None and metric in CONFIDENCE | RANKED:
        return expected((CONFIDENCE | RANKED)[metric])
    if known.errors is not None and metric in ERRORS and can_read(known.errors, model.layout):
        return expected_error(metric)
    raise Conflict(NOT_ESTIMABLE)


def _side(model: _Model, rows: Sequence[Logged]) -> tuple[Side, int]:
    """The rows of a period that count, and of how many the outcome is a class that the model does not know."""
    if model.estimation is not None:
        kept = [one for one in rows if model.judge.is_answer(one.output)]
        inputs = [one.inputs for one in kept]
        return Side(inputs, model.answered(inputs, [one.output for one in kept])), 0
    judged = model.judge.rows([one.output for one in rows], [one.outcome for one in rows])
    known = judged.take(judged.y != -1) if judged.unknown else judged
    inputs = [rows[place].inputs for place in known.places]
    return Side(inputs, Answered(known.p, known.predicted, known.y)), judged.unknown


def _told(found: Explained, before: Side, after: Side) -> dict[str, Any]:
    parts = [
        {"cause": part.cause, "features": list(part.features), "effect": part.effect, "is_replaced": part.replaced}
        for part in found.parts
    ]
    figures = {"before": found.before, "after": found.after, "std_error": found.std_error, "parts": parts}
    return {**figures, "rows": len(after.rows), "baseline_rows": len(before.rows)}
