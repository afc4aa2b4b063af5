"""What is loaded of retraining."""

from collections.abc import Mapping
from uuid import UUID

from sqlmodel import col, select

from coreplex.platform.database import ReadSession
from coreplex.retraining import service
from coreplex.retraining.table import RetrainPolicy
from resolvers.loading import batch


async def _policies(session: ReadSession, deployment_ids: list[UUID]) -> Mapping[UUID, RetrainPolicy]:
    found = await session.scalars(select(RetrainPolicy).where(col(RetrainPolicy.deployment_id).in_(deployment_ids)))
    return {policy.deployment_id: policy for policy in found}


policies = batch(_policies)
"""When a deployment is retrained by itself, by its id: for whoever sees the deployment."""
challengers = batch(service.challengers)
"""What the last retraining of a deployment has made, by its id."""
challenged = batch(service.challenged)
"""Of which deployment a model is the challenger, by the id of the model."""
