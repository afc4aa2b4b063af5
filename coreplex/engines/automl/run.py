"""One run as the engines see it: the task, the folds, the clock, the leaderboard, and what happens when a model is done.

Shared by the native engine and the adapters, so that whatever proposes configurations, they are fitted, judged,
published and limited by the same code.
"""

import time
from dataclasses import dataclass
from typing import Protocol

from coreplex.engines.automl.clock import Clock, Deadline
from coreplex.engines.automl.config import AutoMLConfig
from coreplex.engines.automl.leaderboard import Leaderboard
from coreplex.engines.automl.learners.base import Problem
from coreplex.engines.automl.matrices import Matrices
from coreplex.engines.automl.portfolio import Candidate
from coreplex.engines.automl.promise import told
from coreplex.engines.automl.publishing import Publisher
from coreplex.engines.automl.task import Log, Task
from coreplex.engines.automl.validation import Abandoned, Finished, cross_validate
from coreplex.errors import DomainError


class Listener(Protocol):
    """What a run tells its caller: `coreplex.engines.child.Report`, or a test."""

    def log(self, message: str, level: str = "info") -> None: ...
    def warn(self, message: str) -> None: ...
    def progress(self, fraction: float, message: str = "") -> None: ...
    def model(self, **manifest: object) -> None: ...
    @property
    def stopped(self) -> bool: ...


@dataclass
class Run:
    """Everything an engine needs; `evaluate` and `publish` are its two verbs."""

    task: Task
    config: AutoMLConfig
    problem: Problem
    matrices: Matrices
    clock: Clock
    board: Leaderboard
    publisher: Publisher
    report: Listener
    log: Log
    failed: int = 0
    counted: bool = True
    """Whether the last model ends the run; False for an engine that searches on and publishes the best it found."""

    @property
    def full(self) -> bool:
        """As many models as asked for; the baseline is not one of them."""
        return len(self.board.trained) >= self.config.max_models

    @property
    def over(self) -> bool:
        """Nothing more may be started: no time, enough models, or told to stop. A first model is always tried."""
        return (self.counted and self.full) or (self.clock.over and bool(self.board.trained or self.failed))

    def share(self, parts: int) -> Deadline:
        """The deadline of the next model. The first one outlives "stop and keep the best": there must be a best."""
        return self.clock.share(parts, stoppable=bool(self.board.trained))

    def evaluate(self, candidate: Candidate, deadline: Deadline) -> Finished | None:
        """Fit and judge one candidate; None when the run ended meanwhile, or when it failed (which the log says)."""
        name = self.board.name(candidate.algo)
        try:
            model = cross_validate(name, candidate, self.matrices, self.problem, deadline, abandon=lambda: self.over)
            if model.metrics[self.board.metric] is not None:
                return model
            self.log(f"{name} is left out: {self.board.metric} is not defined on the rows that judge it.", "warning")
        except Abandoned:
            self.log(f"{name} was not finished when the run ended.", "info")
        except MemoryError:
            raise
        except Exception as error:  # a configuration may fail on a strange table; the run must not
            self.log(f"{name} failed and is left out: {type(error).__name__}: {error}", "warning")
        self.board.release(candidate.algo)
        self.failed += 1
        return None

    def publish(self, model: Finished) -> None:
        """Put a model on the leaderboard: files, manifest, log line, progress."""
        started = time.perf_counter()
        self.board.add(model)
        try:
            manifest = self.publisher.publish(
                model, explain_secs=self._explain_secs(model), rivals=self.board.models if self.board.best is model else ()
            )
        except (DomainError, ValueError) as error:  # a bundle beyond the limits, say: this model is lost, not the run
            self.log(f"{model.name} cannot be stored and is left out: {error}", "warning")
            self.board.models.pop()
            self.failed += 1
            return
        self.report.model(**manifest)
        self.clock.finishing(time.perf_counter() - started)
        metric = self.board.metric
        self.log(f"{model.name}: {metric} {told(manifest, metric)}, trained in {model.seconds:.1f} s", "info")
        self.advance()

    def _explain_secs(self, model: Finished) -> float:
        """Up to two hundredths of the budget for the leader, half of it for the others, never more than a few seconds."""
        leads = self.board.best is model
        return min(
            max(self.clock.budget * (0.02 if leads else 0.01), 0.2), 4.0 if leads else 1.0, max(self.clock.remaining / 4, 0.1)
        )

    def advance(self) -> None:
        """Progress: the share of the time or, where they count, of the models, whichever is further."""
        models = len(self.board.trained) / self.config.max_models if self.counted else 0.0
        share = max(self.clock.elapsed / self.clock.budget, models)
        self.report.progress(0.98 * min(share, 1.0), f"models trained: {len(self.board.models)}")
