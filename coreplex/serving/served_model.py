"""What whoever may predict through a deployment may know of the model behind it: whether it serves, and what it wants."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coreplex.model.input_schema import InputSchemas
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.serving.route import Routes


@dataclass(frozen=True, slots=True)
class ServedModel:
    """`status` is the deployment's."""

    deployment_id: UUID | None
    model_id: UUID
    status: str
    input_schema: dict[str, Any]


async def served_model(services: Services, grant: Grant, deployment_id: str) -> ServedModel:
    """The model a deployment serves, without a query where its route is known. Raises NotFound, Forbidden, Damaged."""
    route = await Routes.of(services).deployment(grant, deployment_id)
    described = await InputSchemas.of(services).of_bundle(route.storage_key, route.sha256)
    return ServedModel(route.deployment_id, route.model_id, route.status, described)
