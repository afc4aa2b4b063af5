"""The concepts of this server, the highest first: the one list that a new one is added to.

A concept tells the others about itself in its folder, when it is imported: its rows and what bounds them in `table.py`, what it
has to do with rows it stands on in `dependents.py` (`depend`), its kinds of jobs in `jobs.py` (`declare`).
"""

from importlib import import_module
from importlib.util import find_spec

CONCEPTS = (
    "project",
    "retraining",
    "training",
    "ab_test",
    "outcome",
    "batch",
    "metric_change",
    "replay",
    "serving",
    "alert",
    "monitoring",
    "deployment",
    "model",
    "experiment",
    "dataset",
    "account",
    "artifact",
    "idempotency",
    "webhook",
    "job",
    "event",
    "membership",
)


def load(*parts: str) -> None:
    """Import `coreplex.<concept>.<part>` of each concept that has it. Raises ModuleNotFoundError for a concept that is none."""
    for concept in CONCEPTS:
        for part in parts:
            module = f"coreplex.{concept}.{part}"
            if find_spec(module) is not None:
                import_module(module)
