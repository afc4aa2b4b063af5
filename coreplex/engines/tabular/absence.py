"""Words taken for nothing, counted where they may have been meant: `NA` is North America to some, `None` a kind of garage."""

from collections import Counter
from collections.abc import Mapping, Sequence

import polars as pl

from coreplex.engines.tabular import words
from coreplex.engines.tabular.notes import Note, Severity
from coreplex.engines.tabular.rules import Rule

# Signs such as `?`, `--` or `#N/A` are nobody's category.
_COULD_BE_MEANT = frozenset(word for word in words.MISSING if word[:1].isalpha())
_MANY = 0.05
_VERY_MANY = 0.2


class Absences:
    """Counts the missing-value words of the columns that are kept as text; in numbers and dates they can mean nothing else."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._seen: Mapping[int, Counter[str]] = {i: Counter() for i, rule in enumerate(rules) if rule.is_text}

    def see(self, index: int, raw: pl.Series, typed: pl.Series) -> None:
        if index not in self._seen or typed.null_count() == raw.null_count():
            return
        taken = raw.filter(typed.is_null()).drop_nulls().str.strip_chars()
        self._seen[index].update(dict(taken.filter(taken.is_in(sorted(_COULD_BE_MEANT))).value_counts().iter_rows()))

    def notes(self, names: Sequence[str], rows: int) -> list[Note]:
        return [_note(names[i], seen, rows) for i, seen in self._seen.items() if seen and seen.total() >= _MANY * rows]


def _note(name: str, seen: Counter[str], rows: int) -> Note:
    ordered = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{word!r} ({count:,})" for word, count in ordered[:3])
    severity: Severity = "medium" if seen.total() >= _VERY_MANY * rows else "low"
    message = (
        f"Cells of {name!r} were taken as missing because of what they say: {said}. If that is a value (such as NA for North "
        "America), write it in another way and upload again."
    )
    return Note("missing_words", severity, message, {"words": dict(ordered)}, name, seen.total())
