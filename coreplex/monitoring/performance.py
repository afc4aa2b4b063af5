"""How good a deployment's model is: metrics of the rows whose outcome is known, and estimates for all that were answered.

What is counted is exact. Metrics are of at most `MOST_ROWS` rows of each kind, drawn uniformly by a hash of their ids, so that
the same rows say the same again. What a rule looks at is `coreplex.monitoring.current_metric`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from coreplex.deployment.table import Arm, Deployment
from coreplex.engines.drift.layout import Layout
from coreplex.engines.estimation.baseline import LEAST_ROWS, Estimation
from coreplex.engines.estimation.class_calibration import LEAST_OF_CLASS
from coreplex.engines.performance.answers import Part, Summary, can_read, summarised
from coreplex.engines.performance.estimated import LEAST_ROWS as LEAST_ANSWERED
from coreplex.engines.performance.realised import Figure, Judge, worse_by
from coreplex.engines.performance.slices import Slice
from coreplex.errors.nearest import hint
from coreplex.errors.tree import Invalid, Message
from coreplex.experiment.table import Experiment
from coreplex.model.table import Model
from coreplex.monitoring import answered, baseline, spans
from coreplex.monitoring.period import Period, bucket_of
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession

MOST_ROWS, FEW_ROWS = 20_000, 5_000
"""Rows that are looked at in full, and by a rule."""
MOST_CELLS, LEAST_MOST = 400_000, 1_000
"""Probabilities that are looked at: of models of many classes fewer rows are, but never less than so many."""
MOST_BUCKETS = 150
WITHOUT_ESTIMATION = Message(
    "model_without_estimation", "The model was trained before what estimates stand on was kept with models. Train it again."
)
ESTIMATION_FAILED = Message(
    "estimation_not_learned",
    "What estimates stand on could not be learned when the model was trained; the log of the training says why.",
)
NOTHING = Part({}, 0, 0, None, 0)
CANNOT_READ = Message("columns_not_counted", "The columns that the estimate stands on are not counted for this deployment.")


@dataclass(frozen=True)
class Counted:
    """Of a stretch of time: rows that were answered, rows whose outcome is known, and what is said of them."""

    answered: int
    outcomes: int
    part: Part


@dataclass(frozen=True)
class Performance:
    """`promised`: every metric out-of-fold; `not_estimable`: why there are no estimates; `rank_metric`: by which slices are
    ordered, the worst first."""

    model_id: Any
    period: Period
    bucket: timedelta
    rank_metric: str
    promised: Mapping[str, float | None]
    not_estimable: Message | None
    whole: Counted
    buckets: Mapping[datetime, Counted]
    slices: Sequence[tuple[Slice, Part]]


@dataclass(frozen=True)
class Subject:
    """The model a deployment has now, with all that is known of it."""

    model: Model
    judge: Judge
    sort_metric: str
    layout: Layout | None
    estimation: Estimation | None

    @property
    def promised(self) -> Mapping[str, float | None]:
        return self.estimation.promised if self.estimation is not None else self.model.metrics

    @property
    def not_estimable(self) -> Message | None:
        """Why nothing can be estimated, however many rows there are."""
        if self.estimation is None:
            return WITHOUT_ESTIMATION
        if self.estimation.kind == "none":
            return _nothing_learned(self.estimation, self.judge)
        errors = self.estimation.errors
        return CANNOT_READ if errors is not None and (self.layout is None or not can_read(errors, self.layout)) else None


def _nothing_learned(estimation: Estimation, judge: Judge) -> Message:
    if estimation.scarce is not None:
        return Message(
            "class_judged_on_too_few_rows",
            "The model was judged on {rows} rows of the class {label} in training; of fewer than {least} nothing is learned to "
            "estimate by.",
            rows=estimation.scarce.rows,
            label=judge.classes[estimation.scarce.code],
            least=LEAST_OF_CLASS,
        )
    if estimation.rows < LEAST_ROWS:
        return Message(
            "judged_on_too_few_rows",
            "The model was judged on {rows} rows in training; of fewer than {least} nothing is learned to estimate by.",
            rows=estimation.rows,
            least=LEAST_ROWS,
        )
    return ESTIMATION_FAILED


async def performance(
    session: ReadSession,
    deployment: Deployment,
    period: Period,
    bucket: str | None = None,
    arm: Arm | None = None,
    column: str | None = None,
) -> Performance:
    """Of the model it has now. `column`: sliced by its values. Raises Invalid for buckets it cannot have, and unknown columns."""
    moment = now()
    step = bucket_of(bucket, period, spans.BINS.finest(moment - period.since), MOST_BUCKETS)
    period = spans.BINS.whole(period, moment, step)
    subject = await subject_of(session, deployment)
    if column is not None:
        _require_column(subject.layout, column)
    asked = answered.Asked(deployment, period, step, arm)
    counts, outcomes = await answered.counts(session, asked, subject.layout), await answered.outcomes(session, asked)
    total, known = sum(counts.values()), sum(outcomes.values())
    found = await summary(session, subject, asked, total, known, MOST_ROWS, column, by_bucket=True)
    metric = rank_metric(subject)
    return Performance(
        subject.model.id,
        period,
        step,
        metric,
        subject.promised,
        subject.not_estimable or _too_few(found.whole),
        Counted(total, known, found.whole),
        _buckets(asked, counts, outcomes, found),
        sorted(found.slices, key=lambda one: -_deficit(metric, one[1], found.whole)),
    )


def _buckets(
    asked: answered.Asked, counts: Mapping[int, int], outcomes: Mapping[int, int], found: Summary
) -> dict[datetime, Counted]:
    """All of them, oldest first; one without any row is there, too."""
    return {
        asked.period.since + number * asked.bucket: Counted(
            counts.get(number, 0), outcomes.get(number, 0), found.buckets.get(number, NOTHING)
        )
        for number in range(-(-asked.period.length // asked.bucket))
    }


def _too_few(whole: Part) -> Message | None:
    if whole.estimated is not None:
        return None
    return Message(
        "too_few_rows_to_estimate",
        "{rows} answered rows are in the inference log; of fewer than {least} nothing is said.",
        rows=whole.rows,
        least=LEAST_ANSWERED,
    )


def _require_column(layout: Layout | None, column: str) -> None:
    if layout is None or column not in layout.names:
        names = sorted(layout.names) if layout is not None else []
        raise Invalid.field(Message("no_column_to_slice", "is no column that is counted").then(hint(column, names)), "slice_by")


async def subject_of(session: ReadSession, deployment: Deployment) -> Subject:
    """The model with its layout, and by what its metrics are estimated."""
    model = await session.get_one(Model, deployment.model_id)
    experiment = await session.get_one(Experiment, model.experiment_id)
    config = experiment.config
    quantile = config.get("quantile_alpha") if config.get("distribution") == "quantile" else None
    layout = (await baseline.layouts(session, [model.id])).get(model.id)
    archive = await baseline.estimation(session, model.id)
    kept = None if archive is None else await asyncio.to_thread(Estimation.loads, archive)
    return Subject(model, Judge.of(model.problem_type, model.classes, quantile), experiment.sort_metric or "", layout, kept)


async def summary(
    session: ReadSession,
    subject: Subject,
    asked: answered.Asked,
    rows: int,
    outcomes: int,
    most: int,
    column: str | None = None,
    *,
    by_bucket: bool = False,
) -> Summary:
    """What is read of the log, and worked out beside the event loop."""
    most = min(most, max(MOST_CELLS // max(len(subject.judge.classes), 1), LEAST_MOST))
    estimation = subject.estimation if subject.not_estimable is None else None
    reads_columns = column is not None or (estimation is not None and estimation.errors is not None)
    known = await answered.judged(session, asked, outcomes, most, inputs=column is not None)
    some = await answered.sampled(session, asked, rows, most if estimation is not None else 0, inputs=reads_columns)
    return await asyncio.to_thread(
        summarised, subject.judge, estimation, subject.layout, known, some, by_bucket=by_bucket, column=column
    )


def rank_metric(subject: Subject) -> str:
    """What models of its experiment are ranked by, where it can be told of rows that were answered."""
    return (
        subject.sort_metric if subject.sort_metric in subject.judge.names else ("accuracy" if subject.judge.classes else "rmse")
    )


def _deficit(metric: str, part: Part, whole: Part) -> float:
    """By how much a part is worse than all rows, realised where both are known, else estimated."""
    for name in (metric, "accuracy", "mae"):
        for mine, all_ in ((part.realised, whole.realised), (part.estimated or {}, whole.estimated or {})):
            here, there = (side.get(name, Figure(None)).value for side in (mine, all_))
            if here is not None and there is not None and (mine is not part.realised or part.judged >= LEAST_ANSWERED):
                return worse_by(name, there, here)
    return float("-inf")
