"""Collects how typed values were spelled in the file, so that answers can be spelled the same way.

Only columns with few distinct values are worth it (classes of a target, yes and no): at most 200 per column.
"""

from collections import Counter
from collections.abc import Container, Sequence

import polars as pl

from coreplex.engines.tabular.schema import canonical
from coreplex.engines.tabular.types.parse_rule import ParseRule, is_missing

MOST = 200
_SPELLINGS = 2 * MOST


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
        if len(best) > MOST:
            return {}
        return {key: text.strip() for key, text in best.items() if text.strip() != key}
