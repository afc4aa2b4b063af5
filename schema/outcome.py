"""Outcomes in the public contract."""

import strawberry

from coreplex.outcome import inputs, service
from coreplex.platform.permissions import WRITE
from schema.common import published
from schema.deployment import Deployment
from schema.field import command, computed
from schema.notice import Notice

published(inputs.Outcome, "OutcomeInput", "What came out of one row.")
published(inputs.RecordOutcomes, "RecordOutcomesInput", "What came out of rows that a deployment was asked.")
UNKNOWN_CLASS = (
    "Of the outcomes taken: how many are no class that the model knows, so that every answer counts as wrong there; see how they "
    "are spelled."
)
PAST_RETENTION = "Of those refused: how many are of rows that are no longer in the log, by their age."
WHY = "A machine word for why: `not_logged_yet` is to be sent again, `past_retention` and `no_such_entry` never will be taken."


@strawberry.type(description="An outcome that was not taken.")
class RefusedOutcome:
    index: int = computed(int, lambda refused, _: refused[0], "Its place among the items that were sent, from 0.")
    code: str = computed(str, lambda refused, _: refused[1].reason, WHY)
    reason: Notice = computed(Notice, lambda refused, _: refused[1], "Why.")


@strawberry.type(description="What became of outcomes.")
class RecordOutcomesPayload:
    deployment: Deployment = strawberry.field(description="The deployment that was asked.")
    recorded_count: int = strawberry.field(description="Outcomes that are new, or others than before.")
    unchanged_count: int = strawberry.field(description="Outcomes that were there already.")
    unknown_class_count: int = strawberry.field(description=UNKNOWN_CLASS)
    past_retention_count: int = strawberry.field(description=PAST_RETENTION)
    refused: list[RefusedOutcome] = strawberry.field(description="Those that were not taken; the others were.")


@strawberry.type
class OutcomeMutation:
    record_outcomes: RecordOutcomesPayload | None = command(
        service.record,
        RecordOutcomesPayload,
        WRITE,
        "Say what was true in the end, beside what had been answered: a running canary is judged by it.",
    )
