"""The job that explains why a metric changed. What it does is imported with the first one."""

from coreplex.job.kinds import JobKind, Queue, declare
from coreplex.metric_change.table import EXPLAIN
from coreplex.platform.deferred_import import later
from coreplex.webhook.ends import declare_ends

follow = later("coreplex.metric_change.service:follow")

declare(
    JobKind(
        EXPLAIN,
        later("coreplex.metric_change.work:run"),
        Queue.predictions,
        on_change=follow,
        on_final=follow,
        entity=later("coreplex.metric_change.service:entity"),
        description="Explains why a metric of a deployment changed between two periods.",
    )
)
declare_ends("metric_change", "The explanation of a metric that changed")
