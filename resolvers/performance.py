"""What is read of how right deployments are."""

from typing import Annotated

import strawberry

from coreplex.deployment.table import Deployment
from coreplex.monitoring import performance as service
from coreplex.monitoring.performance import Performance
from coreplex.monitoring.period import period
from coreplex.platform.clock import now
from resolvers.context import Info
from resolvers.monitoring import Bucket, OfArm, Until, Window

SliceBy = Annotated[
    str | None,
    strawberry.argument(description="A column by whose values the rows are told apart: ranges of numbers, or categories."),
]


async def performance(
    root: strawberry.Parent[Deployment],
    info: Info,
    window: Window = "24h",
    until: Until = None,
    bucket: Bucket = None,
    arm: OfArm = None,
    slice_by: SliceBy = None,
) -> Performance:
    wanted = period(window, until, now())
    async with info.context.read() as session:
        return await service.performance(session, root, wanted, bucket, arm, slice_by)
