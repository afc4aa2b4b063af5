"""Selects the rows on which splits are compared, and encodes them as numbers for a cheap model.

Which rows is the point: whole groups, all along an order, or a stretch of it without a gap; a sample that tears neighbours apart
would not show that they resemble each other.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.splits.folds import Index
from coreplex.engines.diagnosis.row_dependence.split_comparison import EncodedRows
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

ROWS = 3_000
"""Rows of one trial, at most."""
_LONGEST = 2_000_000
_FEATURES = 60
_CLASSES = 4
_MOST_OF_ONE = 30


class LabelledTable:
    """The rows of a Parquet table whose target is known (2,000,000 at most), read a few columns and rows at a time."""

    def __init__(
        self, path: Path, schema: TableSchema, target: str, ignored: Collection[str | None], leaks: Collection[str]
    ) -> None:
        self.target, self.leaks = target, set(leaks)
        self.columns = [c for c in schema if c.name != target and c.name not in ignored and c.type is not ColumnType.text]
        known = pl.col(target).is_not_null()
        column = schema.get(target)
        if column is not None and column.dtype.startswith("float"):
            known &= pl.col(target).is_finite()
        self.scan = pl.scan_parquet(path, glob=False).filter(known).head(_LONGEST)
        self.rows: int = self.scan.select(pl.len()).collect(engine="streaming").item()

    def read(self, names: Sequence[str], rows: Index | None = None) -> pl.DataFrame:
        """These columns and the target, of these rows (numbers in file order, ascending) or of all."""
        scan = self.scan.select(*dict.fromkeys([*names, self.target]))
        if rows is None or len(rows) == self.rows:
            return scan.collect(engine="streaming")
        wanted = pl.LazyFrame({"row": rows.astype(np.uint32)})
        return scan.with_row_index("\0row").join(wanted, left_on="\0row", right_on="row", how="semi").drop("\0row").collect()

    @property
    def features(self) -> list[Column]:
        """Columns without identifiers and leaks; of more than 60, evenly spaced ones."""
        features = [column for column in self.columns if column.type is not ColumnType.id and column.name not in self.leaks]
        return features[:: max(1, -(-len(features) // _FEATURES))]


def evenly_spaced(index: Index, most: int) -> Index:
    """At most `most` of the row numbers (n,), evenly spaced, the first and the last among them."""
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def range_and_window(ordered: Index) -> list[Index]:
    """One or two selections of up to 3,000 of the row numbers (n,) in time order.

    Evenly spaced ones and, where those leave out more than half, a contiguous window from the middle, whose rows are neighbours.
    """
    found = [evenly_spaced(ordered, ROWS)]
    if len(ordered) > 2 * ROWS:
        middle = (len(ordered) - ROWS) // 2
        found.append(ordered[middle : middle + ROWS])
    return found


def sample_groups(groups: Index, seed: int) -> Index:
    """Row numbers, ascending, of randomly chosen groups, 3,000 at most, and of a group 30 at most, so that there are many groups.

    `groups`: (n,) group codes.
    """
    draw = np.random.default_rng(seed)
    number = np.unique(groups, return_inverse=True)[1]
    turn = draw.permutation(int(number.max()) + 1)[number]
    shuffled = draw.permutation(len(groups))
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(turn[order], turn[order])
    return np.sort(order[place < _MOST_OF_ONE][:ROWS])


def encode(frame: pl.DataFrame, columns: Sequence[Column], target: str, classification: bool) -> EncodedRows:
    """Features as floats (numbers as they are, times in seconds since 1970, others by rank) and the target in up to 4 columns.

    Of two classes one column, of more one-hot, from the fourth on together; a number is clipped at its 0.5 and 99.5 % quantiles
    and standardised.
    """
    x = np.column_stack([_numbers(frame[c.name]) for c in columns]) if columns else np.empty((frame.height, 0))
    values = frame[target]
    if not classification:
        y = values.cast(pl.Float64).to_numpy()
        y = np.clip(y, *np.quantile(y, [0.005, 0.995]))
        unit = float(y.std()) or 1.0
        return EncodedRows(x, ((y - y.mean()) / unit)[:, None], classification=False, unit=unit)
    number = np.unique(values.rank("dense").to_numpy(), return_inverse=True)[1]
    common = np.argsort(-np.bincount(number), kind="stable")
    place = np.minimum(np.argsort(common)[number], _CLASSES - 1)
    y = np.eye(min(len(common), _CLASSES))[place]
    return EncodedRows(x, y[:, 1:] if y.shape[1] == 2 else y, classification=True)


def _numbers(values: pl.Series) -> NDArray[np.float64]:
    if values.dtype.is_temporal():
        values = values.cast(pl.Datetime("ms")).dt.epoch("ms") / 1_000
    elif not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        values = values.rank("dense")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
