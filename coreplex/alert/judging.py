"""Looks at alerts: what a deployment did in the window, whether that is wrong, and whether it has been wrong often enough.

An alert fires when `breaches_needed` of its last `looks_counted` looks saw something wrong. It is over when every look of a whole
window has been fine, and as many as are counted; one on missing requests at the first that comes. A look
at too few requests is fine.
"""

import time
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.alert.looking import NOT_SERVING, NOTHING, Seen, over
from coreplex.alert.metric_look import drift_loss, metric_seen
from coreplex.alert.table import FIRED, Alert, AlertEvent, AlertKind, AlertState
from coreplex.alert.telling import change, is_to_tell, tell
from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.engines.drift.evidence import ALPHA
from coreplex.errors.tree import Message
from coreplex.monitoring.metrics import Traffic, metrics
from coreplex.monitoring.period import Period
from coreplex.monitoring.table import DriftWatch
from coreplex.platform.clock import now
from coreplex.platform.database import Database, ReadSession, WriteSession
from coreplex.platform.one_by_one import one_by_one

MOST_AT_ONCE = 200
BUDGET_SECS = 4.0
"""What else is looked at every few seconds waits no longer for the alerts of all projects."""
EVERY_LEAST, EVERY_MOST = timedelta(seconds=5), timedelta(minutes=1)
PARTS = 10
"""Looks within a window."""


async def tend(database: Database) -> None:
    """Look at the alerts that it is time for, those that waited longest first, until there is no time left for this round."""
    due = select(col(Alert.id)).where(col(Alert.is_enabled), col(Alert.next_look_at) <= now())
    async with database.read() as session:
        found = (await session.scalars(due.order_by(col(Alert.next_look_at)).limit(MOST_AT_ONCE))).all()

    end = time.monotonic() + BUDGET_SECS

    async def look_at(alert_id: UUID) -> None:
        if time.monotonic() < end:
            async with database.transaction() as session:
                await _look(session, alert_id)

    await one_by_one(found, look_at, "alert.not_looked_at")


async def _look(session: WriteSession, alert_id: UUID) -> None:
    alert = await session.get(Alert, alert_id, with_for_update={"skip_locked": True})
    if alert is None or not alert.is_enabled:
        return
    moment = now()
    deployment = await session.get_one(Deployment, alert.deployment_id)
    active = deployment.status is DeploymentStatus.active
    await judge(session, alert, await _seen(session, alert, deployment, moment) if active else NOT_SERVING, moment)
    alert.next_look_at = moment + every(alert)
    session.add(alert)


def every(alert: Alert) -> timedelta:
    """How long after a look the next one is. A metric is worked out anew by each: no more than ten times in its window, and no
    more than once a minute."""
    part = max(timedelta(seconds=alert.window_secs / PARTS), EVERY_LEAST)
    return max(part, EVERY_MOST) if alert.kind is AlertKind.metric else min(part, EVERY_MOST)


async def judge(session: WriteSession, alert: Alert, seen: Seen, moment: datetime) -> None:
    """Take a look into account; whoever must be told is told."""
    alert.value = seen.value
    alert.looks = [*alert.looks, bool(seen.wrong)][-alert.looks_counted :]
    alert.fine_since = None if seen.wrong else alert.fine_since or moment
    if alert.state not in FIRED and sum(alert.looks) >= alert.breaches_needed:
        await change(session, alert, AlertState.firing, seen.reason, waiting_cost=seen.cost)
    elif alert.state in FIRED and _is_asked_again(alert, seen):
        alert.looks = [False]  # those before it would have it fire again
        await change(session, alert, AlertState.resolved, seen.reason)
    elif alert.state in FIRED and _is_over(alert, moment):
        await change(session, alert, AlertState.resolved, over(seen, alert.fine_since or moment))
    elif is_to_tell(alert, moment):
        last = select(col(AlertEvent.id)).where(col(AlertEvent.alert_id) == alert.id).order_by(col(AlertEvent.id).desc())
        if (event_id := await session.scalar(last.limit(1))) is not None:
            await tell(session, alert, event_id, moment)


def _is_over(alert: Alert, moment: datetime) -> bool:
    enough = len(alert.looks) == alert.looks_counted and not any(alert.looks)
    settled = alert.fine_since is not None and moment - alert.fine_since >= timedelta(seconds=alert.window_secs)
    return enough and settled


def _is_asked_again(alert: Alert, seen: Seen) -> bool:
    return alert.kind is AlertKind.no_traffic and bool(seen.value)


async def _seen(session: ReadSession, alert: Alert, deployment: Deployment, moment: datetime) -> Seen:
    if alert.kind is AlertKind.drift:
        return await _drift(session, alert, deployment, moment)
    if alert.kind is AlertKind.metric:
        return await metric_seen(session, alert, deployment)
    traffic, length = await _traffic(session, alert, deployment, moment)
    if alert.kind is AlertKind.no_traffic:
        began = deployment.deployed_at or deployment.created_at
        return _no_traffic(alert, traffic, served_whole=moment - began >= timedelta(seconds=alert.window_secs))
    judged, count = (_errors, traffic.requests) if alert.kind is AlertKind.error_rate else (_latency, traffic.answered)
    return judged(alert, traffic, length) if count >= alert.min_requests else NOTHING


async def _traffic(session: ReadSession, alert: Alert, deployment: Deployment, moment: datetime) -> tuple[Traffic, timedelta]:
    """What went on, and for how long: the window begins with a whole step of what is kept."""
    since = moment - timedelta(seconds=alert.window_secs)
    found = await metrics(session, deployment, Period(since, moment + timedelta(minutes=1)))
    return found.whole, moment - found.period.since


async def _drift(session: ReadSession, alert: Alert, deployment: Deployment, moment: datetime) -> Seen:
    watch = await session.get(DriftWatch, deployment.id)
    if watch is None or watch.model_id != deployment.model_id:
        return NOTHING
    if watch.drifting_since is None:
        return Seen(watch.evidence, wrong=False)
    moved = [one["feature"] for one in watch.features if one["evidence"] > 0][:5] or [watch.features[0]["feature"]]
    traffic, length = await _traffic(session, alert, deployment, moment)
    return Seen(
        watch.evidence,
        True,
        Message(
            "alert_drift",
            "What it is asked has moved away from what its model was trained on: {columns} (evidence beyond {needed:.0f}).",
            columns=moved,
            needed=1 / ALPHA,
        ),
        Message(
            "waiting_drift",
            "About {rows:,} rows an hour are answered by a model that has not learned from data like these.",
            rows=_an_hour(traffic.rows, length),
        ).then(await drift_loss(session, alert, deployment)),
    )


def _no_traffic(alert: Alert, traffic: Traffic, *, served_whole: bool) -> Seen:
    minutes = alert.window_secs / 60
    if traffic.requests:
        said = Message(
            "alert_asked_again",
            "It is asked again; requests in the last {minutes:g} min: {requests:,}.",
            requests=traffic.requests,
            minutes=minutes,
        )
        return Seen(float(traffic.requests), False, said)
    if not served_whole:
        return Seen(0.0, wrong=False)
    return Seen(0.0, True, Message("alert_no_traffic", "Nobody has asked it anything for {minutes:g} min.", minutes=minutes))


def _errors(alert: Alert, traffic: Traffic, length: timedelta) -> Seen:
    rate, limit = traffic.error_rate or 0.0, alert.threshold or 0.0
    if rate <= limit:
        return Seen(rate, wrong=False)
    return Seen(
        rate,
        True,
        Message(
            "alert_errors",
            "{errors:,} of {requests:,} requests failed ({rate:.1%}; the limit is {limit:.1%}).",
            errors=traffic.errors,
            requests=traffic.requests,
            rate=rate,
            limit=limit,
        ),
        Message("waiting_errors", "About {requests:,} requests an hour fail.", requests=_an_hour(traffic.errors, length)),
    )


def _latency(alert: Alert, traffic: Traffic, length: timedelta) -> Seen:
    share, limit = alert.percentile or 0.95, alert.threshold or 0.0
    took = traffic.latency(share)
    if took is None or took <= limit:
        return Seen(took, wrong=False)
    slow = traffic.slower_than(limit)
    return Seen(
        took,
        True,
        Message(
            "alert_latency",
            "{share:.0%} of {requests:,} requests took up to {took:.4g} ms (the limit is {limit:.4g} ms).",
            share=share,
            requests=traffic.answered,
            took=took,
            limit=limit,
        ),
        Message("waiting_latency", "About {requests:,} requests an hour take longer.", requests=_an_hour(slow, length)),
    )


def _an_hour(count: int, length: timedelta) -> int:
    return round(count * timedelta(hours=1) / length)
