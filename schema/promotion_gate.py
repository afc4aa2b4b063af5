"""The gate before production in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.deployment import gates
from coreplex.deployment.rollout_inputs import SetPromotionGate
from coreplex.engines.replay.verdict import RequiredVerdict
from coreplex.platform.permissions import MANAGE
from resolvers.deployment import promotion_gates
from schema.common import published
from schema.field import by_id, command, loaded
from schema.links import link, owner
from schema.metric import MetricName

published(SetPromotionGate, "SetPromotionGateInput", "What a model must keep up to come into production in a project.")


@strawberry.type(description="What a model must keep up to come into production in a project.")
class PromotionGate:
    metric: str | None = strawberry.field(
        graphql_type=MetricName | None, description="The metric that is compared with the present model's; null when none is."
    )
    max_loss: float = strawberry.field(description="By how much it may be worse, in its own unit.")
    max_drift: float | None = strawberry.field(
        description="The largest population stability index, without what chance alone gives, of a column in what production was "
        "asked lately; null for any."
    )
    replay_verdict: RequiredVerdict | None = strawberry.field(
        description="What the latest replay of the model must have come to; null where none is asked for."
    )
    replay_margin: float | None = strawberry.field(
        description="What the model may cost there, in the unit of the loss; null: the usual margin of a replay."
    )
    replay_max_age_days: int = strawberry.field(description="Days that have passed at most since that replay ended.")
    updated_by: Any = link("User", "updated_by", "Who set it; null for an account that is gone.")
    updated_at: datetime = strawberry.field(description="When it was set.")


@strawberry.type
class ProjectGate:
    promotion_gate: PromotionGate | None = loaded(
        PromotionGate | None, promotion_gates, by_id, "What a model must keep up to come into production; null when nothing."
    )


@strawberry.type(description="The gate as it is now.")
class PromotionGatePayload:
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    promotion_gate: PromotionGate | None = strawberry.field(description="The gate; null when nothing is asked of a model.")
    project: Any = owner("Project", "project_id", "The project.")


@strawberry.type
class PromotionGateMutation:
    set_promotion_gate: PromotionGatePayload | None = command(
        gates.set_gate,
        PromotionGatePayload,
        MANAGE,
        "Say what a model must keep up to come into production, or, without metric, drift and replay, that nothing is asked.",
    )
