"""The gate before production: a model whose metric is worse than the present one's does not come in, nor one that has learned
from other rows than production is asked, unless somebody says why."""

from collections.abc import Iterator
from uuid import UUID

from coreplex.deployment.drift_gate import drifted
from coreplex.deployment.production import in_production
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
    if wanted.metric is None and wanted.max_drift is None:
        if gate is not None:
            await session.delete(gate)
        gate = None
        told = "Any model may come into production."
    else:
        gate = gate or PromotionGate(project_id=project.id)
        gate.metric, gate.max_loss, gate.max_drift = wanted.metric, wanted.max_loss, wanted.max_drift
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


async def pass_gate(
    session: WriteSession, actor_id: UUID | None, candidate: Deployment, override_reason: str = "", model: Model | None = None
) -> None:
    """Raise Conflict where the project's gate keeps the deployment's model, or that which it is to serve, out of production; a
    reason opens it, on record."""
    new = await session.get_one(Model, candidate.model_id) if model is None else model
    kept_out = await _kept_out(session, candidate.project_id, new)
    if kept_out is None:
        return
    if not (reason := override_reason.strip()):
        raise Conflict(kept_out)
    told = f"“{candidate.name}” comes into production though the gate says: {kept_out} Reason: {reason}"
    await event.audit(session, actor_id, candidate, "deployment.gate_overridden", told)


async def _kept_out(session: WriteSession, project_id: UUID, new: Model) -> Message | None:
    """All that the gate has against it."""
    gate = await session.get(PromotionGate, project_id)
    present = await in_production(session, project_id)
    if gate is None or present is None:
        return None
    old = await session.get_one(Model, present.model_id)
    worse = _worse(gate, old, new)
    moved = None if gate.max_drift is None else await drifted(session, present.id, new, gate.max_drift)
    return moved if worse is None else worse.then(moved)


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
