"""One pass over delimited text: typed rows into Parquet."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.block_observers import AmbiguousFormats, MissingWordCounter, TrimmedCounter, ValueLabels
from coreplex.engines.tabular.read.delimited_plan import Plan, parse, pieces
from coreplex.engines.tabular.read.interface import EXAMPLES, Limits
from coreplex.engines.tabular.read.records import Records
from coreplex.engines.tabular.types import inference
from coreplex.errors.tree import DomainError, Invalid, Message


class Pass:
    """One run over the file: rows go to the writer as long as every cell fits; after that it only surveys."""

    def __init__(self, plan: Plan, source: Path, limits: Limits) -> None:
        self._plan = plan
        self._records = Records(pieces(plan, source, limits), plan.dialect, limits)
        self._limits = limits
        self._error: DomainError | None = None
        self.misfits: dict[int, pl.Series] = {}
        self.again = False
        self.spellings = ValueLabels(plan.rules, plan.unspelled)
        self.missing_words = MissingWordCounter(plan.rules, plan.said)
        self._trimmed = TrimmedCounter()
        self._ambiguities = AmbiguousFormats(plan.rules, plan.inferred)
        self.rows = 0
        self.nulls = [0] * len(plan.names)
        self.findings: list[Finding] = []
        plan.lost.clear()

    def write(self, destination: Path) -> None:
        schema = {name: rule.dtype for name, rule in zip(self._plan.names, self._plan.rules, strict=True)}
        source = register_io_source(lambda *_: self._frames(), schema=schema)
        try:
            source.sink_parquet(destination, compression="snappy", row_group_size=self._plan.group_rows, engine="streaming")
        except pl.exceptions.PolarsError:
            if self._error is None:
                raise
        if self._error is not None:
            raise self._error

    def _frames(self) -> Iterator[pl.DataFrame]:
        """Typed frames. A generator inside Polars: a refusal is kept aside and raised again outside."""
        try:
            for block in self._records:
                frame = self._typed(parse(block, self._plan))
                self.rows += frame.height
                self._check_size()
                if not self.again:
                    yield frame
            names = self._plan.names
            self.findings = [
                *self._ambiguities.findings(names),
                *self._records.findings(),
                *self._plan.footers.findings(self._records.line),
                *self.missing_words.findings(names, self.rows),
                *self._trimmed.findings(names),
            ]
        except DomainError as error:
            self._error = error

    def _check_size(self) -> None:
        if self.rows > self._limits.rows or self.rows * len(self._plan.names) > self._limits.cells:
            raise Invalid(
                Message(
                    "too_many_rows_or_cells",
                    "The table has more than {rows:,} rows or {cells:,} cells. Upload a part of it.",
                    rows=self._limits.rows,
                    cells=self._limits.cells,
                )
            )

    def _typed(self, raw: pl.DataFrame) -> pl.DataFrame:
        """One query types all columns; only columns in which something is unusual are looked at again."""
        rules = dict(zip(raw.columns, self._plan.rules, strict=True))
        quick = raw.select(rule.quick(pl.col(name)).alias(name) for name, rule in rules.items())
        doubts = raw.select(rule.doubt(pl.col(name)).alias(name) for name, rule in rules.items()).row(0)
        columns: list[pl.Series] = []
        for index, (text, typed, rule) in enumerate(zip(raw.iter_columns(), quick.iter_columns(), rules.values(), strict=True)):
            if doubts[index] or typed.null_count() != text.null_count():
                typed, left = rule.read(text)
                self.missing_words.update(index, text, typed)
                if rule.is_text:
                    self._trimmed.update(index, text, typed)
                if left is not None:
                    self._keep(index, left)
                elif index in self._plan.unspelled and text.str.contains(r"^\s*\+").any():
                    self._plan.unspelled.remove(index)
                    self.again = True
            self.spellings.update(index, text)
            self._ambiguities.update(index, text)
            self.nulls[index] += typed.null_count()
            columns.append(typed.alias(text.name))
        return pl.DataFrame(columns)

    def _keep(self, index: int, left: pl.Series) -> None:
        if index in self._plan.forced:
            count, examples = self._plan.lost.get(index, (0, []))
            self._plan.lost[index] = (
                count + left.len(),
                list(dict.fromkeys(examples + left.str.head(200).unique(maintain_order=True).head(EXAMPLES).to_list()))[
                    :EXAMPLES
                ],
            )
            return
        self.again = True
        texts = inference.distinct(left).head(10_000)
        before = self.misfits.get(index)
        self.misfits[index] = texts if before is None else pl.concat([before, texts]).unique(maintain_order=True).head(10_000)
