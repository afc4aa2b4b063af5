"""The job that trains. What it does is imported with the first one: its libraries are no weight of an idle process."""

from coreplex.experiment.table import TRAIN, Experiment
from coreplex.job.kinds import JobKind, Queue, declare, follows
from coreplex.platform.deferred_import import later
from coreplex.webhook import event_types

SERVICE = "coreplex.training.service"

declare(
    JobKind(
        TRAIN,
        later(f"{SERVICE}:run"),
        Queue.training,
        on_change=follows(Experiment),
        on_final=later(f"{SERVICE}:on_final"),
        entity=later(f"{SERVICE}:entity"),
        description="Trains the models of an experiment.",
    )
)
event_types.declare("experiment.succeeded", "An experiment has ended with models.")
event_types.declare("experiment.failed", "An experiment has ended without one.")
