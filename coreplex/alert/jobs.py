"""The job of alerts: mails to the people of the project."""

from coreplex.account.mail import editors_of, post
from coreplex.alert.table import Alert, AlertEvent
from coreplex.alert.telling import MAIL
from coreplex.deployment.table import Deployment
from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, declare
from coreplex.job.table import Job
from coreplex.membership.table import Project
from coreplex.platform.database import WriteSession


async def _mail(session: WriteSession, job: Job, context: JobContext) -> int:
    event = await session.get(AlertEvent, job.entity_id)
    alert = await session.get(Alert, event.alert_id) if event is not None else None
    if event is None or alert is None:
        return 0
    deployment = await session.get_one(Deployment, alert.deployment_id)
    project = await session.get_one(Project, alert.project_id)
    lines = [f"The alert “{alert.name}” on the deployment “{deployment.name}” of the project “{project.name}” is {event.state}."]
    lines += [str(one) for one in (event.reason, event.waiting_cost) if one is not None]
    lines.append(f"{context.settings.base_url}/api/mlops/alerts/{alert.id}/events tells what became of it.")
    subject = f"{alert.name}: {event.state} ({deployment.name}, {project.name})"
    recipients = await editors_of(session, alert.project_id)
    for address in recipients:
        await post(session, context.settings, address, subject, "\n\n".join(lines) + "\n")
    return len(recipients)


async def mail(job: Job, context: JobContext) -> dict[str, int]:
    """Put a mail for each into the outbox."""
    return {"mails": await context.save(lambda session: _mail(session, job, context))}


declare(JobKind(MAIL, mail, description="Writes the mails of an alert."))
