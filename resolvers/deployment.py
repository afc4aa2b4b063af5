"""What is loaded of deployments and their inference logs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from sqlmodel import col, select

from coreplex.deployment import listing
from coreplex.deployment.rollouts import latest
from coreplex.deployment.table import Arm, Deployment, ModelStage, PromotionGate, Rollout, RolloutKind
from coreplex.errors.tree import NotFound
from coreplex.platform.database import ReadSession
from coreplex.platform.staging import StagedFile
from coreplex.serving.log import export
from coreplex.serving.log.listing import Documents, Key, documents
from resolvers import model as model_resolvers
from resolvers.context import Info
from resolvers.loading import Asking, Batch, batch

model_stages = batch(listing.model_stages, missing=ModelStage.candidate)
"""Where a model stands, by its id."""
serving_stages = batch(listing.serving_stages, missing=frozenset())
"""Stages in which an active deployment serves a model, by model id."""


def _latest(kind: RolloutKind) -> Batch[UUID, Rollout | None]:
    async def load(session: ReadSession, ids: list[UUID], _asking: Asking) -> Mapping[UUID, Rollout | None]:
        return await latest(session, ids, kind)

    return Batch(load)


canaries, shadows = _latest(RolloutKind.canary), _latest(RolloutKind.shadow)
"""The newest rollout of the kind, by the id of a deployment on either side."""


async def _documents(session: ReadSession, keys: list[Key], asking: Asking) -> Mapping[Key, Documents | None]:
    with asking.size().reading() as counted:
        return await documents(session, keys, counted.add)


log_documents = Batch(_documents)
"""What was asked and answered, by id and week of a row of the inference log; never more than an answer may hold."""


async def input_schema(root: strawberry.Parent[Deployment], info: Info) -> Any:
    """What its model wants to be given."""
    model = await info.context.loaders[model_resolvers.models].load(root.model_id)
    if model is None:
        raise NotFound.of("Model")
    return await model_resolvers.input_schema(model, info)


async def _gates(session: ReadSession, project_ids: list[UUID]) -> Mapping[UUID, PromotionGate]:
    found = await session.scalars(select(PromotionGate).where(col(PromotionGate.project_id).in_(project_ids)))
    return {gate.project_id: gate for gate in found}


promotion_gates = batch(_gates)
"""What a model must keep up to come into production, by the id of the project."""


async def log_file(
    root: strawberry.Parent[Deployment],
    info: Info,
    created_from: Annotated[datetime | None, strawberry.argument(description="Only entries from this moment on.")] = None,
    created_before: Annotated[datetime | None, strawberry.argument(description="Only entries before this moment.")] = None,
    request_id: Annotated[str | None, strawberry.argument(description="Only entries of this request.")] = None,
    arm: Annotated[Arm | None, strawberry.argument(description="Only entries of this side of a split.")] = None,
    failed: Annotated[
        bool | None, strawberry.argument(description="Only those that ended in an error, or only the others.")
    ] = None,
) -> StagedFile:
    """A part of its inference log, to be fetched within the hour."""
    between = {"created_from": created_from, "created_before": created_before}
    return await export.offer(info.context.services, info.grant, root, **between, request_id=request_id, arm=arm, failed=failed)
