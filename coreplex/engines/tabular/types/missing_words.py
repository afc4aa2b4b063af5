"""Decides whether words such as `NA` and `unknown` mean missing in a column of text, and reports what was taken so.

`NA` is North America to some, `None` a kind of garage.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.engines.tabular.types import vocabulary
from coreplex.engines.tabular.types.parse_rule import ParseRule

# Signs such as `?`, `--` or `#N/A` are nobody's category.
AMBIGUOUS_WORDS = vocabulary.ABSENT | vocabulary.UNKNOWN | {word for word in vocabulary.ALWAYS if word[:1].isalpha()}
MISSING_WORDS = tuple(sorted(vocabulary.MISSING - vocabulary.ALWAYS))
_MANY = 0.05
_VERY_MANY = 0.2


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
        if index not in self._met and rule.is_text and not rule.is_empty and holds_missing_words(raw):
            self._met.add(index)
        taken = text.filter(typed.is_null() & text.is_in(sorted(AMBIGUOUS_WORDS)))
        self._taken[index].update(dict(taken.value_counts().iter_rows()))

    def missing_by_column(self, table: Path, names: Sequence[str]) -> dict[int, tuple[str, ...] | None]:
        """`Column.missing` of the columns of text in which missing words occur, judged by all that is stored beside
        them.
        """
        scan = pl.scan_parquet(table, glob=False)
        return {index: usual_missing(scan.select(pl.col(names[index])), self._taken[index]) for index in sorted(self._met)}

    def findings(self, names: Sequence[str], rows: int) -> list[Finding]:
        """The columns in which such words are 5 % of the `rows` rows at least; `names` by column number."""
        return [
            _finding(names[index], seen, rows, self._rules[index].kind == "boolean")
            for index, seen in self._taken.items()
            if seen and seen.total() >= _MANY * rows
        ]


def holds_missing_words(raw: pl.Series) -> bool:
    """True if a column of text holds words for missing, or signs."""
    return bool(raw.str.strip_chars().is_in(MISSING_WORDS).any())


def usual_missing(column: pl.LazyFrame, taken: Iterable[str] = ()) -> tuple[str, ...] | None:
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


def _finding(name: str, seen: Counter[str], rows: int, boolean: bool) -> Finding:
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
