"""Finds the target in texts: its number, or a word that stands in texts of one class only and in almost all of them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.univariate import Codes

LEAST_ROWS, MOST_ROWS = 50, 5_000
LEAST_SHARE = 0.95
"""Fraction of rows for which the text must say the target."""
_WORD = r"[\p{L}\p{N}]+"


@dataclass(frozen=True)
class ClassKeywords:
    """`words`: the keywords of the classes that have one, by name. `share`: fraction (0..1) of rows classified right."""

    words: dict[str, str]
    share: float


def class_keywords(texts: pl.Series, classes: Codes, names: list[str]) -> ClassKeywords | None:
    """The keywords by which texts say the class; all classes but one must have one (its texts are those without any). Else None.

    `texts` (n,) strings, null where missing; `classes` (n,) codes from 0; `names`: of the classes, by code. Looks at 5,000 texts.
    """
    present = texts.is_not_null().to_numpy()
    texts, classes = texts.filter(present).head(MOST_ROWS), classes[present][:MOST_ROWS]
    if len(classes) < LEAST_ROWS or len(np.unique(classes)) < 2:
        return None
    words = [frozenset(found) for found in texts.str.to_lowercase().str.extract_all(_WORD).to_list()]
    found = {index: word for index in np.unique(classes).tolist() if (word := _keyword(index, words, classes))}
    if len(found) < len(np.unique(classes)) - 1:
        return None
    rest = next((index for index in np.unique(classes).tolist() if index not in found), None)
    predictions = np.array([next((i for i, word in found.items() if word in row), -1 if rest is None else rest) for row in words])
    share = float((predictions == classes).mean())
    return ClassKeywords({names[index]: word for index, word in found.items()}, share) if share >= LEAST_SHARE else None


def _keyword(index: int, words: list[frozenset[str]], classes: Codes) -> str | None:
    own = [row for row, code in zip(words, classes, strict=True) if code == index]
    if not own:
        return None
    counts = Counter(word for row in own for word in row)
    likely = {word for word, count in counts.items() if count >= LEAST_SHARE * len(own)}
    elsewhere = Counter(word for row, code in zip(words, classes, strict=True) if code != index for word in row & likely)
    clear = [word for word in likely if elsewhere[word] <= (1 - LEAST_SHARE) * counts[word]]
    return min(clear, key=lambda word: (elsewhere[word], -counts[word], word), default=None)


def quoted_share(texts: pl.Series, values: pl.Series) -> float:
    """Fraction of texts that contain the row's own number, less that of texts with another row's (−1..1; 0 below 50 rows).

    `texts`, `values`: (n,), null where missing. Looks at 5,000 rows.
    """
    both = pl.DataFrame({"text": texts, "value": values}).drop_nulls().head(MOST_ROWS)
    if both.height < LEAST_ROWS or both["value"].n_unique() < 20:
        return 0.0
    numbers = [{float(found) for found in row} for row in both["text"].str.extract_all(r"-?\d+(?:\.\d+)?").to_list()]
    own = both["value"].cast(pl.Float64).to_list()
    hits = sum(value in found for value, found in zip(own, numbers, strict=True))
    by_chance = sum(value in found for value, found in zip(own[1:] + own[:1], numbers, strict=True))
    return (hits - by_chance) / len(own)
