"""Looks at the metric of a model: whether it is worse than a rule allows, and what that costs while nobody does anything."""

from datetime import timedelta

from coreplex.alert.looking import NOTHING, Seen
from coreplex.alert.table import FIRED, Alert
from coreplex.deployment.table import Deployment
from coreplex.engines.performance.realised import worse_by
from coreplex.errors.tree import Message
from coreplex.monitoring.current_metric import CurrentMetric, Loss, current
from coreplex.monitoring.table import Basis, MetricBasis
from coreplex.platform.database import ReadSession


async def metric_seen(session: ReadSession, alert: Alert, deployment: Deployment) -> Seen:
    """The metric of the rule over its window: by outcomes where there are enough, else as estimated, where the rule says so."""
    whole = await current(session, deployment, timedelta(seconds=alert.window_secs))
    basis = alert.basis or MetricBasis.either
    found = whole.metric(alert.metric or "", basis, alert.min_requests)
    if found is None or alert.threshold is None:
        return NOTHING
    if worse_by(found.name, alert.threshold, found.value) <= 0:
        return Seen(found.value, wrong=False)
    return Seen(found.value, True, reason_of(found, alert.threshold), metric_cost(whole.loss(basis, alert.min_requests)))


def reason_of(found: CurrentMetric, limit: float) -> Message:
    """Why it fires, and what the value stands on."""
    if found.basis is Basis.realised:
        said = Message(
            "alert_metric_realised",
            "{metric} is {value:.4g} by the outcomes of {rows:,} rows (the limit is {limit:.4g}).",
            metric=found.name,
            value=found.value,
            rows=found.rows,
            limit=limit,
        )
    else:
        said = Message(
            "alert_metric_estimated",
            "{metric} is estimated to be {value:.4g} for the {rows:,} rows that were answered, whose outcomes are not known yet "
            "(the limit is {limit:.4g}).",
            metric=found.name,
            value=found.value,
            rows=found.rows,
            limit=limit,
        )
    if found.promised is None:
        return said
    return said.then(Message("alert_metric_promised", "Training promised {promised:.4g}.", promised=found.promised))


def metric_cost(loss: Loss | None) -> Message | None:
    """What goes on as long as nothing is done; None where that is not known."""
    if loss is None:
        return None
    more, worse = loss.more_wrong_an_hour, loss.now.worse_by
    if more is not None and round(more) > 0:
        return Message(
            "waiting_metric_wrong", "About {count:,} more wrong answers an hour than training promised.", count=round(more)
        )
    if loss.now.name == "mae" and worse is not None and worse > 0:
        return Message(
            "waiting_metric_off",
            "About {rows:,} answers an hour are off by {off:.4g} on average, {more:.4g} more than training promised.",
            rows=round(loss.rows_an_hour),
            off=loss.now.value,
            more=worse,
        )
    return Message("waiting_metric", "About {rows:,} rows an hour are answered so.", rows=round(loss.rows_an_hour))


async def drift_loss(session: ReadSession, alert: Alert, deployment: Deployment) -> Message | None:
    """What drift costs beyond what was promised, as far as it can be known or estimated; asked for once, when an alert fires."""
    if alert.state in FIRED:
        return None
    loss = (await current(session, deployment, timedelta(seconds=alert.window_secs))).loss()
    return None if loss is None else drift_cost(loss)


def drift_cost(loss: Loss) -> Message | None:
    """The same in words; None where answers are as right as promised."""
    more, worse = loss.more_wrong_an_hour, loss.now.worse_by
    if more is not None and round(more) > 0:
        return Message("waiting_drift_wrong", "About {count:,} more of them are wrong than training promised.", count=round(more))
    if loss.now.name == "mae" and worse is not None and worse > 0:
        return Message("waiting_drift_off", "They are off by {more:.4g} more on average than training promised.", more=worse)
    return None
