"""The jobs of retraining: beginning one, and the mails about it."""

from sqlalchemy import select
from sqlmodel import col

from coreplex.account.mail import editors_of, post
from coreplex.account.table import User
from coreplex.deployment.table import Deployment
from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, declare
from coreplex.job.table import Job
from coreplex.membership.table import Project
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import later
from coreplex.retraining.table import REPLAY, RETRAIN, RetrainPolicy, RetrainRun
from coreplex.retraining.telling import MAIL, MAIL_DISABLED, outcome


async def _mail(session: WriteSession, job: Job, context: JobContext) -> int:
    run = await session.get(RetrainRun, job.entity_id)
    if run is None:
        return 0
    deployment = await session.get_one(Deployment, run.deployment_id)
    lines = [outcome(run, deployment)]
    if run.model_id is not None:
        lines.append("It serves nowhere until somebody deploys it.")
    lines.append(f"{context.settings.base_url}/api/mlops/deployments/{run.deployment_id}/retrain-runs tells more.")
    recipients = await editors_of(session, run.project_id)
    return await _post(session, context, recipients, deployment, run.status, lines)


async def _mail_disabled(session: WriteSession, job: Job, context: JobContext) -> int:
    run = await session.get(RetrainRun, job.entity_id)
    policy = None if run is None else await session.get(RetrainPolicy, run.deployment_id)
    if run is None or policy is None or policy.disabled_reason is None:
        return 0
    deployment = await session.get_one(Deployment, run.deployment_id)
    owner = select(col(User.email)).where(
        col(User.id) == run.created_by, col(User.is_active), col(User.email_verified_at).is_not(None)
    )
    recipients = {*await editors_of(session, run.project_id), *(await session.scalars(owner)).all()}
    lines = [f"“{deployment.name}” is retrained by itself no more.", str(policy.disabled_reason)]
    lines.append(f"{context.settings.base_url}/api/mlops/deployments/{deployment.id}/retrain-policy is where it is set again.")
    return await _post(session, context, sorted(recipients), deployment, "disabled", lines)


async def _post(
    session: WriteSession, context: JobContext, recipients: list[str], deployment: Deployment, what: str, lines: list[str]
) -> int:
    project = await session.get_one(Project, deployment.project_id)
    subject = f"Retraining of {deployment.name}: {what} ({project.name})"
    lines = [*lines, f"The deployment is one of the project “{project.name}”."]
    for address in recipients:
        await post(session, context.settings, address, subject, "\n\n".join(lines) + "\n")
    return len(recipients)


async def mail(job: Job, context: JobContext) -> dict[str, int]:
    """Put a mail about an end for each into the outbox."""
    return {"mails": await context.save(lambda session: _mail(session, job, context))}


async def mail_disabled(job: Job, context: JobContext) -> dict[str, int]:
    """The same about a policy that was disabled, for who had set it too."""
    return {"mails": await context.save(lambda session: _mail_disabled(session, job, context))}


declare(
    JobKind(
        RETRAIN,
        later("coreplex.retraining.begin:run"),
        on_final=later("coreplex.retraining.begin:on_final"),
        description="Begins the retraining of a deployment.",
    )
)
declare(
    JobKind(
        REPLAY,
        later("coreplex.retraining.replaying:run"),
        description="Has a challenger answer what its deployment was asked.",
    )
)
declare(JobKind(MAIL, mail, description="Writes the mails about the end of a retraining."))
declare(JobKind(MAIL_DISABLED, mail_disabled, description="Writes the mails about a retrain policy that was disabled."))
