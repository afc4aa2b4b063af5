"""Reading delimited text (CSV) into typed Parquet: one pass when the sample told the truth, another when it did not.

Bounded memory: blocks of a few megabytes are checked (`records`), parsed as text by Polars, typed by the rules and handed
to the streaming Parquet writer. If a cell beyond the sample fits no rule, the rest of the file is surveyed, the rules are
widened once for all such columns, and the pass is repeated: no cell is dropped to save time.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from coreplex.engines.tabular import conversion, dates, dialect, encoding, inference
from coreplex.engines.tabular.absence import Absences
from coreplex.engines.tabular.dialect import Dialect
from coreplex.engines.tabular.encoding import Encoding
from coreplex.engines.tabular.inference import Habit
from coreplex.engines.tabular.names import unique_names
from coreplex.engines.tabular.notes import Limits, Note
from coreplex.engines.tabular.records import Block, Records
from coreplex.engines.tabular.rules import STRING, Rule
from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.spelling import Spellings
from coreplex.engines.tabular.storage import row_group_size
from coreplex.errors import BadInput, DomainError, Invalid

_SAMPLE_ROWS = 20_000
_HEAD_BYTES = 1 << 20
_PASSES = 4


@dataclass
class Stored:
    """What a pass leaves behind, besides the Parquet file."""

    names: list[str]
    written: list[str]
    rules: list[Rule]
    rows: int
    nulls: list[int]
    notes: list[Note]
    spellings: Spellings


@dataclass
class _Plan:
    dialect: Dialect
    encoding: Encoding
    names: list[str]
    rules: list[Rule]
    forced: list[bool]
    group_rows: int = 100_000
    spelled: dict[int, bool] = field(default_factory=dict)
    habit: Habit = field(default_factory=Habit)
    lost: dict[int, tuple[int, list[str]]] = field(default_factory=dict)


def read(source: Path, destination: Path, overrides: Mapping[str, ColumnType], limits: Limits) -> Stored:
    """Reads `source` into `destination`. BadInput where it cannot be understood, Invalid where there is no table."""
    # The parser's own limit, 131,072 characters a cell, is only its default: a cell may be as long as a record.
    csv.field_size_limit(limits.line_bytes)
    found = encoding.detect(source)
    head, whole = _head(found, source)
    written = dialect.detect(head)
    if written.width > limits.columns:
        raise Invalid(f"The table has {written.width} columns; at most {limits.columns} can be used.")
    names, notes = unique_names(written.names, written.width, limits)
    if written.only_names and whole:
        raise Invalid("The file has a line of column names and no rows. Upload a table with at least one row.")
    plan = _Plan(written, found, names, [STRING] * len(names), [False] * len(names))
    notes = [*found.notes, *written.notes, *notes, *_infer(plan, source, overrides, limits)]
    for attempt in range(_PASSES):
        last = attempt == _PASSES - 1
        done = _Pass(plan, source, limits)
        done.write(destination)
        if not done.misfits:
            break
        _widen(plan, done.misfits, to_text=last or attempt == _PASSES - 2)
    if not done.rows:
        raise Invalid("The file has no rows below its line of column names. Upload a table with at least one row.")
    original = list(written.names or [""] * written.width)
    return Stored(names, original, plan.rules, done.rows, done.nulls, [*notes, *done.notes, *_losses(plan)], done.spellings)


def _head(found: Encoding, source: Path) -> tuple[str, bool]:
    """(whole lines from the start of the file, at least one; True if that is all of it)."""
    head = b""
    for piece in found.chunks(source, _HEAD_BYTES):
        head += piece
        if len(head) >= _HEAD_BYTES and (b"\n" in head or b"\r" in head or len(head) > 16 * _HEAD_BYTES):
            break
    whole = len(head) < _HEAD_BYTES
    cut = head.rfind(b"\n") + 1
    lines = head if whole or not cut else head[:cut]
    return lines.decode("utf-8", "ignore").replace("\r\n", "\n").replace("\r", "\n"), whole


def _pieces(plan: _Plan, source: Path) -> Iterator[bytes]:
    pieces = plan.encoding.chunks(source)
    first = next(pieces, b"")
    old_macintosh = b"\r" in first and b"\n" not in first
    for piece in chain([first], pieces):
        yield piece.replace(b"\r", b"\n") if old_macintosh else piece


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
        raise BadInput(f"The rows from line {block.line} on cannot be told apart. Check the quotes there.")
    return frame


def _infer(plan: _Plan, source: Path, overrides: Mapping[str, ColumnType], limits: Limits) -> list[Note]:
    """Fills in the plan's rules from the first rows."""
    frames: list[pl.DataFrame] = []
    for block in Records(_pieces(plan, source), plan.dialect, limits):
        frames.append(_parse(block, plan).head(_SAMPLE_ROWS))
        if sum(frame.height for frame in frames) >= _SAMPLE_ROWS:
            break
    if not frames:
        return []
    sample = pl.concat(frames)
    plan.group_rows = row_group_size(sample)
    plain = inference.plain_numbers(sample)
    texts = {name: inference.distinct(sample.get_column(name)) for name in sample.columns if plain.get(name) is None}
    plan.habit = inference.habit(list(texts.values()), points=sum(rule.kind == "float" for rule in plain.values() if rule))
    if plan.habit.decimal_comma:
        texts |= {
            name: inference.distinct(sample.get_column(name)) for name, rule in plain.items() if rule and rule.kind == "float"
        }
    findings = {name: inference.infer(name, text, plan.habit) for name, text in texts.items()}
    for index, name in enumerate(plan.names):
        plan.rules[index] = findings[name].rule if name in findings else plain[name] or STRING
        if name in overrides:
            text = texts[name] if name in texts else inference.distinct(sample.get_column(name))
            plan.rules[index] = inference.forced(overrides[name], plan.rules[index], text)
            plan.forced[index] = True
        signed = sample.get_column(name).str.starts_with("+").any() if plan.rules[index].is_plain_integer else True
        plan.spelled[index] = bool(signed)
    ambiguous = [note for name, finding in findings.items() if name not in overrides and (note := _ambiguity(name, finding))]
    return ambiguous + [
        note
        for name, rule in zip(plan.names, plan.rules, strict=True)
        if name in texts and (note := _offset(name, rule, texts[name]))
    ]


def _ambiguity(name: str, finding: inference.Finding) -> Note | None:
    if finding.other is None:
        return None
    evidence = {"chosen": finding.rule.format, "other": finding.other.format}
    if finding.rule.kind == "datetime" and finding.other.kind == "datetime":
        order = "day first" if (finding.rule.format or "").startswith("%d") else "month first"
        message = (
            f"The dates of {name!r} can be read day first or month first; they were read {order}. Upload them as "
            "YYYY-MM-DD to be sure."
        )
        return Note("ambiguous_dates", "medium", message, evidence, name)
    message = f"The numbers of {name!r} can be read in two ways; they were read as {finding.rule.kind}s. Check a few of them."
    return Note("ambiguous_numbers", "medium", message, evidence, name)


def _offset(name: str, rule: Rule, texts: pl.Series) -> Note | None:
    pattern = (rule.kind == "datetime" and rule.format) or ""
    if not dates.has_offset(pattern) or texts.str.contains(r"[+-]00:?00$").all():
        return None
    return conversion.offset_lost(name, pattern)


class _Pass:
    """One run over the file: rows go to the writer as long as every cell fits; after that it only surveys."""

    def __init__(self, plan: _Plan, source: Path, limits: Limits) -> None:
        self._plan = plan
        self._records = Records(_pieces(plan, source), plan.dialect, limits)
        self._limits = limits
        self._error: DomainError | None = None
        self.misfits: dict[int, pl.Series] = {}
        self.spellings = Spellings(plan.rules, plan.spelled)
        self._absences = Absences(plan.rules)
        self.rows = 0
        self.nulls = [0] * len(plan.names)
        self.notes: list[Note] = []
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
                if not self.misfits:
                    yield frame
            self.notes = [*self._records.notes(), *self._absences.notes(self._plan.names, self.rows)]
        except DomainError as error:
            self._error = error

    def _check_size(self) -> None:
        if self.rows > self._limits.rows or self.rows * len(self._plan.names) > self._limits.cells:
            raise Invalid(
                f"The table has more than {self._limits.rows:,} rows or {self._limits.cells:,} cells. Upload a part of it."
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
                self._absences.see(index, text, typed)
                if left is not None:
                    self._keep(index, left)
            self.spellings.see(index, text)
            self.nulls[index] += typed.null_count()
            columns.append(typed.alias(text.name))
        return pl.DataFrame(columns)

    def _keep(self, index: int, left: pl.Series) -> None:
        if self._plan.forced[index]:
            count, examples = self._plan.lost.get(index, (0, []))
            self._plan.lost[index] = (count + left.len(), (examples + left.head(5).str.head(200).to_list())[:5])
            return
        texts = inference.distinct(left).head(10_000)
        before = self.misfits.get(index)
        self.misfits[index] = texts if before is None else pl.concat([before, texts]).unique(maintain_order=True).head(10_000)


def _widen(plan: _Plan, misfits: Mapping[int, pl.Series], to_text: bool) -> None:
    for index, texts in misfits.items():
        plan.rules[index] = STRING if to_text else inference.wider(plan.rules[index], texts, plan.habit)


def _losses(plan: _Plan) -> list[Note]:
    """Cells that did not fit a type the user ordered."""
    return [
        Note(
            "mixed_types",
            "medium",
            (
                f"{count} cells of {plan.names[index]!r} are no {plan.rules[index].kind} and were taken as missing: "
                f"{', '.join(map(repr, examples[:3]))}."
            ),
            {"examples": examples},
            plan.names[index],
            count,
        )
        for index, (count, examples) in plan.lost.items()
    ]
