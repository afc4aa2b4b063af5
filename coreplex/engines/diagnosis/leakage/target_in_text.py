"""Texts that name the outcome: its number, or a word that stands in texts of one class only and in almost all of them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.univariate import Codes

LEAST_ROWS = 50
CLEAR = 0.95
ROWS = 5_000
_WORD = r"[\p{L}\p{N}]+"


@dataclass(frozen=True)
class Told:
    """`words`: the word of each class that has one. `share` of the rows are told by them."""

    words: dict[str, str]
    share: float


def told(texts: pl.Series, classes: Codes, names: list[str]) -> Told | None:
    """The words that tell the classes; all classes but one must have theirs (its texts are those without any). None otherwise."""
    present = texts.is_not_null().to_numpy()
    texts, classes = texts.filter(present).head(ROWS), classes[present][:ROWS]
    if len(classes) < LEAST_ROWS or len(np.unique(classes)) < 2:
        return None
    words = [frozenset(found) for found in texts.str.to_lowercase().str.extract_all(_WORD).to_list()]
    found = {index: word for index in np.unique(classes).tolist() if (word := _word_of(index, words, classes))}
    if len(found) < len(np.unique(classes)) - 1:
        return None
    rest = next((index for index in np.unique(classes).tolist() if index not in found), None)
    guesses = np.array([next((i for i, word in found.items() if word in row), -1 if rest is None else rest) for row in words])
    share = float((guesses == classes).mean())
    return Told({names[index]: word for index, word in found.items()}, share) if share >= CLEAR else None


def _word_of(index: int, words: list[frozenset[str]], classes: Codes) -> str | None:
    own = [row for row, code in zip(words, classes, strict=True) if code == index]
    if not own:
        return None
    counts = Counter(word for row in own for word in row)
    likely = {word for word, count in counts.items() if count >= CLEAR * len(own)}
    elsewhere = Counter(word for row, code in zip(words, classes, strict=True) if code != index for word in row & likely)
    clear = [word for word in likely if elsewhere[word] <= (1 - CLEAR) * counts[word]]
    return min(clear, key=lambda word: (elsewhere[word], -counts[word], word), default=None)


def quotes(texts: pl.Series, values: pl.Series) -> float:
    """Share of the texts in which the row's own number stands, less that of another row's number."""
    both = pl.DataFrame({"text": texts, "value": values}).drop_nulls().head(ROWS)
    if both.height < LEAST_ROWS or both["value"].n_unique() < 20:
        return 0.0
    numbers = [{float(found) for found in row} for row in both["text"].str.extract_all(r"-?\d+(?:\.\d+)?").to_list()]
    own = both["value"].cast(pl.Float64).to_list()
    hits = sum(value in found for value, found in zip(own, numbers, strict=True))
    by_chance = sum(value in found for value, found in zip(own[1:] + own[:1], numbers, strict=True))
    return (hits - by_chance) / len(own)
