"""Estimates how long a candidate will take, and how many rows fit in memory, before anything is fitted: so what cannot finish is
trained on fewer rows, and no run ends by a crash.

Encoding is taken to be linear in the rows, with the line measured on two small samples of this very table. Fitting is counted
in units of work (cells visited per round of trees, multiplications per epoch, …) times seconds per unit, which
are what the last fits of a family on this machine took, and until then a constant, corrected by what the others took.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import psutil  # type: ignore[import-untyped]
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task, spread
from coreplex.engines.automl.families.family import Candidate, Family, Load, families
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.sparse import SparseEncoder
from coreplex.errors.tree import Invalid

_REMEMBERED = 3
_WEIGHING = 0.25
"""What weighing words takes, of what counting them takes as well."""
_OVERHEAD = 0.02
"""Seconds below which a fit says that its family is no slower, and not how fast it is."""
_PROBE_ROWS = (50, 300, 2_000, 10_000)
_PROBE = 0.03
"""Once samples took so much of the budget, larger ones are left out; so are those of more than half the rows."""
LEAST_ROWS = 500
HOPELESS = 4.0
LENIENCE = 2.0
"""So many times its share a candidate may seem to take before rows are left out: estimates err, and the clock cuts anyway."""
DEFAULT_BYTES = 4 << 30
_FRAME_COPIES, _CELL_BYTES, _CLASS_BYTES = 2.2, 28, 40
_WORKING, _KEPT_MATRICES = 0.6, 0.12
_DENSE_CELL_BYTES = 32
_DENSE = 0.25
_FEWEST_ROWS = 500
"""Whatever the memory, so many rows are trained on."""


@dataclass
class Costs:
    """What is known of this table and this machine so far."""

    threads: int = 1
    """Of one fit."""
    workers: int = 1
    """Fits side by side."""
    width: dict[str, int] = field(default_factory=dict)
    """Encoded columns per encoding."""
    fixed: float = 0.0
    per_row: float = 0.0
    """Seconds to learn an encoding and encode the rows it is learned from: fixed + per_row × rows."""
    per_validated: float = 0.0
    """Seconds to encode a row that the encoding was not learned from."""
    per_words: float = 0.0
    """Seconds to count the words of a row, once for all folds, and to weigh them in one."""
    entries: float = 150.0
    """Entries of a row of words."""
    seconds_per_unit: dict[str, float] = field(default_factory=dict)
    """Seconds per unit of work: the least of the last fits, because the first of a family loads libraries as well."""
    _took: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def measure(self, task: Task, budget: float, now: Callable[[], float] = time.perf_counter) -> None:
        """Encode small samples for trees, larger ones while that is quick: the width of the matrix and the lines of the time."""

        def encode(frame: pl.DataFrame, y: NDArray[Any]) -> tuple[float, ...]:
            start = now()
            encoder, _ = Encoder.fit_transform(frame, task.encoded, y, kind="tree", task=task.kind)
            middle = now()
            encoder.transform(frame)
            self.width["tree"] = encoder.width
            return middle - start, now() - middle

        if lines := _measured(task, budget, now, encode):
            (self.per_row, self.fixed), (self.per_validated, _) = lines

    def measure_words(self, task: Task, budget: float, now: Callable[[], float] = time.perf_counter) -> None:
        """The same for words: what a row takes, and how many entries it has."""

        def encode(frame: pl.DataFrame, y: NDArray[Any]) -> tuple[float, ...]:
            start = now()
            _, x = SparseEncoder.fit_transform(frame, task.columns, y, task=task.kind, seed=task.seed)
            self.entries = x.nnz / len(y)
            return (now() - start,)

        if lines := _measured(task, budget, now, encode):
            self.per_words, _ = lines[0]

    def encoding(self, rows: int, validated: int) -> float:
        """Seconds to encode one fold of so many training rows and rows that judge."""
        return self.fixed + self.per_row * rows + self.per_validated * validated

    def fitting(self, candidate: Candidate, task: Task, rows: int, *, rounds: int | None = None) -> float:
        """Seconds to fit one fold of so many training rows, for as many rounds as make a fair model unless `rounds` are given."""
        rounds = rounds or candidate.family.fair_rounds(candidate.params)
        return self._unit_seconds(candidate.family) * self._work(candidate, task, rows, rounds)

    def encoded(self, rows: int, validated: int, seconds: float) -> None:
        """Correct the line by what encoding a fold took. Folds may be encoded side by side."""
        with self._lock:
            expected = self.encoding(rows, validated)
            if expected > 0.0 and seconds > 0.02:
                off = seconds / expected
                self.fixed, self.per_row, self.per_validated = self.fixed * off, self.per_row * off, self.per_validated * off

    def learn(self, candidate: Candidate, task: Task, rows: int, rounds: int, width: int, seconds: float) -> None:
        """Remember what a fit took."""
        family = candidate.family
        self.width[candidate.encoding] = width
        counted = max(rounds, 1) if family.clocked else 1
        one = seconds / max(self._work(candidate, task, rows, counted), 1.0)
        if seconds < _OVERHEAD:
            one = min(one, self._unit_seconds(family))
        took = self._took.setdefault(_measured_as(family), deque(maxlen=_REMEMBERED))
        took.append(one)
        self.seconds_per_unit[_measured_as(family)] = min(took)

    def rows(
        self, candidate: Candidate, task: Task, seconds: float, encoded: Callable[[int], bool], least: int = LEAST_ROWS
    ) -> int | None:
        """How many training rows per fold let the candidate be done in `seconds`: all (None), half, a quarter, …, `least`.

        0 where even so few would take several times as long.

        `encoded` says whether folds of so many rows are encoded already, so that only the fit counts.
        """
        most = max(len(fold.train) for fold in task.plan.folds)
        least = max(least, 20 * task.outputs)
        # The clock cuts rounds, and no model of words.
        lenience = 1.0 if candidate.family.trials else LENIENCE
        if self.candidate(candidate, task, most, encoded=encoded(most)) <= lenience * seconds:
            return None
        rows = most
        while (takes := self.candidate(candidate, task, rows, encoded=encoded(rows))) > seconds and rows > least:
            rows = max(rows // 2, least)
        if takes > HOPELESS * seconds:
            return 0
        return rows if rows < most else None

    def candidate(self, candidate: Candidate, task: Task, rows: int, *, encoded: bool) -> float:
        """Seconds of a candidate on all folds, with so many training rows each."""
        folds, validated = len(task.plan.folds), len(task.plan.validated)
        fits = folds + fits_after(task, candidate)
        together = fits / self.turns(task, candidate)
        if candidate.encoding == "sparse":
            matrices = self.per_words * _WEIGHING * (fits * rows + validated)
        else:
            matrices = fits * self.encoding(rows, 0) + self.per_validated * validated
        fitting = self.fitting(candidate, task, rows)
        return ((0.0 if encoded else matrices) + fits * fitting) / together + candidate.family.trials * fitting

    def turns(self, task: Task, candidate: Candidate) -> int:
        """How many fits of a candidate come after each other."""
        return waves(len(task.plan.folds), self.workers) + waves(fits_after(task, candidate), self.workers)

    def rounds(self, candidate: Candidate, task: Task, rows: int, seconds: float) -> float:
        """Rounds of a booster that so many seconds allow on one fold."""
        start = self._work(candidate, task, rows, 0)
        return max(seconds / self._unit_seconds(candidate.family) - start, 0.0) / (self._work(candidate, task, rows, 1) - start)

    def _unit_seconds(self, family: Family) -> float:
        if _measured_as(family) in self.seconds_per_unit:
            return self.seconds_per_unit[_measured_as(family)]
        typical = {one.key: one.seconds_per_unit for one in families()}
        seen = [unit / typical.get(key, unit) for key, unit in self.seconds_per_unit.items()]
        return family.seconds_per_unit * (float(np.median(seen)) if seen else 1.0 / self.threads)

    def _work(self, candidate: Candidate, task: Task, rows: int, rounds: int) -> float:
        """Units of work of so many rounds on so many rows."""
        width = self.width.get(candidate.encoding) or self.width.get("tree") or len(task.encoded)
        outputs = task.outputs if task.outputs > 2 else 1
        validated = len(task.plan.validated) / len(task.plan.folds)
        return candidate.family.work(candidate.params, Load(rows, rounds, width, outputs, validated, self.entries))


def _measured_as(family: Family) -> str:
    return family.measured_as or family.key


def fits_after(task: Task, candidate: Candidate) -> int:
    """How many fits on all rows follow those of the folds: none where the fold copies are the model."""
    if task.plan.bag and candidate.family.bagged:
        return 0
    return len(task.plan.final_folds) if task.plan.final_folds and candidate.family.booster else 1


def waves(pieces: int, workers: int) -> int:
    """How many times so many workers begin the next of so many pieces together."""
    return -(-pieces // workers)


def _measured(
    task: Task, budget: float, now: Callable[[], float], encode: Callable[[pl.DataFrame, NDArray[Any]], tuple[float, ...]]
) -> list[tuple[float, float]]:
    """The lines of all times that `encode` gives for samples of growing size; none where no sample can be encoded."""
    began, sizes, took = now(), list[int](), list[tuple[float, ...]]()
    for rows in (size for size in _PROBE_ROWS if size in _PROBE_ROWS[:2] or 2 * size <= len(task.y)):
        chosen = spread(task.y, rows, task.seed, classification=task.classification)
        try:
            took.append(encode(task.frame[chosen], task.y[chosen]))
        except Invalid:  # in so few rows each column may have but one value
            continue
        sizes.append(len(chosen))
        if now() - began > _PROBE * budget:
            break
    return [_line(sizes, list(times)) for times in zip(*took, strict=True)]


def _line(sizes: list[int], took: list[float]) -> tuple[float, float]:
    """Seconds per row and the fixed ones, by the two largest samples; of a single one a fifth is taken to depend on the rows."""
    most, long = sizes[-1], took[-1]
    slope = (long - took[-2]) / max(most - sizes[-2], 1) if len(sizes) > 1 else 0.0
    slope = max(slope, 0.2 * long / most)
    return slope, max(long - slope * most, 0.0)


@dataclass(frozen=True)
class Memory:
    """`limit`: bytes of resident memory the process may use. `workers`: fits side by side, each with a matrix of its own.

    Counted per row: the table and the copies that folds and encodings make of it, the encoded matrix and the copy a sample or a
    refit makes, what a booster keeps of it (XGBoost most: 8 bytes a cell and the bins), scores and gradients per class, and the
    out-of-fold predictions of the models an ensemble may choose from. Folds that are fitted side by side have all but the table
    and those predictions each.
    """

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
        return max(int(free / per_row), _FEWEST_ROWS)
