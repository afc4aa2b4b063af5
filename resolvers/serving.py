"""What serves behind a deployment."""

from typing import Annotated

import strawberry

from coreplex.serving import served_model as serving
from coreplex.serving.served_model import ServedModel
from resolvers.context import Info

DeploymentId = Annotated[strawberry.ID, strawberry.argument(description="The deployment.")]


async def served_model(info: Info, deployment_id: DeploymentId) -> ServedModel:
    return await serving.served_model(info.context.services, info.grant, deployment_id)
