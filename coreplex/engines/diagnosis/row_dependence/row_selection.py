"""The rows of a table a question about dependence looks at, and as numbers a cheap model reads.

Which rows is the point: whole groups, all along an order, or a stretch of it without a gap; a sample that tears neighbours apart
would not show that they resemble each other.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.splits.folds import Index
from coreplex.engines.diagnosis.row_dependence.split_comparison import Rows
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

ROWS = 3_000
"""Rows of one trial."""
_LONGEST = 2_000_000
_FEATURES = 60
_CLASSES = 4
_MOST_OF_ONE = 30


class Table:
    """The rows with a known target, read piece by piece."""

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
        """These columns and the target; of these rows, ascending, or of all."""
        scan = self.scan.select(*dict.fromkeys([*names, self.target]))
        if rows is None or len(rows) == self.rows:
            return scan.collect(engine="streaming")
        wanted = pl.LazyFrame({"row": rows.astype(np.uint32)})
        return scan.with_row_index("\0row").join(wanted, left_on="\0row", right_on="row", how="semi").drop("\0row").collect()

    @property
    def features(self) -> list[Column]:
        """Columns without keys and leaks; evenly taken where there are too many for a quick look."""
        features = [column for column in self.columns if column.type is not ColumnType.id and column.name not in self.leaks]
        return features[:: max(1, -(-len(features) // _FEATURES))]


def evenly(index: Index, most: int) -> Index:
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def stretches(ordered: Index) -> list[Index]:
    """Rows all along the order, and where those leave most out, a stretch from its middle."""
    found = [evenly(ordered, ROWS)]
    if len(ordered) > 2 * ROWS:
        middle = (len(ordered) - ROWS) // 2
        found.append(ordered[middle : middle + ROWS])
    return found


def whole_groups(groups: Index, seed: int) -> Index:
    """Rows of randomly chosen groups, ascending: of large ones a part, so that many have a place."""
    draw = np.random.default_rng(seed)
    number = np.unique(groups, return_inverse=True)[1]
    turn = draw.permutation(int(number.max()) + 1)[number]
    shuffled = draw.permutation(len(groups))
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(turn[order], turn[order])
    return np.sort(order[place < _MOST_OF_ONE][:ROWS])


def encoded(frame: pl.DataFrame, columns: Sequence[Column], target: str, classification: bool) -> Rows:
    """Numbers as they are, moments in seconds, words by their rank; the target in at most `_CLASSES` columns."""
    x = np.column_stack([_numbers(frame[c.name]) for c in columns]) if columns else np.empty((frame.height, 0))
    values = frame[target]
    if not classification:
        y = values.cast(pl.Float64).to_numpy()
        y = np.clip(y, *np.quantile(y, [0.005, 0.995]))
        unit = float(y.std()) or 1.0
        return Rows(x, ((y - y.mean()) / unit)[:, None], classification=False, unit=unit)
    number = np.unique(values.rank("dense").to_numpy(), return_inverse=True)[1]
    common = np.argsort(-np.bincount(number), kind="stable")
    place = np.minimum(np.argsort(common)[number], _CLASSES - 1)
    y = np.eye(min(len(common), _CLASSES))[place]
    return Rows(x, y[:, 1:] if y.shape[1] == 2 else y, classification=True)


def _numbers(values: pl.Series) -> NDArray[np.float64]:
    if values.dtype.is_temporal():
        values = values.cast(pl.Datetime("ms")).dt.epoch("ms") / 1_000
    elif not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        values = values.rank("dense")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()
