"""A deployment with a retrain policy, the monitor that looks at it, and what came of it."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.account.table import Mail
from coreplex.dataset.table import DatasetVersion
from coreplex.experiment.table import Experiment
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.model import service as model_service
from coreplex.retraining import tending
from coreplex.webhook.table import WebhookDelivery
from tests.factories.asking import Asker
from tests.factories.world import add_model
from workers.runner import Runner

SET = """mutation($input: SetRetrainPolicyInput!) { setRetrainPolicy(input: $input) { retrainPolicy {
  isEnabled nextRunAt nextRuns maxModelCount owner { email } } userErrors { message field } } }"""
RETRAIN = """mutation($input: RetrainDeploymentInput!) { retrainDeployment(input: $input) {
  retrainRun { id status createdBy { email } } userErrors { code message } } }"""
RUNS = """query($id: ID!) { deployment(id: $id) { challenger { id }
  retrainPolicy { isEnabled disabledReason { reason } nextRunAt quietUntil owner { email } }
  retrainRuns { nodes { id trigger status reason { reason message } experimentId newRowCount outcomeRowCount
    metric previousValue value previousModel { id }
    replay { since until model { id } } model { id parentId challengerOf { id } } createdBy { email } } } } }"""
KINDS = ("model_retrain", "retrain_replay", "retrain_mail", "retrain_disabled_mail")


class Retrained:
    """The deployment of the world that has a policy."""

    def __init__(self, asker: Asker) -> None:
        self.asker, self.world = asker, asker.world
        self.id, self.database = asker.world.ids["deployment"], asker.world.database

    async def policy(self, actor: str = "owner", **said: Any) -> Any:
        return (await self.asker.data(SET, actor, input={"deploymentId": self.id, **said}))["setRetrainPolicy"]

    async def shown(self) -> dict[str, Any]:
        return dict((await self.asker.data(RUNS, "viewer", id=self.id))["deployment"])

    async def runs(self) -> list[dict[str, Any]]:
        """Newest first, without the one that the world has from the start."""
        return [one for one in (await self.shown())["retrainRuns"]["nodes"] if one["id"] != self.world.ids["retrain_run"]]

    async def do(self, statement: str, **values: Any) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement), values)

    async def tick(self) -> None:
        """A look of the monitor, what it queues, and the next look."""
        await tending.tend(self.database)
        await self.work()
        await tending.tend(self.database)

    async def due(self) -> list[dict[str, Any]]:
        """The schedule was due a week ago."""
        await self.do("UPDATE retrain_policies SET next_run_at = now() - interval '7 days' WHERE next_run_at IS NOT NULL")
        await self.tick()
        return await self.runs()

    async def work(self) -> None:
        """Run what retraining has queued."""
        runner = Runner(self.world.services, Timing())
        waiting = select(col(Job.id)).where(col(Job.status) == JobStatus.queued, col(Job.type).in_(KINDS))
        for _ in range(3):
            async with self.database.read() as session:
                found = (await session.scalars(waiting)).all()
            for job_id in found:
                await runner.run(job_id)

    async def version(self, **changes: Any) -> str:
        """A further version of the dataset."""
        async with self.database.transaction() as session:
            newest = select(DatasetVersion).where(col(DatasetVersion.dataset_id) == UUID(self.world.ids["dataset"]))
            last = (await session.scalars(newest.order_by(col(DatasetVersion.version).desc()))).first()
            assert last is not None
            copied = last.model_dump(exclude={"id", "version", "upload_artifact_id"})
            made = DatasetVersion(**{**copied, "row_count": last.row_count + 5, **changes}, version=last.version + 1)
            session.add(made)
        return str(made.id)

    async def trained(self, run: dict[str, Any], status: JobStatus = JobStatus.succeeded, **more: Any) -> None:
        """Its experiment has ended."""
        async with self.database.transaction() as session:
            experiment = await session.get_one(Experiment, UUID(run["experimentId"]))
            if status is JobStatus.succeeded:
                experiment.sort_metric = "auc"
                await add_model(session, self.world.services, experiment, "New", 0.95)
                await model_service.rank(session, experiment)
            experiment.enter(status, **more)
        await tending.tend(self.database)

    async def told(self) -> list[str]:
        async with self.database.read() as session:
            types = select(col(WebhookDelivery.type)).where(col(WebhookDelivery.type).like("retraining.%"))
            return list(await session.scalars(types.order_by(col(WebhookDelivery.id))))

    async def mails(self) -> set[tuple[str, str]]:
        async with self.database.read() as session:
            return {(mail.recipient, mail.subject) for mail in await session.scalars(select(Mail))}


@pytest.fixture
async def retrained(asker: Asker) -> Retrained:
    return Retrained(asker)
