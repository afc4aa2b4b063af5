"""The job of a replay. What it does is imported with the first one."""

from coreplex.job.kinds import JobKind, Queue, declare
from coreplex.platform.deferred_import import later
from coreplex.replay.table import REPLAY
from coreplex.webhook.ends import declare_ends

follow = later("coreplex.replay.service:follow")

declare(
    JobKind(
        REPLAY,
        later("coreplex.replay.work:run"),
        Queue.predictions,
        on_change=follow,
        on_final=follow,
        entity=later("coreplex.replay.service:entity"),
        description="Answers rows that a deployment has answered again, by a candidate.",
    )
)
declare_ends("replay", "A replay")
