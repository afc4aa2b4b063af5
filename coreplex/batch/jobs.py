"""The job of a batch of predictions. What it does is imported with the first one."""

from coreplex.batch.service import follow
from coreplex.batch.table import PREDICT_BATCH
from coreplex.job.kinds import JobKind, Queue, declare
from coreplex.platform.deferred_import import later
from coreplex.webhook.ends import declare_ends

declare(
    JobKind(
        PREDICT_BATCH,
        later("coreplex.batch.work:run"),
        Queue.predictions,
        on_change=follow,
        on_final=follow,
        entity=later("coreplex.batch.service:entity"),
        description="Predicts the rows of a file or a dataset version.",
    )
)
declare_ends("prediction_batch", "A batch of predictions")
