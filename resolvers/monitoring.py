"""What is read of how deployments do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry

from coreplex.deployment.table import Arm, Deployment
from coreplex.engines.drift.window import DRIFT_PSI
from coreplex.errors.tree import Damaged, Invalid, Message
from coreplex.monitoring import attribution
from coreplex.monitoring import drift as service
from coreplex.monitoring import metrics as traffic
from coreplex.monitoring.attribution import Attributions
from coreplex.monitoring.drift import DriftBaseline, Watched
from coreplex.monitoring.metrics import Metrics
from coreplex.monitoring.period import period
from coreplex.platform.clock import now
from resolvers import deployment
from resolvers.context import Info

Window = Annotated[
    str, strawberry.argument(description="How long back, such as `90m`, `24h`, `7d` or `4w`; from a minute to 400 days.")
]
Until = Annotated[datetime | None, strawberry.argument(description="The moment the window ends at; left out, now.")]
OfArm = Annotated[
    Arm | None, strawberry.argument(description="Only rows of this side of a split; left out, all that were answered.")
]
Bucket = Annotated[
    str | None, strawberry.argument(description="How long each bucket is, likewise; left out, such that there are at most 150.")
]
Baseline = Annotated[DriftBaseline, strawberry.argument(description="What the window is compared with.")]
BaselineWindow = Annotated[
    str | None, strawberry.argument(description="Of a baseline that is a window: how long it is; left out, as long.")
]
BaselineUntil = Annotated[
    datetime | None, strawberry.argument(description="The moment it ends at; left out, where the other begins.")
]
Threshold = Annotated[
    float,
    strawberry.argument(
        description="The `psiBeyondChance` of a drifted feature from which on `status` is `drift`, not `warning`."
    ),
]


async def metrics(
    root: strawberry.Parent[Deployment],
    info: Info,
    window: Window = "24h",
    until: Until = None,
    bucket: Bucket = None,
    arm: OfArm = None,
) -> Metrics:
    wanted = period(window, until, now())
    async with info.context.read() as session:
        return await traffic.metrics(session, root, wanted, bucket, arm)


async def drift(
    root: strawberry.Parent[Deployment],
    info: Info,
    window: Window = "24h",
    until: Until = None,
    baseline: Baseline = DriftBaseline.training,
    baseline_window: BaselineWindow = None,
    baseline_until: BaselineUntil = None,
    threshold: Threshold = DRIFT_PSI,
    arm: OfArm = None,
) -> Watched:
    wanted, before = period(window, until, now()), None
    if baseline is DriftBaseline.window:
        before = period(baseline_window or window, baseline_until or wanted.since, now(), "baseline_window", "baseline_until")
    elif baseline_window is not None or baseline_until is not None:
        raise Invalid.field(Message("baseline_is_training", "says of a window, and the baseline is training"), "baseline")
    if not threshold > 0:
        raise Invalid.field(Message("threshold_not_above_zero", "must be more than 0"), "threshold")
    importance = await _importance(root, info)
    async with info.context.read() as session:
        return await service.drift(session, root, wanted, before, threshold=threshold, arm=arm, importance=importance)


async def attribution_drift(
    root: strawberry.Parent[Deployment], info: Info, window: Window = "7d", until: Until = None
) -> Attributions:
    wanted = period(window, until, now())
    async with info.context.read() as session:
        return await attribution.attribution_drift(session, root, wanted)


async def _importance(root: Deployment, info: Info) -> Mapping[str, float | None]:
    """By column, as far as the model's files can be read: drift needs them for nothing else."""
    try:
        described: Any = await deployment.input_schema(root, info)
    except Damaged:
        return {}
    return {field["name"]: field["importance_percent"] for field in described["fields"]}
