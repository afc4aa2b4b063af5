"""The sampled rows of a table, its target and what is known of each column: what all leak detectors read."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.cpu_deadline import CpuDeadline
from coreplex.engines.diagnosis.leakage.univariate import EncodedTarget, Floats, UnivariateScore
from coreplex.engines.tabular.schema import Column, ColumnType, spell

LARGEST = 1e100
"""Numbers beyond it count as missing: their squares overflow."""


@dataclass(frozen=True)
class DetectorInput:
    """The sample of n rows that leak detectors share, and their common deadline.

    `frame`: (n rows, all columns) in file order, target known; `whole`: these are all such rows of the table. `table`: the
    Parquet file, for what a sample cannot tell. `column`: the target's; `features`: what a model would see; `ids`: identifiers,
    which it would not. `univariate`: the score of each feature alone, by name. `unfinished`: sentences on what there was no time
    for; detectors add to it.
    """

    table: Path
    frame: pl.DataFrame
    column: Column
    target: EncodedTarget
    features: tuple[Column, ...]
    ids: tuple[Column, ...]
    univariate: dict[str, UnivariateScore]
    deadline: CpuDeadline
    whole: bool
    unfinished: list[str] = field(default_factory=list)

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
