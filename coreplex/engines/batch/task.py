"""Scores a table of any length: `python -m coreplex.engines.child coreplex.engines.batch.task:run`.

Memory is that of a chunk. Each chunk's answers are kept as a part, so that another attempt goes on behind the last one; the
result is the original columns and the answers side by side. The same request makes the same bytes.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
from polars.io.plugins import register_io_source

from coreplex.engines.batch import source as sources
from coreplex.engines.batch.parts import Parts, hash_of
from coreplex.engines.batch.source import REFUSED, Source
from coreplex.engines.child import Report
from coreplex.engines.scoring.columns import TableScorer
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.parquet import type_of
from coreplex.engines.tabular.schema import Column, TableSchema
from coreplex.engines.tabular.types.parse_rule import dtype_name
from coreplex.errors.tree import DomainError, Invalid, Message

FORMAT = 1
"""Of parts and results: those of another one are no beginning of these."""
OPTIONS = ("sha256", "input_sha256", "threshold", "interval", "strict", "schema")
"""Keys of the request on which the answers depend."""
_MOST_ROWS, _LEAST_ROWS = 20_000, 1_000
_CELLS = 8_000_000
"""Of the chunk's columns and its matrices."""
_SCORING = 0.9
"""The share of the work that is done when every row has its answer."""


def run(request: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Score. Request: bundle, sha256; a stored table (table, schema) or a file (source, filename, unpacked_bytes); input_sha256;
    threshold, interval, strict; folder (kept between attempts), destination.

    Returns rows, refused, sha256, size, schema, warnings, renamed. Raises Invalid where no row can be scored, and BadInput and
    Invalid for tables that cannot be read.
    """
    report.progress(0.0, "reading the table")
    scorer = Scorer.load(request["bundle"], request["sha256"])
    folder = Path(request["folder"])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        found = _source(request, Path(scratch))
        table = TableScorer(
            scorer, found.columns, request.get("threshold"), request.get("interval"), strict=request.get("strict", False)
        )
        size = request.get("chunk_rows") or _chunk_rows(scorer, found)
        parts = Parts(folder / _fingerprint(request, size))
        _score(table, found, parts, size, report)
        if parts.refused == parts.rows:
            raise Invalid(_none_scored(parts))
        report.progress(_SCORING, "writing the result")
        names = _names(found.columns, table)
        destination = Path(request["destination"])
        _Result(found, parts, names, table.schema, size, report).write(destination)
    answers = [Column(name, type_of(dtype), dtype_name(dtype)) for name, dtype in table.schema.items()]
    stored = [replace(one, name=names[one.name]) for one in found.stored]
    return {
        "rows": parts.rows,
        "refused": parts.refused,
        "sha256": hash_of(destination),
        "size": destination.stat().st_size,
        "schema": TableSchema((*stored, *answers)).to_json(),
        "warnings": _warnings(table, parts),
        "renamed": {old: new for old, new in names.items() if old != new},
    }


def _source(request: Mapping[str, Any], scratch: Path) -> Source:
    if request.get("table"):
        return sources.of_table(Path(request["table"]), TableSchema.from_json(request["schema"]))
    limits = Limits(unpacked_bytes=request.get("unpacked_bytes") or Limits.unpacked_bytes)
    return sources.of_file(Path(request["source"]), request["filename"], scratch, limits)


def _chunk_rows(scorer: Scorer, found: Source) -> int:
    width = len(found.columns) + sum(encoder.width for encoder in scorer.ensemble.encoders)
    return max(_LEAST_ROWS, min(_MOST_ROWS, _CELLS // width))


def _fingerprint(request: Mapping[str, Any], size: int) -> str:
    """What parts depend on."""
    said = [
        FORMAT,
        pl.__version__,
        size,
        *(request.get(key) for key in ("sha256", "input_sha256", "threshold", "interval", "schema")),
    ]
    return hashlib.sha256(orjson.dumps(said)).hexdigest()[:32]


def _score(table: TableScorer, found: Source, parts: Parts, size: int, report: Report) -> None:
    """Every chunk that has no part yet."""
    if parts.notes:
        report.log(f"{parts.rows:,} rows were scored by an earlier attempt; it goes on behind them.")
    for chunk in found.chunks(parts.rows, size):
        refused = chunk.get_column(REFUSED) if REFUSED in chunk.columns else None
        parts.add(table.score(chunk, refused))
        report.progress(_SCORING * parts.rows / max(found.rows, 1), f"scored {parts.rows:,} of {found.rows:,} rows")


def _none_scored(parts: Parts) -> Message:
    return Message(
        "no_row_scored",
        "None of the {rows:,} rows can be scored. Of the first: {error}",
        rows=parts.rows,
        error=parts.first_error or "",
    )


def _names(columns: Sequence[Column], table: TableScorer) -> dict[str, str]:
    """The columns' names in the result: their own, unless that is one of an answer (a result that is scored again)."""
    taken = {*table.schema, *(column.name for column in columns)}
    names = {}
    for column in columns:
        name = column.name
        while name in taken and (name in table.schema or name != column.name):
            name = f"original_{name}"
        taken.add(name)
        names[column.name] = name
    return names


def _warnings(table: TableScorer, parts: Parts) -> list[dict[str, Any]]:
    """What is odd about the table: about its columns, and about values by how many."""
    told = [*table.about_columns(), *table.scorer.reader.told(table.scorer.features, parts.oddities)]
    return [{**one, "rows": one.get("rows")} for one in told]


class _Result:
    """Original columns and answers side by side. A generator inside Polars: a refusal is kept aside, to be raised outside."""

    def __init__(
        self, found: Source, parts: Parts, names: Mapping[str, str], answers: Mapping[str, Any], size: int, report: Report
    ) -> None:
        self.found, self.parts, self.size, self.report = found, parts, size, report
        self.columns = [self._column(one.name, names[one.name]) for one in found.columns]
        types = found.scan.select(self.columns).collect_schema()
        self.schema = {**types, **answers}
        self.error: DomainError | None = None

    def _column(self, name: str, wanted: str) -> pl.Expr:
        column = pl.col(name)
        if name in self.found.casts:
            column = pl.when(column.str.strip_chars() != "").then(column).cast(self.found.casts[name])
        return column.alias(wanted)

    def write(self, destination: Path) -> None:
        frames = register_io_source(lambda *_: self._frames(), schema=self.schema)
        try:
            frames.sink_parquet(
                destination, compression="zstd", compression_level=1, row_group_size=self.size, engine="streaming"
            )
        except pl.exceptions.PolarsError:
            if self.error is None:
                raise
        if self.error is not None:
            raise self.error

    def _frames(self) -> Iterator[pl.DataFrame]:
        done = 0
        try:
            for chunk, answers in zip(self.found.chunks(0, self.size), self.parts.frames(), strict=True):
                yield chunk.select(self.columns).hstack(answers)
                done += chunk.height
                share = _SCORING + (1 - _SCORING) * done / self.parts.rows
                self.report.progress(share, f"wrote {done:,} of {self.parts.rows:,} rows")
        except DomainError as error:
            self.error = error
