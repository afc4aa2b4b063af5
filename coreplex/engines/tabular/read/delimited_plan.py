"""How delimited text is to be read: what is known of it before a pass, and its cells as text."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.read.dialect import Dialect
from coreplex.engines.tabular.read.file_encoding import FileEncoding
from coreplex.engines.tabular.read.footers import Footers
from coreplex.engines.tabular.read.interface import Limits, Overrides
from coreplex.engines.tabular.read.records import Block
from coreplex.engines.tabular.read.separator import tabbed
from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.types.inference import Conventions, Inferred
from coreplex.engines.tabular.types.parse_rule import ParseRule
from coreplex.errors.tree import BadInput, Message

_WIDE, _WIDER = 500, 4
"""From so many columns on blocks are so many times as large: whatever its rows, each column of a block costs something."""


@dataclass
class Plan:
    """The rules of each column, and all that was learned while reading."""

    dialect: Dialect
    encoding: FileEncoding
    names: list[str]
    rules: list[ParseRule]
    overrides: Overrides
    footers: Footers
    old_macintosh: bool
    """Lines end in CR alone."""
    inferred: dict[int, Inferred] = field(default_factory=dict)
    forced: dict[int, ColumnType] = field(default_factory=dict)
    misfits: dict[int, pl.Series] = field(default_factory=dict)
    group_rows: int = 100_000
    unspelled: set[int] = field(default_factory=set)
    """Columns of plain integers, each of which has one spelling."""
    conventions: Conventions = field(default_factory=Conventions)
    lost: dict[int, tuple[int, list[str]]] = field(default_factory=dict)

    def found(self, index: int, inferred: Inferred, usual_missing: tuple[str, ...] | None = None) -> None:
        """`usual`: which words are missing in the column, where nobody says so (`Column.missing`)."""

        def settled(rule: ParseRule) -> ParseRule:
            rule = rule.with_unit(self.dialect.units[index]) if self.dialect.units else rule
            return replace(rule, missing=self.overrides.missing_of(self.names[index], rule.kind, usual_missing))

        self.rules[index] = settled(inferred.rule)
        self.inferred[index] = Inferred(self.rules[index], settled(inferred.other) if inferred.other else None)

    @property
    def said(self) -> set[int]:
        """The columns of which a person says what is missing."""
        return {index for index, name in enumerate(self.names) if name in self.overrides.missing}


def pieces(plan: Plan, source: Path, limits: Limits) -> Iterator[bytes]:
    """The text as UTF-8, without what stands below the table."""
    read = plan.encoding.chunks(source, limits.block_bytes * (_WIDER if len(plan.names) > _WIDE else 1))
    if plan.old_macintosh:
        read = (piece.replace(b"\r", b"\n") for piece in read)
    left, held = plan.footers.size, b""
    for piece in tabbed(read) if plan.dialect.blanks else read:
        held += piece
        if len(held) > left:
            yield held[: len(held) - left]
            held = held[len(held) - left :]


def parse(block: Block, plan: Plan) -> pl.DataFrame:
    """The cells of a block as text. The number of rows must be what the record scan counted."""
    quote = plan.dialect.quote if plan.dialect.quote.encode() in block.data else None
    frame = pl.read_csv(
        io.BytesIO(block.data),
        has_header=False,
        schema=dict.fromkeys(plan.names, pl.String),
        separator=plan.dialect.separator,
        quote_char=quote,
    )
    if frame.height != block.rows:
        raise BadInput(
            Message(
                "rows_run_together", "The rows from line {line} on cannot be told apart. Check the quotes there.", line=block.line
            )
        )
    return frame
