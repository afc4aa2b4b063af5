"""What answers at an address: one model, or several deployments that answer the rows of one between them."""

from dataclasses import dataclass, replace
from uuid import UUID

from sqlmodel import col, select

from coreplex.artifact.table import Artifact
from coreplex.deployment.table import Deployment, DeploymentStatus, Rollout, RolloutKind, RolloutStatus, Stage
from coreplex.errors.tree import Conflict, Message
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession

MOST_HOPS = 20
"""Of an address that goes on: who displaced whom, since when it was new."""


@dataclass(frozen=True, slots=True)
class Route:
    """A caller's way to a model, as it was when it was looked up. `status` is the deployment's, empty for a model itself."""

    project_id: UUID
    model_id: UUID
    sha256: str
    storage_key: str
    deployment_id: UUID | None = None
    status: str = ""
    log_days: int | None = None
    """How long the deployment keeps its entries of the log, where it has days of its own."""
    split: "Split | None" = None
    shadow: "Share | None" = None

    def require_active(self) -> None:
        """Raise Conflict for a deployment that does not serve."""
        if self.status != DeploymentStatus.active:
            raise Conflict(
                Message("only_active_predicts", "The deployment is {status}; only an active one predicts.", status=self.status)
            )


@dataclass(frozen=True, slots=True)
class Share:
    """A candidate, and the share of rows that is its: those whose key, hashed under `test_id`, falls below `percent`."""

    test_id: UUID
    percent: int
    candidate: Route
    rollout_id: UUID | None = None
    """None for a share that no rollout steers."""
    counts_units: bool = False
    """Whether the different keys of either side are counted."""


@dataclass(frozen=True, slots=True)
class Split:
    """Two deployments that answer the rows of one address between them."""

    share: Share
    baseline: Route


async def model_route(session: ReadSession, model: Model) -> Route:
    """The way to a model itself."""
    artifact = await session.get_one(Artifact, model.artifact_id)
    return Route(model.project_id, model.id, artifact.sha256, artifact.storage_key)


async def route_of(session: ReadSession, asked: Deployment) -> Route:
    """The way from an address to what answers there, with the split and the shadow of a production deployment."""
    deployment = await _serving(session, asked)
    route = await _alone(session, deployment)
    if deployment.stage is not Stage.production or deployment.status is not DeploymentStatus.active or deployment.is_candidate:
        return route
    beside = select(Rollout).where(col(Rollout.baseline_id) == deployment.id, col(Rollout.status) == RolloutStatus.running)
    shares = {rollout.kind: await _share(session, rollout) for rollout in await session.scalars(beside)}
    return replace(route, split=await _split(session, deployment, route, shares), shadow=shares.get(RolloutKind.shadow))


async def test_route(session: ReadSession, rollout: Rollout) -> Route:
    """The way to the two sides of a running A/B test; beside production, with its shadow."""
    baseline = await session.get_one(Deployment, rollout.baseline_id)
    route = await route_of(session, baseline)
    return route if route.split else replace(route, split=Split(await _share(session, rollout), route))


async def _serving(session: ReadSession, asked: Deployment) -> Deployment:
    """What serves at the address of a deployment: itself; what displaced it; in production, what it stands beside."""
    if asked.is_candidate and asked.stage is Stage.production:
        running = (col(Rollout.candidate_id) == asked.id, col(Rollout.status) == RolloutStatus.running)
        baseline = select(Deployment).join(Rollout, col(Rollout.baseline_id) == col(Deployment.id)).where(*running)
        return await session.scalar(baseline) or asked
    for _ in range(MOST_HOPS):
        if asked.status is not DeploymentStatus.archived or asked.successor_id is None:
            break
        asked = await session.get_one(Deployment, asked.successor_id)
    return asked


async def _alone(session: ReadSession, deployment: Deployment) -> Route:
    model = await session.get_one(Model, deployment.model_id)
    route = await model_route(session, model)
    return replace(route, deployment_id=deployment.id, status=deployment.status, log_days=deployment.log_days)


async def _share(session: ReadSession, rollout: Rollout) -> Share:
    candidate = await _alone(session, await session.get_one(Deployment, rollout.candidate_id))
    return Share(rollout.id, rollout.percent, candidate, rollout.id, rollout.kind is RolloutKind.ab_test)


async def _split(session: ReadSession, deployment: Deployment, route: Route, shares: dict[RolloutKind, Share]) -> Split | None:
    steered = shares.get(RolloutKind.canary) or shares.get(RolloutKind.ab_test)
    if steered is not None:
        return Split(steered, route)
    if deployment.traffic_percent == 100 or deployment.previous_deployment_id is None:
        return None
    displaced = await session.get_one(Deployment, deployment.previous_deployment_id)
    return Split(Share(deployment.id, deployment.traffic_percent, route), await _alone(session, displaced))
