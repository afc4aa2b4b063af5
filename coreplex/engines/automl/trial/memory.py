"""Estimates how many rows fit in the memory a run may use: decided from sizes before anything large is made, so that no run
ends by a crash.

Counted per row: the table and the copies that folds and encodings make of it, the encoded matrix and the copy a sample
or a refit makes, what a booster keeps of it (XGBoost most: 8 bytes a cell and the bins), scores and gradients per class, and the
out-of-fold predictions of the models an ensemble may choose from. Folds that are fitted side by side have all but the table and
those predictions each.
"""

from dataclasses import dataclass, replace

import psutil  # type: ignore[import-untyped]

from coreplex.engines.automl.data.task import Task

DEFAULT_BYTES = 4 << 30
_FRAME_COPIES, _CELL_BYTES, _CLASS_BYTES = 2.2, 28, 40
_WORKING, _KEPT_MATRICES = 0.6, 0.12
_DENSE_CELL_BYTES = 32
_DENSE = 0.25
_LEAST_ROWS = 500


@dataclass(frozen=True)
class Memory:
    """`limit`: bytes of resident memory the process may use. `workers`: fits side by side, each with a matrix of its own."""

    limit: int = DEFAULT_BYTES
    workers: int = 1

    def roomy(self, task: Task, width: int, models: int) -> "Memory":
        """The same with as many workers, one at least, as leave room for all rows of the task; arguments as of `rows`."""
        counts = range(self.workers, 1, -1)
        fitting = (one for count in counts if (one := replace(self, workers=count)).rows(task, width, models) >= len(task.y))
        return next(fitting, replace(self, workers=1))

    @property
    def matrices(self) -> int:
        """Bytes of encoded folds that may be kept for the next candidate."""
        return int(_KEPT_MATRICES * self.limit)

    def dense_rows(self, width: int) -> int:
        """Training rows of a dense matrix of so many columns, with what a solver makes of it."""
        return max(int(_DENSE * self.limit / (_DENSE_CELL_BYTES * max(width, 1) * self.workers)), 1)

    def rows(self, task: Task, width: int, models: int) -> int:
        """The most rows of this task that a run on `width` encoded columns can be trained on, which keeps the out-of-fold
        predictions of `models` models."""
        table = task.frame.estimated_size()
        free = _WORKING * self.limit - max(psutil.Process().memory_info().rss - table, 0)
        copies = _FRAME_COPIES + self.workers - 1
        fitted = self.workers * (_CELL_BYTES * width + _CLASS_BYTES * task.outputs)
        per_row = copies * table / len(task.y) + fitted + 8 * models * task.outputs
        return max(int(free / per_row), _LEAST_ROWS)
