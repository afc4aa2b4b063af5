"""Who is told of retrainings: the timeline, webhooks, and people by mail."""

from typing import Any

from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Message
from coreplex.event import service as event
from coreplex.job import service as job
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.retraining.table import ENTITY, RetrainPolicy, RetrainRun, RetrainStatus
from coreplex.webhook import outbox
from coreplex.webhook.event_types import declare

MAIL, MAIL_DISABLED = "retrain_mail", "retrain_disabled_mail"
"""The kinds of jobs that write mails (`coreplex.retraining.jobs`)."""
ENDED = {RetrainStatus.failed: "has failed", RetrainStatus.skipped: "was skipped", RetrainStatus.cancelled: "was cancelled"}
FINISHED = declare("retraining.finished", "A retraining has ended, with a challenger or without one.")
DISABLED = declare("retraining.disabled", "A retrain policy was disabled: who set it may not change the project any more.")


async def started(session: WriteSession, run: RetrainRun, deployment: Deployment) -> None:
    told = f"A retraining of “{deployment.name}” began ({run.trigger})."
    await event.audit(session, run.created_by, deployment, "deployment.retraining_started", told, _ids(run))


async def ended(session: WriteSession, run: RetrainRun, status: RetrainStatus, reason: Message | None) -> None:
    """Put a retraining to its end, and tell of it."""
    run.status, run.reason, run.finished_at = status, reason, now()
    session.add(run)
    await session.flush()
    deployment = await session.get_one(Deployment, run.deployment_id)
    said = outcome(run, deployment)
    data = {"message": said, **_ids(run), "metric": run.metric, "previous_value": run.previous_value, "value": run.value}
    if status is not RetrainStatus.skipped:
        await outbox.send(session, run.project_id, FINISHED, data, subject=f"deployment/{run.deployment_id}")
        policy = await session.get(RetrainPolicy, run.deployment_id)
        if policy is not None and policy.is_mailed:
            await job.enqueue(session, MAIL, entity_type=ENTITY, entity_id=run.id, project_id=run.project_id)
    await event.audit(session, run.created_by, deployment, f"deployment.retraining_{status}", said, _ids(run))


def outcome(run: RetrainRun, deployment: Deployment) -> str:
    """How it ended, in a sentence."""
    if run.status is RetrainStatus.succeeded:
        scores = "" if run.value is None else f" ({run.metric} {run.value:.4g}{_before(run)})"
        return f"The retraining of “{deployment.name}” has made a challenger{scores}."
    why = "." if run.reason is None else f": {run.reason}"
    return f"The retraining of “{deployment.name}” {ENDED[run.status]}{why}"


def _before(run: RetrainRun) -> str:
    return "" if run.previous_value is None else f", before {run.previous_value:.4g}"


async def disable(session: WriteSession, run: RetrainRun, reason: Message) -> None:
    """Let the policy begin nothing more, until somebody sets it again."""
    policy = await session.get(RetrainPolicy, run.deployment_id, with_for_update=True)
    if policy is None or policy.owner_id != run.created_by or not policy.is_enabled:
        return
    policy.is_enabled, policy.disabled_reason = False, reason
    policy.next_run_at = policy.next_look_at = None
    session.add(policy)
    deployment = await session.get_one(Deployment, run.deployment_id)
    said = f"“{deployment.name}” is retrained by itself no more: {reason}"
    data = {"message": said, "deployment_id": str(deployment.id)}
    await outbox.send(session, run.project_id, DISABLED, data, subject=f"deployment/{deployment.id}")
    await job.enqueue(session, MAIL_DISABLED, entity_type=ENTITY, entity_id=run.id, project_id=run.project_id)
    await event.audit(session, None, deployment, "deployment.retrain_policy_disabled", said)


def _ids(run: RetrainRun) -> dict[str, Any]:
    found = {
        "retrain_run_id": run.id,
        "deployment_id": run.deployment_id,
        "experiment_id": run.experiment_id,
        "dataset_version_id": run.dataset_version_id,
        "previous_model_id": run.previous_model_id,
        "model_id": run.model_id,
    }
    ids = {name: None if value is None else str(value) for name, value in found.items()}
    return {"status": run.status, "trigger": run.trigger, **ids}
