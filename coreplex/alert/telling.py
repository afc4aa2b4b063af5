"""Changes of alerts, and who is told of them: by webhooks, by mail, in the timeline.

Of each change once, and at once. Of one that flaps that it fires and that it is over; what it becomes after that within the hour
waits, and is left out where it was over by then. That somebody is at it uses up nothing of this.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from coreplex.alert.table import FIRED, Alert, AlertEvent, AlertState
from coreplex.errors.tree import Message
from coreplex.event import service as event
from coreplex.job import service as job
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.webhook import outbox
from coreplex.webhook.event_types import declare

MAIL = "alert_mail"
ENTITY = "alert_event"
QUIET = timedelta(hours=1)
"""Between two messages, unless the second says that what the first was about is over."""
TOLD = {
    AlertState.firing: declare("alert.firing", "An alert fires."),
    AlertState.acknowledged: declare("alert.acknowledged", "Somebody is at an alert that fires."),
    AlertState.resolved: declare("alert.resolved", "What an alert fired for is over."),
}
"""The states of which people are told."""


async def change(
    session: WriteSession,
    alert: Alert,
    state: AlertState,
    reason: Message | None,
    actor_id: UUID | None = None,
    waiting_cost: Message | None = None,
) -> None:
    """Put an alert into another state, and tell of it, or later."""
    event_id = await _enter(session, alert, state, reason, actor_id, waiting_cost)
    await tell(session, alert, event_id, alert.changed_at)


async def conclude(session: WriteSession, alert: Alert, reason: Message, actor_id: UUID | None, *, is_kept: bool) -> None:
    """Say of an alert that is looked at no more, or anew, that it is over, to all who know that it fires: at once, though it
    flaps or is muted, as no later look could. `is_kept`: whether its row stays, without which no mail can be written."""
    is_known = alert.told_state in FIRED
    if not is_known and alert.state not in FIRED:
        return
    event_id = await _enter(session, alert, AlertState.resolved, reason, actor_id)
    if is_known:
        await _send(session, alert, event_id, alert.changed_at, is_mailed=alert.is_mailed and is_kept)
    alert.told_state = AlertState.ok  # what fires next is news


async def _enter(
    session: WriteSession,
    alert: Alert,
    state: AlertState,
    reason: Message | None,
    actor_id: UUID | None,
    waiting_cost: Message | None = None,
) -> UUID:
    """Put an alert into another state; what was noted of that."""
    moment = now()
    alert.state, alert.changed_at, alert.reason = state, moment, reason
    alert.waiting_cost = waiting_cost if state is AlertState.firing else alert.waiting_cost if state in FIRED else None
    made = AlertEvent(
        project_id=alert.project_id,
        alert_id=alert.id,
        state=state,
        value=alert.value,
        reason=reason,
        waiting_cost=alert.waiting_cost,
        actor_id=actor_id,
    )
    session.add(alert)
    session.add(made)
    await session.flush()
    data = {"state": state, "value": alert.value, "deployment_id": str(alert.deployment_id)}
    await event.audit(session, actor_id, alert, f"alert.{state}", _said(alert), data)
    return made.id


async def tell(session: WriteSession, alert: Alert, event_id: UUID, moment: datetime) -> None:
    """Tell people where it stands, unless they know, it is muted, or it flaps: then the next look may tell."""
    if is_to_tell(alert, moment):
        await _send(session, alert, event_id, moment, is_mailed=alert.is_mailed and alert.state is not AlertState.acknowledged)


async def _send(session: WriteSession, alert: Alert, event_id: UUID, moment: datetime, *, is_mailed: bool) -> None:
    alert.told_state = alert.state
    if alert.state is not AlertState.acknowledged:
        alert.told_at, alert.told_before_at = moment, alert.told_at
    session.add(alert)
    await outbox.send(session, alert.project_id, TOLD[alert.state], _data(alert), subject=f"deployment/{alert.deployment_id}")
    if is_mailed:
        await job.enqueue(session, MAIL, entity_type=ENTITY, entity_id=event_id, project_id=alert.project_id)


def is_to_tell(alert: Alert, moment: datetime) -> bool:
    """Whether people have something to learn, and may."""
    if alert.state not in TOLD or alert.state is alert.told_state:
        return False
    if alert.state is AlertState.resolved and alert.told_state not in FIRED:
        return False  # nobody knows that it fired
    if alert.muted_until is not None and moment < alert.muted_until:
        return False
    if alert.told_at is None or alert.told_state is AlertState.ok or moment - alert.told_at >= QUIET:
        return True
    first = alert.told_before_at is None or alert.told_at - alert.told_before_at >= 2 * QUIET
    return first and alert.state is not AlertState.firing


def _said(alert: Alert) -> str:
    return f"The alert “{alert.name}” is {alert.state}" + (f": {alert.reason}" if alert.reason is not None else ".")


def _data(alert: Alert) -> dict[str, Any]:
    return {
        "message": _said(alert),
        "alert_id": str(alert.id),
        "name": alert.name,
        "kind": alert.kind,
        "state": alert.state,
        "project_id": str(alert.project_id),
        "deployment_id": str(alert.deployment_id),
        "value": alert.value,
        "threshold": alert.threshold,
        "metric": alert.metric,
        "basis": alert.basis,
        "reason": None if alert.reason is None else str(alert.reason),
        "waiting_cost": None if alert.waiting_cost is None else str(alert.waiting_cost),
        "changed_at": alert.changed_at.isoformat(),
    }
