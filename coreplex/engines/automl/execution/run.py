"""One run as the engines see it: the task, the folds, the clock, the leaderboard, and what happens when a model is done.

Shared by the native engine and the adapters, so that whatever proposes configurations, they are fitted, judged,
published and limited by the same code.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from coreplex.engines.automl.budget import Clock, Deadline, Progress
from coreplex.engines.automl.data.task import Log, Task, Warn
from coreplex.engines.automl.evaluation.intervals import in_words
from coreplex.engines.automl.execution.publishing import Publisher
from coreplex.engines.automl.families.base import Problem
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.trial.costs import LEAST_ROWS, Costs
from coreplex.engines.automl.trial.cross_validation import Abandoned, TooSlow, cross_validate
from coreplex.engines.automl.trial.leaderboard import Finished, Leaderboard
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.messages import Listener
from coreplex.errors.tree import DomainError

_PLENTY = 20_000
"""So many training rows make a good member of an ensemble, however many there are."""
_FASTER, _FASTEST = 3.0, 0.2
"""So many times its own rate, and no more than this, is taken."""
_FURTHER, _FURTHEST = 2.5, 60.0
"""So many times further than where it was cut a booster is taken to have had to go, and the most that is aimed at."""
_WORTH = 1.2
"""A lesser gain in the rate is left alone."""


@dataclass
class Run:
    """Everything an engine needs; `train` and `publish` are its two verbs."""

    task: Task
    config: AutoMLConfig
    problem: Problem
    matrices: Matrices
    clock: Clock
    board: Leaderboard
    publisher: Publisher
    report: Listener
    log: Log
    warn: Warn
    progress: Progress
    costs: Costs
    failed: int = 0
    _slow: set[str] = field(default_factory=set)
    """Families of which the log has said that they are too slow."""
    counted: bool = True
    """Whether the last model ends the run; False for an engine that searches on and publishes the best it found."""
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="writer"), repr=False)
    _writing: tuple[Finished, Future[float]] | None = None
    """The last model, where it is written beside the next fits."""

    @property
    def full(self) -> bool:
        """As many models as asked for."""
        return self.count >= self.config.max_models

    @property
    def count(self) -> int:
        """Models that count for `max_models`: neither the baseline nor a first one on a part of the rows."""
        return sum(model.task is self.task for model in self.board.trained)

    @property
    def over(self) -> bool:
        """Nothing more may be started: no time, enough models, or told to stop. A first model is always tried."""
        return (self.counted and self.full) or (self.clock.over and bool(self.board.trained or self.failed))

    def may(self, candidate: Candidate) -> bool:
        """Whether a candidate is among the algorithms asked for and can be fitted in this task."""
        return candidate.algo in self.config.algorithms and candidate.supports(self.task.kind, self.problem.distribution)

    def share(self, parts: int) -> Deadline:
        """The deadline of the next model. The first one outlives "stop and keep the best": there must be a best."""
        return self.clock.share(parts, stoppable=bool(self.board.trained))

    def train(
        self, candidate: Candidate, deadline: Deadline, matrices: Matrices | None = None, *, insist: bool = False
    ) -> Finished | None:
        """Fit, judge and publish one candidate; None when the run ended meanwhile, or when it failed (which the log says).

        On the run's own folds unless `matrices` has others; on fewer rows where all would take longer than the deadline; not
        at all where even few would, unless it is to `insist` or there is no trained model yet.
        """
        model = self._judged(candidate, deadline, matrices or self.matrices, insist or not self.board.trained)
        if model is not None:
            self.publish(model)
        return model

    def _judged(self, candidate: Candidate, deadline: Deadline, matrices: Matrices, insist: bool) -> Finished | None:
        name = self.board.name(candidate.algo)
        try:
            model = self._validated(name, candidate, matrices, deadline, insist)
            if model.metrics[self.board.metric] is not None:
                return model
            self.log(f"{name} is left out: {self.board.metric} is not defined on the rows that judge it.", "warning")
        except Abandoned:
            self.log(f"{name} was not finished when the run ended.", "info")
        except TooSlow:
            level = "debug" if candidate.algo in self._slow else "info"
            self.log(f"{name} is left out: even few rows would take longer than its share of the time.", level)
            self._slow.add(candidate.algo)
        except MemoryError:
            raise
        except Exception as error:  # a configuration may fail on a strange table; the run must not
            self.log(f"{name} failed and is left out: {type(error).__name__}: {error}", "warning")
        self.board.release(candidate.algo)
        self.failed += 1
        return None

    def _validated(self, name: str, candidate: Candidate, matrices: Matrices, deadline: Deadline, insist: bool) -> Finished:
        least = LEAST_ROWS if insist else self._least
        rows = self._rows(name, candidate, matrices, deadline, insist, least)
        return cross_validate(
            name,
            self._rate_raised(candidate, matrices.task, deadline, rows),
            matrices,
            self.problem,
            deadline,
            rows=rows,
            costs=self.costs,
            abandon=lambda: self.over,
            insist=insist,
            least=least,
            doing=self.progress.doing,
        )

    def _rate_raised(self, candidate: Candidate, task: Task, deadline: Deadline, rows: int | None) -> Candidate:
        """A booster with larger steps where all the rounds it seems to need would take longer than its share."""
        finished = [model for model in self.board.trained if model.task is task]
        if not candidate.family.booster or not finished:
            return candidate
        learned = rows or max(len(fold.train) for fold in task.plan.folds)
        seconds = deadline.left / self.costs.turns(task, candidate)
        return raised(candidate, finished, self.costs.rounds(candidate, task, learned, seconds))

    @property
    def _least(self) -> int:
        """Training rows per fold below which no candidate is worth its time: a quarter of what a model learned from already."""
        learned = [model.learned for model in self.board.trained if model.task is self.task]
        return max(LEAST_ROWS, min(max(learned, default=0) // 4, _PLENTY))

    def _rows(
        self, name: str, candidate: Candidate, matrices: Matrices, deadline: Deadline, insist: bool, least: int
    ) -> int | None:
        """How many training rows per fold the candidate may have; None for all. Raises `TooSlow` where even few are too many."""
        encoded = lambda rows: matrices.has(candidate.encoding, rows)  # noqa: E731
        rows = self.costs.rows(candidate, matrices.task, deadline.left, encoded, least)
        if rows == 0 and not insist:
            raise TooSlow
        most = max(len(fold.train) for fold in matrices.task.plan.folds)
        if rows is None or most <= LEAST_ROWS:
            return None
        rows = max(rows, least)
        self.log(f"{name} learns from {rows} of {most} rows per fold: all of them would take longer than its share.", "info")
        return rows

    def publish(self, model: Finished) -> None:
        """Put a model on the leaderboard: files, manifest, log line, progress.

        Written beside the next fits where a run has threads for that; whether it could be, the next call or `finish_writing`
        finds out.
        """
        self.finish_writing()
        self.board.add(model)
        write = partial(self._write, model, self._explain_secs(model), self._rivals(model))
        if self.costs.workers > 1:
            self._writing = model, self._writer.submit(write)
        else:
            self.progress.doing(f"{model.name}: written and explained")
            self._written(model, write)

    def finish_writing(self) -> None:
        """Wait until the last model is written; take it off the leaderboard where it could not be."""
        if self._writing is not None:
            (model, written), self._writing = self._writing, None
            self._written(model, written.result)

    def _written(self, model: Finished, written: Callable[[], float]) -> None:
        try:
            seconds = written()
        except (DomainError, ValueError) as error:  # a bundle beyond the limits, say: this model is lost, not the run
            self.log(f"{model.name} cannot be stored and is left out: {error}", "warning")
            self.board.remove(model.name)
            self.failed += 1
            return
        # What grows with the rows, a first model on few of them does not show, but the baseline before it did.
        few = self.clock.finish if len(model.task.plan.validated) < len(self.task.plan.validated) else 0.0
        self.clock.finishing(few + seconds)
        self.advance()

    def _write(self, model: Finished, explain_secs: float, rivals: list[Finished]) -> float:
        """Files, manifest, log line; the seconds it took."""
        started = time.perf_counter()
        report = self.publisher.publish(model, explain_secs=explain_secs, rivals=rivals)
        self.report.model(**report)
        metric = self.board.metric
        self.log(
            f"{model.name}: {metric} {in_words(report['metric_intervals'], metric)}, trained in {model.seconds:.1f} s", "info"
        )
        return time.perf_counter() - started

    def _rivals(self, model: Finished) -> list[Finished]:
        """The models a leader was chosen from, as far as they were judged on the same rows."""
        if self.board.best is not model:
            return []
        return [one for one in self.board.models if one.task is model.task and len(one.oof)]

    def _explain_secs(self, model: Finished) -> float:
        """Up to two hundredths of the budget for the leader, a fifth of it for the others, never more than a few seconds."""
        leads = self.board.best is model
        return min(
            max(self.clock.budget * (0.02 if leads else 0.004), 0.2), 4.0 if leads else 1.0, max(self.clock.remaining / 4, 0.1)
        )

    def advance(self) -> None:
        """Progress: how many of the models asked for there are, where they count."""
        if self.counted:
            self.progress.counted(self.count / self.config.max_models)
        self.progress.doing(f"models trained: {len(self.board.models)}")


def raised(candidate: Candidate, finished: Sequence[Finished], rounds: float) -> Candidate:
    """The booster at the rate at which so many rounds get as far as the `finished` ones had to go; never at a lesser one.

    How far boosting has to go, in rounds times learning rate, is a trait of the table: noise is learned by in a hundred small
    steps, a sum of clock times not in a thousand. What the run's boosters needed so far says it. Where there is time for too few
    rounds, larger steps lose less than an end half way: on flights, cut at 264 rounds, an RMSE of 11.4 of one booster became 9.2
    at three times the rate.
    """
    distances = [_distance(model) for model in finished if model.candidate is not None and model.candidate.family.booster]
    if not distances:
        return candidate
    rate = min(max(distances) / max(rounds, 1.0), _FASTER * candidate.rate, max(_FASTEST, candidate.rate))
    return candidate.at_rate(rate) if rate > _WORTH * candidate.rate else candidate


def _distance(model: Finished) -> float:
    """Rounds times rate: as many as it took, or as it may have needed where it was cut."""
    assert model.candidate is not None
    went = cast(int, model.parameters["rounds"]) * model.candidate.rate
    return min(_FURTHER * went, _FURTHEST) if model.cut else went
