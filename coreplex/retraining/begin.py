"""The job that begins a retraining: what is new is learned from as the deployed model was, in somebody's name.

A retraining is done in the name of who asked for it, or of who set the policy: with their rights, and their plan. Where they have
none any more the policy is disabled, and people are told.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlmodel import col

from coreplex.account.on_behalf import grant_of
from coreplex.dataset.versions import add_version
from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.errors.tree import Busy, DomainError, Forbidden, Message, NotFound, Unavailable
from coreplex.experiment import service as experiment
from coreplex.experiment.inputs import CreateExperiment
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.context import JobContext
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership.access import ARCHIVED, open_row
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.document import JSONObject
from coreplex.platform.inputs import Identifier
from coreplex.platform.permissions import WRITE, Grant
from coreplex.platform.settings import Settings
from coreplex.retraining.material import Material, NothingNew, material_of
from coreplex.retraining.outcomes import appended
from coreplex.retraining.service import not_serving
from coreplex.retraining.table import RetrainPolicy, RetrainRun, RetrainStatus, RetrainTrigger
from coreplex.retraining.telling import disable, ended, started

LONGEST_NAME = 150
LOST = Message(
    "retrain_owner_lost_access",
    "Who set the policy may not change this project any more: set it again, and it goes on in your name.",
)
ASKER_LOST = Message("retrain_asker_lost_access", "Who asked for it may not change this project any more.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A retraining that is wanted: in whose name, of what, from what."""

    run: RetrainRun
    grant: Grant
    deployment: Deployment
    policy: RetrainPolicy | None
    found: Material


async def run(job: Job, context: JobContext) -> dict[str, Any]:
    """Begin the training that the retraining is, or say why there is none. Raises Unavailable and Busy, for another attempt."""
    try:
        await _append_outcomes(job.entity_id, context)
        await context.save(lambda session: _begin(session, job.entity_id, context.settings))
    except NothingNew as nothing:
        reason, status = nothing.reason, RetrainStatus.skipped
    except (Unavailable, Busy):
        raise
    except DomainError as refusal:
        reason = _why(refusal)
        status = RetrainStatus.skipped if refusal.message is ARCHIVED else RetrainStatus.failed
    else:
        return {}
    await context.save(lambda session: _give_up(session, job.entity_id, status, reason))
    return {"status": status}


async def _wanted(session: ReadSession, run: RetrainRun) -> Wanted:
    """Raises NothingNew, and NotFound, Forbidden and Conflict where it may not be."""
    grant = await grant_of(session, run.created_by, WRITE)
    if grant is None:
        raise NotFound.of("Deployment")
    deployment = await open_row(session, grant, Deployment, run.deployment_id, "Deployment")
    if deployment.status is not DeploymentStatus.active:
        raise NothingNew(not_serving(deployment))
    policy = await session.get(RetrainPolicy, deployment.id)
    found = await material_of(session, deployment, outcomes=policy is not None and policy.include_outcomes)
    if not run.is_forced:
        found.require_new(policy.min_new_rows if policy is not None and run.trigger is not RetrainTrigger.manual else 0)
    return Wanted(run, grant, deployment, policy, found)


async def _append_outcomes(run_id: UUID | None, context: JobContext) -> None:
    """Make the version that the retraining learns from, where outcomes go with it; what an attempt before has made stays."""
    async with context.database.read() as session:
        run = await session.get(RetrainRun, run_id)
        if run is None or run.status is not RetrainStatus.pending or run.dataset_version_id is not None:
            return
        wanted = await _wanted(session, run)
    if not wanted.found.outcomes:
        return
    assert context.services is not None, "a worker has them"
    context.report(0.1, "appending what was asked and came out")
    async with appended(context.services, wanted.grant, wanted.deployment.id, wanted.found) as (new, rows):
        if not rows:
            if not run.is_forced and wanted.found.newest.version <= wanted.found.before.version:
                raise NothingNew(Message("outcomes_unreadable", "No outcome is a value of the column that is predicted."))
            return
        async with context.write() as session:
            await add_version(session, wanted.grant, new, context.settings)
            run = await session.get_one(RetrainRun, run_id, with_for_update=True)
            run.dataset_version_id, run.outcome_rows, run.known_outcomes = new.version.id, rows, wanted.found.outcomes
            run.new_rows = max(wanted.found.new_rows - (wanted.found.outcomes - rows), 0)


async def _begin(session: WriteSession, run_id: UUID | None, settings: Settings) -> None:
    run = await session.get(RetrainRun, run_id, with_for_update=True)
    if run is None or run.status is not RetrainStatus.pending:
        return
    wanted = await _wanted(session, run)
    deployment, policy, found = wanted.deployment, wanted.policy, wanted.found
    if run.dataset_version_id is None:
        run.dataset_version_id, run.new_rows = found.newest.id, found.new_rows
    asked = await _as_before(session, wanted, run.dataset_version_id)
    made = await experiment.create(session, wanted.grant, asked, settings)
    run.experiment_id, run.previous_model_id = made.id, found.model.id
    run.status, run.started_at = RetrainStatus.running, now()
    if policy is not None:
        # By a statement: whoever deletes the policy meanwhile stops no retraining that is asked for.
        quiet = update(RetrainPolicy).where(col(RetrainPolicy.deployment_id) == deployment.id)
        await session.execute(quiet.values(quiet_until=now() + timedelta(hours=policy.cooldown_hours)))
    session.add(run)
    await started(session, run, deployment)


async def _as_before(session: ReadSession, wanted: Wanted, version_id: UUID) -> CreateExperiment:
    """The experiment of the deployed model over again, on another version and at what the policy lets it cost."""
    before: Experiment = wanted.found.experiment
    budget = {name: getattr(wanted.policy, name, None) for name in ("max_runtime_secs", "max_models")}
    engines = select(col(EngineRun.requested_engine)).where(col(EngineRun.experiment_id) == before.id)
    return CreateExperiment(
        project_id=Identifier(str(before.project_id)),
        dataset_version_id=Identifier(str(version_id)),
        name=f"{wanted.deployment.name[:LONGEST_NAME]}, retrained {now():%Y-%m-%d %H:%M:%S}",
        target_column=before.target_column,
        problem_type=before.problem_type,
        config=JSONObject({**before.config, **{name: most for name, most in budget.items() if most is not None}}),
        execution_mode=before.execution_mode,
        engines=list((await session.scalars(engines.order_by(col(EngineRun.position)))).all()),
        use_gpu=before.use_gpu,
    )


def _why(refusal: DomainError) -> Message:
    """What is wrong, by the place that is wrong of a refused experiment."""
    return refusal.errors[0].told() if refusal.errors else refusal.message


async def _give_up(session: WriteSession, run_id: UUID | None, status: RetrainStatus, reason: Message) -> None:
    """End it without a model; where the right to it is lost, the policy too."""
    run = await session.get(RetrainRun, run_id, with_for_update=True)
    if run is None or run.status is not RetrainStatus.pending:
        return
    if status is RetrainStatus.failed and not await _may(session, run):
        manual = run.trigger is RetrainTrigger.manual
        reason = ASKER_LOST if manual else LOST
        if not manual:
            await disable(session, run, LOST)
    await ended(session, run, status, reason)


async def _may(session: WriteSession, run: RetrainRun) -> bool:
    """Whether who it is done for may still do it."""
    grant: Grant | None = await grant_of(session, run.created_by, WRITE)
    try:
        return grant is not None and await open_row(session, grant, Deployment, run.deployment_id, "Deployment") is not None
    except (NotFound, Forbidden):
        return False
    except DomainError:
        return True  # an archived project: nobody may, for now


async def on_final(session: WriteSession, job: Job) -> None:
    """A retraining whose job came to nothing has ended too."""
    run = await session.get(RetrainRun, job.entity_id, with_for_update=True)
    if run is None or run.status is not RetrainStatus.pending or job.status is JobStatus.succeeded:
        return
    status = RetrainStatus.cancelled if job.status is JobStatus.cancelled else RetrainStatus.failed
    await ended(session, run, status, job.error)
