"""Which rows a candidate has learned from: those whose values, as it sees them, and whose outcome stand in its table."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.batch.source import of_table
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.performance.spelling import spelled
from coreplex.engines.scoring.columns import TableScorer
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import Column, TableSchema, spell

CHUNK_ROWS = 20_000


def keys(matrix: Floats, outcomes: Sequence[Any]) -> Iterator[bytes]:
    """One for each row of an encoded (n, width) matrix with its outcome: equal for equal ones."""
    rows = matrix.astype(np.float32) + np.float32(0.0)  # -0 is 0
    rows[np.isnan(rows)] = np.nan
    for row, outcome in zip(rows, outcomes, strict=True):
        yield hashlib.blake2b(row.tobytes() + str(outcome).encode(errors="surrogatepass"), digest_size=12).digest()


def keys_of_rows(scorer: Scorer, rows: Sequence[Mapping[str, Any]], outcomes: Sequence[Any]) -> list[bytes]:
    """Of rows as they were sent; outcomes: texts of classes, floats of numbers."""
    matrices, _ = scorer.encoded(rows)
    return list(keys(matrices[0], outcomes))


def learned(scorer: Scorer, table: Path, schema: TableSchema, wanted: Sequence[bytes], tell: Callable[[float], None]) -> int:
    """How many of the wanted keys are those of a row of the stored table. `tell`: hears the share that is read."""
    target = schema.get(scorer.manifest.target)
    if target is None or not wanted:
        return 0
    source, left, found, read = of_table(table, schema), set(wanted), set[bytes](), 0
    rows = TableScorer(scorer, [one for one in source.columns if one.name != target.name])
    for chunk in source.chunks(0, CHUNK_ROWS):
        outcomes = _outcomes(chunk.get_column(target.name), target, bool(scorer.classes))
        found |= left.intersection(keys(rows.encoded(chunk)[0], outcomes))
        read += chunk.height
        tell(read / max(source.rows, 1))
    return sum(one in found for one in wanted)


def _outcomes(values: pl.Series, target: Column, is_class: bool) -> list[Any]:
    """As `keys_of_rows` has them."""
    if is_class:
        return [spelled(spell(target, value)) for value in values]
    return [None if value is None else float(value) for value in values]
