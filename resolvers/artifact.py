"""Stored files and staged files, as they are offered for download."""

from typing import Annotated

import strawberry

from coreplex.artifact import service
from coreplex.artifact.table import Artifact
from coreplex.platform.staging import StagedFile
from resolvers.context import Info
from resolvers.loading import Rows

artifacts = Rows(Artifact)


async def file(root: strawberry.Parent[Artifact], info: Info) -> StagedFile:
    return await service.offer(info.context.services, info.grant, root)


async def staged(info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its identifier.")]) -> StagedFile:
    return await found(info, id)


async def found(info: Info, identity: str) -> StagedFile:
    """A file that waits for the caller. Raises NotFound."""
    return info.context.services.staging.open(identity, info.grant.user_id)
