"""What leak detectors read and return: a sample of a table's rows with its target (`DetectorInput`), and a `Leak`.

The sample is chosen so that time and memory do not grow with the table. A detector is a function of the input and of the names of
the columns that need no further look; it yields leaks.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.univariate import Codes, EncodedTarget, Floats, UnivariateScore, score_column
from coreplex.engines.diagnosis.request import CpuDeadline, DiagnosisRequest
from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema, spell
from coreplex.errors.tree import Message

LEAST_ROWS = 30
"""Fewer rows tell nothing apart from chance."""
CELLS = 4_000_000
"""Cells of the sample at most: 32 MB as numbers."""
MOST_SAMPLED, LEAST_SAMPLED = 20_000, 2_000
DECODED_CELLS = 60_000_000
"""A table of more cells is not decoded whole: a second or two of two threads."""
RUNS = 50
LARGEST = 1e100
"""Numbers beyond it count as missing: their squares overflow."""
VERIFY_TIMING = Message("verify_timing", "Make sure that it is known before the outcome, or leave it out.")
LEAVE_OUT = Message("leave_column_out", "Leave it out.")


@dataclass(frozen=True)
class DetectorInput:
    """The sample of n rows that leak detectors share, and their common deadline.

    `table`: the Parquet file, for what a sample cannot tell, of so many `rows`. `frame`: (n rows, all columns) in file order,
    target known; `whole`: these are all such rows of the table. `column`: the target's; `features`: what a model would see;
    `ids`: identifiers, which it would not. `univariate`: the score of each feature alone, by name. `unfinished`: what
    there was no time for; detectors add to it.
    """

    table: Path
    rows: int
    frame: pl.DataFrame
    column: Column
    target: EncodedTarget
    features: tuple[Column, ...]
    ids: tuple[Column, ...]
    univariate: dict[str, UnivariateScore]
    deadline: CpuDeadline
    whole: bool
    unfinished: list[Message] = field(default_factory=list)

    @classmethod
    def of(
        cls, table: Path, schema: TableSchema, request: DiagnosisRequest, column: Column, *, seed: int, deadline: CpuDeadline
    ) -> "DetectorInput":
        """Reads the sample for a target `column`, and scores each feature alone until the deadline is over."""
        rows, frame, whole = _sample(table, schema, column)
        target = EncodedTarget.of(frame.get_column(column.name), classification=request.classification, seed=seed)
        open_columns = [one for one in schema if one.name != column.name and one.name not in request.roles.no_features]
        features = tuple(one for one in open_columns if one.type is not ColumnType.id)
        ids = tuple(one for one in open_columns if one.type is ColumnType.id)
        data = cls(table, rows, frame, column, target, features, ids, {}, deadline, whole)
        if frame.height >= LEAST_ROWS and target.responses:
            data.univariate.update(data._scored())
        return data

    def _scored(self) -> Iterator[tuple[str, UnivariateScore]]:
        for number, column in enumerate(self.features):
            if self.deadline.over:
                count = len(self.features)
                self.unfinished.append(
                    Message(
                        "columns_not_looked_at",
                        "{left} of {count} columns were not looked at: the time was over.",
                        left=count - number,
                        count=count,
                    )
                )
                return
            result = score_column(column, self.frame.get_column(column.name), self.target)
            if result is not None:
                yield column.name, result

    @property
    def name(self) -> str:
        """Name of the target column."""
        return self.column.name

    @property
    def classification(self) -> bool:
        """Whether the target is a class and not a number."""
        return self.target.classification

    def spelled(self, value: Any) -> Any:
        """A value of the target as the file spells it: `yes` where a boolean was read."""
        return spell(self.column, value)

    @cached_property
    def numbers(self) -> dict[str, Floats]:
        """Numeric and temporal features that vary, as (n,) floats by name; times in seconds since 1970.

        NaN where missing or beyond 1e100.
        """
        found = {}
        for column in self.features:
            values = self.frame.get_column(column.name)
            if values.dtype.is_temporal():
                values = values.cast(pl.Datetime("ms")).dt.epoch("ms") / 1000
            elif not values.dtype.is_numeric() or column.type is ColumnType.categorical:
                continue
            numbers = values.cast(pl.Float64).to_numpy().copy()
            numbers[~(np.abs(numbers) < LARGEST)] = np.nan
            known = numbers[~np.isnan(numbers)]
            if len(known) and known.min() < known.max():
                found[column.name] = numbers
        return found

    def skill(self, name: str) -> float:
        """Fraction (0..1) of the target's variance that a feature explains alone; 0 where that was not measured."""
        found = self.univariate.get(name)
        return max(found.skill, 0.0) if found else 0.0

    def ranked(self, without: set[str]) -> list[Column]:
        """The features except those `without`, highest univariate skill first."""
        return sorted((column for column in self.features if column.name not in without), key=lambda c: -self.skill(c.name))

    def unflagged(self, flagged: set[str]) -> Iterator[tuple[Column, pl.Series]]:
        """Features that no earlier detector has flagged, with their (n,) values."""
        for column in self.features:
            if column.name not in flagged:
                yield column, self.frame.get_column(column.name)

    def outcomes(self) -> tuple[Codes | None, list[str]]:
        """(class of each row, names of the classes); of a number, whether it is its most frequent value."""
        if self.classification:
            return self.target.codes, [repr(self.spelled(value)) for value in self.target.classes]
        usual, rows = self.frame.get_column(self.name).value_counts(sort=True).row(0)
        if not 0.02 * self.target.rows <= rows <= 0.98 * self.target.rows:
            return None, []
        is_usual = (self.frame.get_column(self.name) == usual).to_numpy().astype(np.int64)
        return is_usual, [f"not {self.spelled(usual)!r}", repr(self.spelled(usual))]


@dataclass(frozen=True)
class Leak:
    """`columns` that give the target away together, and `leave_out`, those of them to drop. JSON has the same names.

    `alone` is their score without any other column, `next_best` that of the best other column alone, in the target's metric.
    """

    kind: str
    columns: tuple[str, ...]
    severity: Severity
    message: Message
    alone: float
    next_best: float = 0.0
    leave_out: tuple[str, ...] = ()
    evidence: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The leak with the word and the parameters of its message."""
        return {**asdict(self), **self.message.to_json()}

    def finding(self) -> Finding:
        """The issue of a report of quality."""
        evidence = {
            **self.evidence,
            "kind": self.kind,
            "columns": self.columns,
            "leave_out": self.leave_out,
            "alone": self.alone,
        }
        return Finding("target_leak", self.severity, self.message, column=self.columns[0], evidence=evidence)


def single_column_leak(
    data: DetectorInput, kind: str, name: str, message: Message, severity: Severity = "high", **evidence: Any
) -> Leak:
    """The leak of one column, to be left out where the severity is high; a column without a univariate score counts as 1."""
    score = data.univariate[name].score if name in data.univariate else 1.0
    leave_out = (name,) if severity == "high" else ()
    return Leak(kind, (name,), severity, message, score, leave_out=leave_out, evidence=evidence)


def _sample(table: Path, schema: TableSchema, target: Column) -> tuple[int, pl.DataFrame, bool]:
    """(rows of a Parquet table, a sample of those with a known target, whether it is all of them).

    All columns; 20,000 rows at most, of wide tables 4,000,000 cells. Evenly spread and in file order; of a table too large to
    decode whole contiguous runs of rows, evenly spread too: Parquet skips what lies between.
    """
    scan = pl.scan_parquet(table, glob=False).select(schema.names)
    rows: int = scan.select(pl.len()).collect().item()
    wanted = max(LEAST_SAMPLED, min(MOST_SAMPLED, CELLS // max(len(schema), 1)))
    if rows * len(schema) > DECODED_CELLS and rows > wanted:
        return rows, _runs(scan, rows, wanted).filter(_known(target)), False
    labelled = scan.filter(_known(target))
    count: int = labelled.select(pl.len()).collect(engine="streaming").item()
    step = -(-count // wanted) if count else 1
    picked = labelled if step <= 1 else labelled.gather_every(step)
    return rows, picked.collect(engine="streaming"), step <= 1


def _runs(scan: pl.LazyFrame, rows: int, wanted: int) -> pl.DataFrame:
    length = wanted // RUNS
    return pl.concat([scan.slice((rows - length) * run // (RUNS - 1), length).collect() for run in range(RUNS)])


def _known(target: Column) -> pl.Expr:
    known = pl.col(target.name).is_not_null()
    return known & pl.col(target.name).is_finite() if target.dtype.startswith("float") else known
