"""The sampled rows of one question, as the searches for leaks share them."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.cpu_deadline import Deadline
from coreplex.engines.diagnosis.leakage.univariate import Floats, Probe, Target
from coreplex.engines.tabular.schema import Column, ColumnType, spell

LARGEST = 1e100
"""Numbers beyond it count as missing: their squares overflow."""


@dataclass(frozen=True)
class Case:
    """`frame`: n rows in file order, all columns. `features`: what a model would see. `probes`: each feature alone, by name.

    `table`: all rows, for what cannot be told from a sample; `whole`: the sample is all of them. `unfinished`: what there was no
    time for, to be added to.
    """

    table: Path
    frame: pl.DataFrame
    column: Column
    target: Target
    features: tuple[Column, ...]
    ids: tuple[Column, ...]
    probes: dict[str, Probe]
    deadline: Deadline
    whole: bool
    unfinished: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the target."""
        return self.column.name

    @property
    def classification(self) -> bool:
        return self.target.classification

    def spelled(self, value: Any) -> Any:
        """A value of the target as the file has it: `yes` where a boolean was read."""
        return spell(self.column, value)

    @cached_property
    def numbers(self) -> dict[str, Floats]:
        """Features that are amounts or times, as (n,) numbers, NaN where missing; times in seconds since 1970."""
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
        """Of a feature alone, 0 where it cannot be looked at alone."""
        found = self.probes.get(name)
        return max(found.skill, 0.0) if found else 0.0

    def best(self, without: set[str]) -> list[Column]:
        """The features but some, those that tell most alone first."""
        return sorted((column for column in self.features if column.name not in without), key=lambda c: -self.skill(c.name))
