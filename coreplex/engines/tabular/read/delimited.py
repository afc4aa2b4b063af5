"""Reads delimited text (CSV) into typed Parquet: one pass when all cells fit the types of the sample, else another.

Bounded memory: blocks of a few megabytes are checked (`records`), parsed as text by Polars, typed by the rules and
handed to the streaming Parquet writer. If a cell beyond the sample fits no rule, the rest of the file is surveyed,
the rules are widened once for all such columns, and the pass is repeated: no cell is dropped to save time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import conversion, dialect, file_encoding, footers
from coreplex.engines.tabular.read.block_observers import ValueLabels, missing_in_sample
from coreplex.engines.tabular.read.delimited_pass import Pass
from coreplex.engines.tabular.read.delimited_plan import Plan, parse, pieces
from coreplex.engines.tabular.read.dialect import Dialect
from coreplex.engines.tabular.read.file_encoding import FileEncoding
from coreplex.engines.tabular.read.footers import Footers
from coreplex.engines.tabular.read.headers import unique_names
from coreplex.engines.tabular.read.interface import Limits, Overrides, row_group_size, too_many_columns
from coreplex.engines.tabular.read.records import Records
from coreplex.engines.tabular.read.separator import tabbed
from coreplex.engines.tabular.types import inference, vocabulary
from coreplex.engines.tabular.types.inference import Inferred
from coreplex.engines.tabular.types.parse_rule import STRING, ParseRule
from coreplex.engines.tabular.types.vocabulary import MISSING_WORDS
from coreplex.errors.tree import Invalid, Message

_HEAD_BYTES = 1 << 20
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


def read_delimited(
    source: Path, destination: Path, overrides: Overrides, limits: Limits, given: Dialect | None = None
) -> DelimitedTable:
    """Reads `source` into typed Parquet at `destination`. BadInput where it cannot be understood, Invalid where there
    is no table.

    `given` is how the file is written where that is known: UTF-8 made from another format.
    """
    found = FileEncoding("utf-8") if given else file_encoding.detect_encoding(source)
    blank, head, whole = file_head(found, source)
    written = given or dialect.detect_dialect(head_lines(head, whole))
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
    plan = Plan(written, found, names, [STRING] * len(names), overrides, below, old_macintosh)
    _infer(plan, source, limits)
    findings = [*found.findings, *written.findings, *findings]
    for attempt in range(_PASSES):
        done = Pass(plan, source, limits)
        done.write(destination)
        if not done.again:
            break
        _widen(plan, source, limits, done.misfits, to_text=attempt >= _PASSES - 2)
    if _reconsider(plan, done, destination):
        done = Pass(plan, source, limits)
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


def file_head(found: FileEncoding, source: Path) -> tuple[int, bytes, bool]:
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


def head_lines(head: bytes, whole: bool) -> str:
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


def _sample(plan: Plan, source: Path, limits: Limits) -> tuple[pl.DataFrame | None, bool]:
    """(the first rows as text, None if there are none; True if that is the whole file)."""
    frames: list[pl.DataFrame] = []
    rows, most = 0, min(limits.sample_rows, max(limits.sample_cells // max(len(plan.names), 1), 1))
    for block in Records(pieces(plan, source, limits), plan.dialect, limits):
        frames.append(parse(block, plan).head(most - rows))
        rows += block.rows
        if rows > most:
            break
    return (pl.concat(frames) if frames else None), rows <= most


def _infer(plan: Plan, source: Path, limits: Limits) -> None:
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


def _widen(plan: Plan, source: Path, limits: Limits, misfits: Mapping[int, pl.Series], to_text: bool) -> None:
    """Judges columns again with the cells that did not fit beside those of the sample, as if all had stood there."""
    sample, _ = _sample(plan, source, limits)
    for index, texts in misfits.items():
        seen = [plan.misfits[index]] if index in plan.misfits else []
        plan.unspelled.discard(index)
        plan.misfits[index] = pl.concat([*seen, texts]).unique(maintain_order=True)
        first = [] if sample is None else [inference.distinct(sample.to_series(index), plan.overrides.texts(plan.names[index]))]
        known = pl.concat([*first, plan.misfits[index]]).unique(maintain_order=True)
        plan.found(index, inference.Inferred(STRING) if to_text else inference.infer(plan.names[index], known, plan.conventions))


def _reconsider(plan: Plan, done: Pass, table: Path) -> bool:
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


def _final(plan: Plan, index: int) -> ParseRule:
    """The rule as the schema keeps it: what nothing decided is text. Where nothing stands, every word means so."""
    rule = plan.rules[index]
    if rule.is_empty:
        rule = replace(rule, missing=plan.overrides.missing_of(plan.names[index], "string", MISSING_WORDS))
    return replace(rule, kind="string", format=None) if rule.is_text else rule


def _losses(plan: Plan, done: Pass) -> list[Finding]:
    """Cells that did not fit a type the user ordered."""
    return [
        plan.overrides.loss_finding(plan.names[index], plan.rules[index].kind, count, done.rows - done.nulls[index], examples)
        for index, (count, examples) in plan.lost.items()
    ]
