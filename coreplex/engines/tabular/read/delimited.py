"""Reads delimited text (CSV) into typed Parquet: one pass when all cells fit the types of the sample, else another.

Bounded memory: blocks of a few megabytes are checked (`records`), parsed as text by Polars, typed by the rules and
handed to the streaming Parquet writer. If a cell beyond the sample fits no rule, the rest of the file is surveyed,
the rules are widened once for all such columns, and the pass is repeated: no cell is dropped to save time.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import conversion, dialect, file_encoding, footers
from coreplex.engines.tabular.read.block_observers import (
    AmbiguousFormats,
    MissingWordCounter,
    TrimmedCounter,
    ValueLabels,
    missing_in_sample,
)
from coreplex.engines.tabular.read.dialect import Dialect
from coreplex.engines.tabular.read.file_encoding import FileEncoding
from coreplex.engines.tabular.read.footers import Footers
from coreplex.engines.tabular.read.headers import unique_names
from coreplex.engines.tabular.read.interface import EXAMPLES, Limits, Overrides, row_group_size, too_many_columns
from coreplex.engines.tabular.read.records import Block, Records
from coreplex.engines.tabular.read.separator import tabbed
from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.types import inference, vocabulary
from coreplex.engines.tabular.types.inference import Conventions, Inferred
from coreplex.engines.tabular.types.parse_rule import STRING, ParseRule
from coreplex.engines.tabular.types.vocabulary import MISSING_WORDS
from coreplex.errors.tree import BadInput, DomainError, Invalid, Message

_HEAD_BYTES = 1 << 20
_WIDE, _WIDER = 500, 4
"""From so many columns on blocks are so many times as large: whatever its rows, each column of a block costs something."""
_PASSES = 4
_FEW_ROWS = 1_000


@dataclass
class DelimitedTable:
    """What is known of a table that was read, besides the Parquet file; lists are by column number, counts in rows or
    cells.
    """

    names: list[str]
    written: list[str]
    rules: list[ParseRule]
    rows: int
    nulls: list[int]
    findings: list[Finding]
    spellings: ValueLabels
    separator: str


@dataclass
class _Plan:
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


def read_delimited(
    source: Path, destination: Path, overrides: Overrides, limits: Limits, given: Dialect | None = None
) -> DelimitedTable:
    """Reads `source` into typed Parquet at `destination`. BadInput where it cannot be understood, Invalid where there
    is no table.

    `given` is how the file is written where that is known: UTF-8 made from another format.
    """
    found = FileEncoding("utf-8") if given else file_encoding.detect_encoding(source)
    blank, head, whole = _head(found, source)
    written = given or dialect.detect_dialect(_lines(head, whole))
    written = replace(written, skip_lines=written.skip_lines + blank)
    if written.width > limits.columns:
        raise Invalid(too_many_columns(written.width, limits.columns))
    names, findings = unique_names(written.names, written.width, limits)
    if written.only_names and whole:
        raise Invalid(
            Message("only_names", "The file has a line of column names and no rows. Upload a table with at least one row.")
        )
    old_macintosh = b"\r" in head[:-1] and b"\n" not in head
    below = Footers() if written.rows_only else _footers(found, source, written, "\r" if old_macintosh else "\n")
    plan = _Plan(written, found, names, [STRING] * len(names), overrides, below, old_macintosh)
    _infer(plan, source, limits)
    findings = [*found.findings, *written.findings, *findings]
    for attempt in range(_PASSES):
        done = _Pass(plan, source, limits)
        done.write(destination)
        if not done.again:
            break
        _widen(plan, source, limits, done.misfits, to_text=attempt >= _PASSES - 2)
    if _reconsider(plan, done, destination):
        done = _Pass(plan, source, limits)
        done.write(destination)
    if not done.rows:
        raise Invalid(
            Message(
                "no_rows_below_names",
                "The file has no rows below its line of column names. Upload a table with at least one row.",
            )
        )
    original = list(written.names or [""] * written.width)
    rules = [_final(plan, index) for index in range(len(names))]
    clocks = [conversion.in_seconds(name) for name, rule in zip(names, rules, strict=True) if rule.is_clock]
    findings += [*done.findings, *clocks, *_losses(plan, done)]
    return DelimitedTable(
        names, original, rules, done.rows, done.nulls, findings, done.spellings, " " if written.blanks else written.separator
    )


def _head(found: FileEncoding, source: Path) -> tuple[int, bytes, bool]:
    """(blank lines above, then the start of the file with one line end at least; True if that is all of it)."""
    blank, head = 0, b""
    for piece in found.chunks(source, _HEAD_BYTES):
        if not head and not piece.strip():
            blank += piece.count(b"\n") or piece.count(b"\r")
            continue
        head += piece
        if len(head) >= _HEAD_BYTES and (b"\n" in head or b"\r" in head or len(head) > 16 * _HEAD_BYTES):
            break
    return blank, head, len(head) < _HEAD_BYTES


def _lines(head: bytes, whole: bool) -> str:
    """The whole lines of the head, at least one, as text."""
    cut = head.rfind(b"\n") + 1
    lines = head if whole or not cut else head[:cut]
    return lines.decode("utf-8", "ignore").replace("\r\n", "\n").replace("\r", "\n")


def _footers(found: FileEncoding, source: Path, written: Dialect, line_end: str) -> Footers:
    tail, whole = found.tail(source, footers.BYTES, line_end)
    tail = tail.replace("\r", "\n") if line_end == "\r" else tail
    tail = b"".join(tabbed([tail.encode()])).decode() if written.blanks else tail
    rows = tail.split("\n", written.skip_lines)[-1] if whole else tail
    return footers.find_footers(rows, written, whole=whole)


def _pieces(plan: _Plan, source: Path, limits: Limits) -> Iterator[bytes]:
    """The text as UTF-8, without what stands below the table."""
    pieces = plan.encoding.chunks(source, limits.block_bytes * (_WIDER if len(plan.names) > _WIDE else 1))
    if plan.old_macintosh:
        pieces = (piece.replace(b"\r", b"\n") for piece in pieces)
    left, held = plan.footers.size, b""
    for piece in tabbed(pieces) if plan.dialect.blanks else pieces:
        held += piece
        if len(held) > left:
            yield held[: len(held) - left]
            held = held[len(held) - left :]


def _parse(block: Block, plan: _Plan) -> pl.DataFrame:
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


def _sample(plan: _Plan, source: Path, limits: Limits) -> tuple[pl.DataFrame | None, bool]:
    """(the first rows as text, None if there are none; True if that is the whole file)."""
    frames: list[pl.DataFrame] = []
    rows, most = 0, min(limits.sample_rows, max(limits.sample_cells // max(len(plan.names), 1), 1))
    for block in Records(_pieces(plan, source, limits), plan.dialect, limits):
        frames.append(_parse(block, plan).head(most - rows))
        rows += block.rows
        if rows > most:
            break
    return (pl.concat(frames) if frames else None), rows <= most


def _infer(plan: _Plan, source: Path, limits: Limits) -> None:
    """Fills in the plan's rules from the first rows."""
    sample, whole = _sample(plan, source, limits)
    if sample is None:
        return
    plan.group_rows = row_group_size(sample)
    types, missing = plan.overrides.types, plan.overrides.texts
    plain = inference.plain_numbers(sample.select(name for name in sample.columns if not missing(name)))
    texts = {
        name: inference.distinct(sample.get_column(name), missing(name)) for name in sample.columns if plain.get(name) is None
    }
    plan.conventions = inference.find_conventions(
        list(texts.values()), points=sum(rule.kind == "float" for rule in plain.values() if rule)
    )
    if plan.conventions.decimal_comma:
        texts |= {
            name: inference.distinct(sample.get_column(name)) for name, rule in plain.items() if rule and rule.kind == "float"
        }
    for index, name in enumerate(plan.names):
        inferred = (
            inference.infer(name, texts[name], plan.conventions)
            if name in texts
            else inference.Inferred(plain.get(name) or STRING)
        )
        if name in types:
            text = texts[name] if name in texts else inference.distinct(sample.get_column(name))
            plan.forced[index] = types[name]
            inferred = inference.Inferred(inference.forced(types[name], inferred.rule, text))
        elif not whole or (name in texts and texts[name].is_empty()):
            inferred = inference.undecided(inferred, texts.get(name)) or inferred
        plan.found(index, inferred, missing_in_sample(sample.to_series(index)) if inferred.rule.kind == "string" else None)
        if inferred.rule.is_plain_integer and not sample.get_column(name).str.starts_with("+").any():
            plan.unspelled.add(index)


def _widen(plan: _Plan, source: Path, limits: Limits, misfits: Mapping[int, pl.Series], to_text: bool) -> None:
    """Judges columns again with the cells that did not fit beside those of the sample, as if all had stood there."""
    sample, _ = _sample(plan, source, limits)
    for index, texts in misfits.items():
        seen = [plan.misfits[index]] if index in plan.misfits else []
        plan.unspelled.discard(index)
        plan.misfits[index] = pl.concat([*seen, texts]).unique(maintain_order=True)
        first = [] if sample is None else [inference.distinct(sample.to_series(index), plan.overrides.texts(plan.names[index]))]
        known = pl.concat([*first, plan.misfits[index]]).unique(maintain_order=True)
        plan.found(index, inference.Inferred(STRING) if to_text else inference.infer(plan.names[index], known, plan.conventions))


class _Pass:
    """One run over the file: rows go to the writer as long as every cell fits; after that it only surveys."""

    def __init__(self, plan: _Plan, source: Path, limits: Limits) -> None:
        self._plan = plan
        self._records = Records(_pieces(plan, source, limits), plan.dialect, limits)
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
                frame = self._typed(_parse(block, self._plan))
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


def _reconsider(plan: _Plan, done: _Pass, table: Path) -> bool:
    """Which missing words are categories, now that all of the table is known. True if it must be read again for
    that.
    """
    changed = False
    for index, meaning in done.missing_words.missing_by_column(table, plan.names).items():
        before, kind = (
            plan.rules[index],
            None if index in plan.forced or meaning is None else _yes_and_no(table, plan.names[index]),
        )
        plan.found(index, Inferred(kind or STRING), tuple(sorted(vocabulary.UNKNOWN)) if kind else meaning)
        changed |= plan.rules[index] != before
    return changed


def _yes_and_no(table: Path, name: str) -> ParseRule | None:
    """The rule of a column of text that holds yes and no besides missing words, once those are known to be missing."""
    column = pl.scan_parquet(table, glob=False).select(name)
    for part in (column.head(_FEW_ROWS), column.unique()):
        texts = inference.distinct(part.collect(engine="streaming").to_series(), MISSING_WORDS).str.to_lowercase().unique()
        if texts.len() > 2 or not texts.is_in(sorted(vocabulary.YES | vocabulary.NO)).all():
            return None
    pair = vocabulary.boolean_pair(set(texts))
    return ParseRule("boolean", pair) if pair else None


def _final(plan: _Plan, index: int) -> ParseRule:
    """The rule as the schema keeps it: what nothing decided is text. Where nothing stands, every word means so."""
    rule = plan.rules[index]
    if rule.is_empty:
        rule = replace(rule, missing=plan.overrides.missing_of(plan.names[index], "string", MISSING_WORDS))
    return replace(rule, kind="string", format=None) if rule.is_text else rule


def _losses(plan: _Plan, done: _Pass) -> list[Finding]:
    """Cells that did not fit a type the user ordered."""
    return [
        plan.overrides.loss_finding(plan.names[index], plan.rules[index].kind, count, done.rows - done.nulls[index], examples)
        for index, (count, examples) in plan.lost.items()
    ]
