"""The gate before production: a model whose metric is worse than the present one's does not come in, nor one that has learned
from other rows than production is asked, nor one without the proof of a replay, unless somebody says why."""

from collections.abc import AsyncIterator, Iterator
from functools import reduce
from uuid import UUID

from coreplex.deployment.drift_gate import drifted
from coreplex.deployment.production import in_production, same_target
from coreplex.deployment.replay_gate import Requirement, unproven
from coreplex.deployment.rollout_inputs import SetPromotionGate
from coreplex.deployment.table import Deployment, PromotionGate
from coreplex.errors.tree import Conflict, Message
from coreplex.event import service as event
from coreplex.membership.access import open_project
from coreplex.model.service import merit
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.permissions import Grant


async def set_gate(session: WriteSession, grant: Grant, wanted: SetPromotionGate) -> tuple[UUID, PromotionGate | None]:
    """Say what a model must keep up to come into production, or that nothing is asked of it; the project, and its gate."""
    project = await open_project(session, grant, wanted.project_id)
    gate = await session.get(PromotionGate, project.id)
    if wanted.metric is None and wanted.max_drift is None and wanted.replay_verdict is None:
        if gate is not None:
            await session.delete(gate)
        gate = None
        told = "Any model may come into production."
    else:
        gate = gate or PromotionGate(project_id=project.id)
        for name, value in wanted.model_dump(exclude={"project_id"}).items():
            setattr(gate, name, value)
        gate.updated_by, gate.updated_at = grant.user_id, now()
        session.add(gate)
        told = " ".join(_told(gate))
    await event.audit(session, grant.user_id, project, "project.gate_set", told)
    return project.id, gate


def _told(gate: PromotionGate) -> Iterator[str]:
    if gate.metric is not None:
        yield f"The {gate.metric} of a model that comes into production may be worse by {gate.max_loss:g} at most."
    if gate.max_drift is not None:
        yield f"The columns of a model that comes into production may have drifted by a PSI of {gate.max_drift:g} at most."
    if gate.replay_verdict is not None:
        age = gate.replay_max_age_days
        verdict = gate.replay_verdict.replace("_", " ")
        yield f"A model comes into production by a replay that says {verdict} and is at most {age} days old."


async def pass_gate(
    session: WriteSession,
    actor_id: UUID | None,
    candidate: Deployment,
    override_reason: str = "",
    model: Model | None = None,
    asked: Requirement | None = None,
) -> None:
    """Raise Conflict where the project's gate keeps the deployment's model, or that which it is to serve, out of production; a
    reason opens it, on record. `asked`: what the caller asks of a replay besides."""
    new = await session.get_one(Model, candidate.model_id) if model is None else model
    kept_out = await _kept_out(session, candidate.project_id, new, asked)
    if kept_out is None:
        return
    if not (reason := override_reason.strip()):
        raise Conflict(kept_out)
    told = f"“{candidate.name}” comes into production though the gate says: {kept_out} Reason: {reason}"
    await event.audit(session, actor_id, candidate, "deployment.gate_overridden", told)


async def _kept_out(session: WriteSession, project_id: UUID, new: Model, asked: Requirement | None) -> Message | None:
    """All that the gate, and who asks for a replay, have against it."""
    present = await in_production(session, project_id)
    if present is None:
        return None
    found = [one async for one in _objections(session, present, new, await session.get(PromotionGate, project_id), asked)]
    return reduce(Message.then, found) if found else None


async def _objections(
    session: WriteSession, present: Deployment, new: Model, gate: PromotionGate | None, asked: Requirement | None
) -> AsyncIterator[Message]:
    old, required = await session.get_one(Model, present.model_id), [asked] if asked else []
    if gate is not None:
        if (worse := _worse(gate, old, new)) is not None:
            yield worse
        moved = None if gate.max_drift is None else await drifted(session, present.id, new, gate.max_drift)
        if moved is not None:
            yield moved
        if gate.replay_verdict is not None:
            required.append(Requirement(gate.replay_verdict, gate.replay_margin, gate.replay_max_age_days))
    # What serves there already has nothing to prove, and what answers another question cannot be replayed.
    for one in required if new.id != old.id and same_target(old, new) else ():
        if (told := await unproven(session, present.id, new, one)) is not None:
            yield told


def _worse(gate: PromotionGate, old: Model, new: Model) -> Message | None:
    if gate.metric is None:
        return None
    before, after = (one.metrics.get(gate.metric) for one in (old, new))
    if before is None and after is None:
        return None  # the metric of another task
    if merit(gate.metric, after) >= merit(gate.metric, before) - gate.max_loss:
        return None
    return Message(
        "gate_metric_worse",
        "The {metric} of this model is {after}, that of the model in production {before}, and the project's gate lets it be "
        "worse by {most:g} at most. Say an `override_reason` to do it anyway.",
        metric=gate.metric,
        after="not known" if after is None else f"{after:.6g}",
        before="not known" if before is None else f"{before:.6g}",
        most=gate.max_loss,
    )
