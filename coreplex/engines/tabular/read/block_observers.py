"""Follows the columns of a delimited file block by block: what of their cells is to be known, or told, at the end.

`ValueLabels`: how typed values were spelled, so that answers can be spelled the same way. `AmbiguousFormats`: what can
be read in two ways, times whose local clock is lost, numbers that lack their unit. `MissingWordCounter`: words such as
`NA` and `unknown`, and whether they mean missing (`NA` is North America to some, `None` a kind of garage).
`TrimmedCounter`: texts that lost blanks at their ends, as `" >50K"` is the class `>50K`, in files as in the inputs of a
prediction. All count the same however the file is cut into blocks.
"""

import re
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.engines.tabular.read import conversion
from coreplex.engines.tabular.schema import canonical
from coreplex.engines.tabular.types import dates, vocabulary
from coreplex.engines.tabular.types.inference import Inferred
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.parse_rule import ParseRule, is_missing
from coreplex.engines.tabular.types.vocabulary import AMBIGUOUS_WORDS, MISSING_WORDS

MOST_LABELS = 200
"""Only columns with few distinct values are worth it: classes of a target, yes and no."""
_SPELLINGS = 2 * MOST_LABELS
_MANY = 0.05
_VERY_MANY = 0.2
# Zero is zero in every unit.
_BARE = r"^\s*[(+-]*[\d.,' ]*[1-9][\d.,' ]*\)?\s*$"


class ValueLabels:
    """Counts the distinct texts of typed columns while they stay few."""

    def __init__(self, rules: Sequence[ParseRule], unspelled: Container[int] = ()) -> None:
        self._rules = rules
        self._seen: dict[int, Counter[str]] = {
            index: Counter() for index, rule in enumerate(rules) if not rule.is_text and index not in unspelled
        }

    def update(self, index: int, raw: pl.Series) -> None:
        """Takes the texts of the next block of column number `index`."""
        seen = self._seen.get(index)
        if seen is None:
            return
        counts = raw.drop_nulls().value_counts()
        if counts.height <= _SPELLINGS:
            seen.update(dict(counts.iter_rows()))
        if max(counts.height, len(seen)) > _SPELLINGS:
            del self._seen[index]

    def labels(self, index: int) -> dict[str, str]:
        """Canonical text → commonest spelling (the first in the alphabet among equals), where they differ.

        Empty for columns with many values.
        """
        seen = self._seen.get(index)
        if not seen:
            return {}
        spelled = pl.Series(sorted(seen, key=lambda text: (-seen[text], text)), dtype=pl.String)
        spelled = spelled.filter(~is_missing(spelled))
        values, _ = self._rules[index].read(spelled)
        best: dict[str, str] = {}
        for text, value in zip(spelled.to_list(), values.to_list(), strict=True):
            if value is not None:
                best.setdefault(canonical(value), text)
        if len(best) > MOST_LABELS:
            return {}
        return {key: text.strip() for key, text in best.items() if text.strip() != key}


class AmbiguousFormats:
    """Follows, block by block, the columns that can be read in two ways until a cell allows only one."""

    def __init__(self, rules: Sequence[ParseRule], inferred: Mapping[int, Inferred]) -> None:
        self._open = {index: one for index, one in inferred.items() if one.other and one.rule == rules[index]}
        self._zones = {index: rule.format or "" for index, rule in enumerate(rules) if _has_offset(rule)}
        self._shifted: set[int] = set()
        self._bare = {index: 0 for index, rule in enumerate(rules) if _unit(rule)}
        self._rules = rules

    def update(self, index: int, raw: pl.Series) -> None:
        """Takes the texts of the next block of column number `index`."""
        inferred = self._open.get(index)
        if inferred and inferred.other and inferred.other.read(raw)[1] is not None:
            del self._open[index]
        if index in self._zones and index not in self._shifted:
            offset = raw.str.extract(r":\d\d(?:[.,]\d+)? ?([+-]\d\d(?::?\d\d)?)\]?\s*$")
            if offset.str.contains("[1-9]").any():
                self._shifted.add(index)

        if index in self._bare:
            without = raw.filter(~raw.str.contains(_unit(self._rules[index]), literal=True))
            self._bare[index] += int(without.str.contains(_BARE).sum())

    def findings(self, names: Sequence[str]) -> Iterator[Finding]:
        """What is still open at the end of the file; `names` by column number."""
        for index, inferred in self._open.items():
            yield _ambiguity(names[index], inferred)
        for index in sorted(self._shifted):
            yield conversion.offset_lost(names[index], self._zones[index])
        for index, cells in self._bare.items():
            if cells:
                unit = _unit(self._rules[index])
                message = f"{cells:,} cells of {names[index]!r} have no unit; they were taken as {unit} like the others."
                yield Finding("mixed_units", "low", message, evidence={"unit": unit}, column=names[index], affected_rows=cells)


def _unit(rule: ParseRule) -> str:
    """The unit that stands beside the numbers."""
    return rule.unit if rule.unit and NumberFormat.of(rule.format).decorated else ""


def _has_offset(rule: ParseRule) -> bool:
    return rule.kind == "datetime" and dates.has_offset(rule.format or "")


def _ambiguity(name: str, inferred: Inferred) -> Finding:
    other = inferred.other
    evidence = {"chosen": inferred.rule.format, "other": other and other.format}
    if inferred.rule.kind == "datetime" and other and other.kind == "datetime":
        order = "day first" if (inferred.rule.format or "").startswith("%d") else "month first"
        message = (
            f"The dates of {name!r} can be read day first or month first; they were read {order}. Upload them as "
            "YYYY-MM-DD to be sure."
        )
        return Finding("ambiguous_dates", "medium", message, evidence=evidence, column=name)
    message = f"The numbers of {name!r} can be read in two ways; they were read as {inferred.rule.kind}s. Check a few of them."
    return Finding("ambiguous_numbers", "medium", message, evidence=evidence, column=name)


class MissingWordCounter:
    """Counts words for missing in columns of text, and of yes and no; in numbers and dates they can mean nothing else.

    `said`: the columns of which a person said what is missing; nothing is asked there.
    """

    def __init__(self, rules: Sequence[ParseRule], said: Collection[int] = ()) -> None:
        asked = [index for index, rule in enumerate(rules) if (rule.is_text or rule.kind == "boolean") and index not in said]
        self._taken: Mapping[int, Counter[str]] = {index: Counter() for index in asked}
        self._rules = rules
        self._met: set[int] = set()

    def update(self, index: int, raw: pl.Series, typed: pl.Series) -> None:
        """Takes the next block of column number `index`: texts as in the file, and typed."""
        if index not in self._taken:
            return
        text = raw.str.strip_chars()
        rule = self._rules[index]
        if index not in self._met and rule.is_text and not rule.is_empty and text.is_in(MISSING_WORDS).any():
            self._met.add(index)
        taken = text.filter(typed.is_null() & text.is_in(sorted(AMBIGUOUS_WORDS)))
        self._taken[index].update(dict(taken.value_counts().iter_rows()))

    def missing_by_column(self, table: Path, names: Sequence[str]) -> dict[int, tuple[str, ...] | None]:
        """`Column.missing` of the columns of text in which missing words occur, judged by all that is stored beside
        them.
        """
        scan = pl.scan_parquet(table, glob=False)
        return {index: _usual_missing(scan.select(pl.col(names[index])), self._taken[index]) for index in sorted(self._met)}

    def findings(self, names: Sequence[str], rows: int) -> list[Finding]:
        """The columns in which such words are 5 % of the `rows` rows at least; `names` by column number."""
        return [
            _words_finding(names[index], seen, rows, self._rules[index].kind == "boolean")
            for index, seen in self._taken.items()
            if seen and seen.total() >= _MANY * rows
        ]


def missing_in_sample(raw: pl.Series) -> tuple[str, ...] | None:
    """What the first rows of a column of text say of its missing words: a guess that spares a second pass when it
    holds.
    """
    text = raw.str.strip_chars()
    return _usual_missing(text.to_frame().lazy()) if text.is_in(MISSING_WORDS).any() else None


def _usual_missing(column: pl.LazyFrame, taken: Iterable[str] = ()) -> tuple[str, ...] | None:
    """Which missing words are missing in one column of trimmed texts (`Column.missing`), by the other texts in it.

    Beside words, `None` and `unknown` are categories (None: the usual words are missing). Beside codes, numbers that
    are not all numbers, and nothing at all they can only be missing. Where all else is signs (`+`), a dash is one of
    them. Beside two words, such as yes and no, several missing words are missing: nobody has three kinds of
    nothing.

    `taken`: such words that the column held before they were taken as missing.
    """
    rest = pl.all().filter(~pl.all().is_in(sorted(vocabulary.MISSING)))
    asked = [rest.count().name.prefix("cells"), rest.str.contains(r"\p{L}").sum().name.prefix("letters")]
    asked += [rest.str.contains(r"[\p{L}\p{N}]").any().name.prefix("more")]
    asked += [rest.str.to_lowercase().n_unique().name.prefix("levels")]
    cells, letters, more, levels = column.select(asked).collect(engine="streaming").row(0)
    if cells and not more:
        return tuple(sorted(sign for sign in vocabulary.SIGNS if "-" not in sign))
    if 2 * letters < max(cells, 1):
        return MISSING_WORDS
    return MISSING_WORDS if levels == 2 and _say_the_same({*column.unique().collect().to_series().drop_nulls(), *taken}) else None


def _say_the_same(texts: set[str]) -> bool:
    """True for several missing words, such as `NA` and `unknown`: with two levels of words beside them they are no
    third.
    """
    said = {re.sub(r"[/. ]", "", text).lower() for text in texts & (vocabulary.ABSENT | vocabulary.UNKNOWN)}
    return len(said) > 1


def _words_finding(name: str, seen: Counter[str], rows: int, boolean: bool) -> Finding:
    ordered = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{word!r} ({count:,})" for word, count in ordered[:3])
    severity: Severity = "medium" if seen.total() >= _VERY_MANY * rows else "low"
    reason = (
        f"Cells of {name!r} were taken as missing because of what they say: {said}. If that is a value (such as NA for North "
    )
    read_as, advice = "missing", "say that nothing but empty cells is missing there"
    if boolean:
        read_as, advice = "boolean", "set the type to categorical"
    if seen.keys() & vocabulary.ALWAYS:
        read_as, advice = "nothing", "write it in another way and upload again"
    evidence = {"words": dict(ordered), "read_as": read_as}
    return Finding(
        "missing_words", severity, f"{reason}America), {advice}.", evidence=evidence, column=name, affected_rows=seen.total()
    )


class TrimmedCounter:
    """Counts the cells of each column whose text lost blanks at its ends."""

    def __init__(self) -> None:
        self._cells: dict[int, int] = {}
        self._example: dict[int, str] = {}

    def update(self, index: int, raw: pl.Series, text: pl.Series) -> None:
        """Takes the next block of column number `index`: texts as in the file, and as stored."""
        changed = (raw != text).fill_null(value=False)
        if cells := int(changed.sum()):
            self._cells[index] = self._cells.get(index, 0) + cells
            self._example.setdefault(index, raw.filter(changed)[0])

    def findings(self, names: Sequence[str]) -> list[Finding]:
        """One finding for the whole table, or none; `names` by column number."""
        first = min(self._cells, default=None)
        return (
            []
            if first is None
            else [conversion.trimmed_finding({names[i]: n for i, n in sorted(self._cells.items())}, self._example[first])]
        )
