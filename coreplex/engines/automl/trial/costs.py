"""How long a candidate will take, estimated before it is fitted, so that what cannot finish is trained on fewer rows.

Encoding is taken to be linear in the rows, with the line measured on two small samples of this very table. Fitting is counted
in units of work (cells visited per round of trees, multiplications per epoch, …) times a pace in seconds per unit; the
pace of a family is what its last fit on this machine took, and until then a constant, corrected by the others' pace.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.data.sampling import spread
from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.families import kernel
from coreplex.engines.automl.trial.portfolio import KERNEL_ROWS, Candidate
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.sparse import SparseEncoder
from coreplex.errors.tree import Invalid

_PACE = {"lightgbm": 1.5e-9, "xgboost": 1.5e-9, "linear": 1e-9, "mlp": 0.8e-9, "kernel": 1e-9, "words": 1e-8}
"""Seconds per unit of work on one core of a server of 2023."""
_OTHER_PACE = 8e-9
_ROUNDS = ("lightgbm", "xgboost", "mlp")
"""Families that ask the clock once a round; the others are counted as a whole."""
_REMEMBERED = 3
_BINS, _BINNING = 1_200, 130
"""Cells that one leaf costs per column, whatever its rows (histograms, the best split), and one cell before the first round."""
_PER_ENTRY = 4
"""What finding the weights of an entry of a row of words costs, in outputs that it adds to."""
_WEIGHING = 0.25
"""What weighing words takes, of what counting them takes as well."""
_LEAST_LEAF = 8
"""Rows of a leaf where the parameters do not say it: XGBoost counts hessians instead."""
_OVERHEAD = 0.02
"""Seconds below which a fit says that its family is no slower, and not how fast it is."""
_PROBE_ROWS = (50, 300, 2_000, 10_000)
_PROBE = 0.03
"""Once samples took so much of the budget, larger ones are left out; so are those of more than half the rows."""
LEAST_ROWS = 500
HOPELESS = 4.0
LENIENCE = 2.0
"""So many times its share a candidate may seem to take before rows are left out: estimates err, and the clock cuts anyway."""


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
    per_judged: float = 0.0
    """Seconds to encode a row that the encoding was not learned from."""
    per_words: float = 0.0
    """Seconds to count the words of a row, once for all folds, and to weigh them in one."""
    entries: float = 150.0
    """Entries of a row of words."""
    pace: dict[str, float] = field(default_factory=dict)
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
            (self.per_row, self.fixed), (self.per_judged, _) = lines

    def measure_words(self, task: Task, budget: float, now: Callable[[], float] = time.perf_counter) -> None:
        """The same for words: what a row takes, and how many entries it has."""

        def encode(frame: pl.DataFrame, y: NDArray[Any]) -> tuple[float, ...]:
            start = now()
            _, x = SparseEncoder.fit_transform(frame, task.columns, y, task=task.kind, seed=task.seed)
            self.entries = x.nnz / len(y)
            return (now() - start,)

        if lines := _measured(task, budget, now, encode):
            self.per_words, _ = lines[0]

    def encoding(self, rows: int, judged: int) -> float:
        """Seconds to encode one fold of so many training rows and rows that judge."""
        return self.fixed + self.per_row * rows + self.per_judged * judged

    def fitting(self, candidate: Candidate, task: Task, rows: int, *, rounds: int | None = None) -> float:
        """Seconds to fit one fold of so many training rows, for as many rounds as make a fair model unless `rounds` are given."""
        return self._pace(candidate.family) * self._work(candidate, task, rows, rounds or fair_rounds(candidate))

    def encoded(self, rows: int, judged: int, seconds: float) -> None:
        """Correct the line by what encoding a fold took. Folds may be encoded side by side."""
        with self._lock:
            expected = self.encoding(rows, judged)
            if expected > 0.0 and seconds > 0.02:
                off = seconds / expected
                self.fixed, self.per_row, self.per_judged = self.fixed * off, self.per_row * off, self.per_judged * off

    def learn(self, candidate: Candidate, task: Task, rows: int, rounds: int, width: int, seconds: float) -> None:
        """Remember what a fit took."""
        self.width[candidate.encoding] = width
        counted = max(rounds, 1) if candidate.family in _ROUNDS else 1
        pace = seconds / max(self._work(candidate, task, rows, counted), 1.0)
        if seconds < _OVERHEAD:
            pace = min(pace, self._pace(candidate.family))
        took = self._took.setdefault(candidate.family, deque(maxlen=_REMEMBERED))
        took.append(pace)
        self.pace[candidate.family] = min(took)

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
        lenience = 1.0 if candidate.trials else LENIENCE
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
        folds, judged = len(task.plan.folds), len(task.plan.judged)
        fits = folds + fits_after(task, candidate)
        together = fits / self.turns(task, candidate)
        if candidate.encoding == "sparse":
            matrices = self.per_words * _WEIGHING * (fits * rows + judged)
        else:
            matrices = fits * self.encoding(rows, 0) + self.per_judged * judged
        fitting = self.fitting(candidate, task, rows)
        return ((0.0 if encoded else matrices) + fits * fitting) / together + candidate.trials * fitting

    def turns(self, task: Task, candidate: Candidate) -> int:
        """How many fits of a candidate come after each other."""
        return waves(len(task.plan.folds), self.workers) + waves(fits_after(task, candidate), self.workers)

    def rounds(self, candidate: Candidate, task: Task, rows: int, seconds: float) -> float:
        """Rounds of a booster that so many seconds allow on one fold."""
        start = self._work(candidate, task, rows, 0)
        return max(seconds / self._pace(candidate.family) - start, 0.0) / (self._work(candidate, task, rows, 1) - start)

    def _pace(self, family: str) -> float:
        if family in self.pace:
            return self.pace[family]
        seen = [pace / _PACE.get(known, _OTHER_PACE) for known, pace in self.pace.items()]
        return _PACE.get(family, _OTHER_PACE) * (float(np.median(seen)) if seen else 1.0 / self.threads)

    def _work(self, candidate: Candidate, task: Task, rows: int, rounds: int) -> float:
        """Units of work of so many rounds on so many rows.

        For trees a unit is a cell that is added to a histogram; what leaves and binning cost beside it was measured on 300 to
        400,000 rows of 20 to 2,000 columns, where it is right within a factor of two.
        """
        width = self.width.get(candidate.encoding) or self.width.get("tree") or len(task.encoded)
        outputs = task.outputs if task.outputs > 2 else 1
        params = candidate.params
        match candidate.family:
            case "lightgbm" | "xgboost":
                leaves = int(params.get("num_leaves") or params.get("max_leaves") or 2 ** min(int(params.get("max_depth", 5)), 9))
                filled = min(leaves, rows / (1.5 * params.get("min_data_in_leaf", _LEAST_LEAF)))
                visited = rows * np.log2(max(leaves, 2)) / 2 + filled * _BINS
                judged = len(task.plan.judged) / len(task.plan.folds)
                return float(width * (rounds * outputs * visited + (rows + judged) * _BINNING))
            case "mlp":
                layers = (width, *params.get("hidden", (64, 32)), outputs)
                return float(rounds * rows * sum(a * b for a, b in itertools.pairwise(layers)))
            case "kernel":
                rows = min(rows, KERNEL_ROWS)
                landmarks = min(rows, kernel.LANDMARKS)
                return float(landmarks * rows * (10 * width + 2 * landmarks + 240 * outputs))
            case "words":
                return float(rows * self.entries * (outputs + _PER_ENTRY))
            case _:
                return 240.0 * rows * width * outputs


def fits_after(task: Task, candidate: Candidate) -> int:
    """How many fits on all rows follow those of the folds: none where the fold copies are the model."""
    if task.plan.bag and candidate.bagged:
        return 0
    return len(task.plan.copies) if task.plan.copies and candidate.booster else 1


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


def fair_rounds(candidate: Candidate) -> int:
    """Rounds a model needs to be worth its time: enough small steps, trees or epochs; fewer are a sign of too many rows."""
    params = candidate.params
    if candidate.family == "mlp":
        return min(12, int(params.get("rounds", 12)))
    if candidate.family not in _ROUNDS:
        return 1
    if params.get("boosting") == "rf":
        return min(40, int(params.get("rounds", 40)))
    return int(min(6.0 / max(candidate.rate, 1e-3), 300, int(params.get("rounds", 300))))
