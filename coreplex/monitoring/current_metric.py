"""One metric of a deployment as it is now: what rules look at every few minutes.

    found = await current_metric(session, deployment, "auc", timedelta(hours=24), MetricBasis.either)
    found.value, found.basis, found.promised, found.worse_by

`MetricBasis` is of `coreplex.monitoring.table`. Realised where enough outcomes are known, else estimated, as far as the rule
allows it; None where neither can be said.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from coreplex.deployment.table import Deployment
from coreplex.engines.automl.evaluation.metrics import range_of
from coreplex.engines.performance.answers import Part
from coreplex.engines.performance.estimated import LEAST_ROWS
from coreplex.engines.performance.realised import Figure, worse_by
from coreplex.errors.nearest import hint
from coreplex.errors.tree import Invalid, Message
from coreplex.monitoring import answered
from coreplex.monitoring.performance import FEW_ROWS, Subject, subject_of, summary
from coreplex.monitoring.period import Period
from coreplex.monitoring.spans import BINS
from coreplex.monitoring.table import Basis, MetricBasis
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession

RUNNING = timedelta(minutes=1)


@dataclass(frozen=True)
class CurrentMetric:
    """`rows`: with an outcome, or answered, that it is the metric of; `error`: its standard error; `promised`: out-of-fold."""

    name: str
    value: float
    basis: Basis
    rows: int
    error: float | None
    promised: float | None

    @property
    def worse_by(self) -> float | None:
        """How much worse it is than promised, in its unit; below zero where it is better."""
        return None if self.promised is None else worse_by(self.name, self.promised, self.value)


@dataclass(frozen=True)
class Loss:
    """What answers cost: of classes the wrong ones (`accuracy`), of numbers how far they are off (`mae`)."""

    now: CurrentMetric
    rows_an_hour: float

    @property
    def more_wrong_an_hour(self) -> float | None:
        """Wrong answers an hour beyond those that were promised; None of a model of numbers, and where nothing was promised."""
        worse = self.now.worse_by
        return worse * self.rows_an_hour if self.now.name == "accuracy" and worse is not None else None


@dataclass(frozen=True)
class Current:
    """All metrics of a window."""

    subject: Subject
    answered: int
    outcomes: int
    found: Part
    window: timedelta

    def metric(self, name: str, basis: MetricBasis = MetricBasis.either, least: int = LEAST_ROWS) -> CurrentMetric | None:
        """A metric; realised from `least` rows with outcomes on."""
        promised = self.subject.promised.get(name)
        if basis is not MetricBasis.estimated and self.outcomes >= least:
            value, error = self.found.realised.get(name, Figure(None))
            if value is not None:
                return CurrentMetric(name, value, Basis.realised, self.outcomes, error, promised)
        if basis is MetricBasis.realised or self.answered < least:
            return None
        value, error = (self.found.estimated or {}).get(name, Figure(None))
        return None if value is None else CurrentMetric(name, value, Basis.estimated, self.answered, error, promised)

    def loss(self, basis: MetricBasis = MetricBasis.either, least: int = LEAST_ROWS) -> Loss | None:
        """What answers cost now."""
        found = self.metric("accuracy" if self.subject.judge.classes else "mae", basis, least)
        return None if found is None else Loss(found, self.answered / (self.window.total_seconds() / 3600))


async def current(session: ReadSession, deployment: Deployment, window: timedelta) -> Current:
    """Of the model it has now, up to now; of at most 5,000 rows of each kind."""
    moment = now()
    period = BINS.whole(Period(moment - window, moment + RUNNING), moment)
    subject = await subject_of(session, deployment)
    asked = answered.Asked(deployment, period, period.length, None)
    rows = sum((await answered.counts(session, asked, subject.layout)).values())
    outcomes = sum((await answered.outcomes(session, asked)).values())
    found = await summary(session, subject, asked, rows, outcomes, FEW_ROWS)
    return Current(subject, rows, outcomes, found.whole, moment - period.since)


async def current_metric(
    session: ReadSession,
    deployment: Deployment,
    metric: str,
    window: timedelta,
    basis: MetricBasis = MetricBasis.either,
    least: int = LEAST_ROWS,
) -> CurrentMetric | None:
    """One metric over the last `window`; None while too few rows were answered, and where it cannot be estimated."""
    return (await current(session, deployment, window)).metric(metric, basis, least)


async def require_value(metric: str, value: float, field: str) -> None:
    """Raise Invalid for a value that the metric can never have: a rule about it would always hold, or never."""
    least, most = range_of(metric)
    if least <= value <= most:
        return
    if math.isinf(least):
        said = Message("metric_at_most", "must be {most:g} at most: {metric} is never more", metric=metric, most=most)
    elif math.isinf(most):
        said = Message("metric_at_least", "must be {least:g} at least: {metric} is never less", metric=metric, least=least)
    else:
        said = Message(
            "metric_out_of_range", "must be from {least:g} to {most:g}, as {metric} is", metric=metric, least=least, most=most
        )
    raise Invalid.field(said, field)


async def require_metric(session: ReadSession, deployment: Deployment, metric: str, field: str = "metric") -> str:
    """The name, if the deployment's model has such a metric. Raises Invalid with the nearest one."""
    names = (await subject_of(session, deployment)).judge.names
    if metric not in names:
        said = Message("no_metric_of_model", "is no metric of this model; it has {names}", names=list(names))
        raise Invalid.field(said.then(hint(metric, names)), field)
    return metric
