"""How far rows that are asked now lie from those a model learned from, column by column: the population stability index.

PSI is the sum over bins of (a - e) ln(a / e), for the shares a of what is found and e of what is expected (Lewis 1994). Of n
rows beside m it is about (bins - 1)(1/n + 1/m) where nothing has changed (Yurdakul & Naranjo 2020); that is taken off, so that
few rows are no drift. What is missing is a bin of its own.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from coreplex.engines.tabular.schema import NUMERIC, Column, ColumnType, canonical

LEAST_SHARE = 0.05
"""Of the rows, in a bin of numbers: rarer ones are joined to the next."""
FEW_BINS = 4
KNOWN_SHARE = 0.5
"""Of a column's values its commonest ones must make up to say something: names and free text do not."""
_SMOOTHED = 0.5
"""Added to each count, so that an empty bin is no infinite drift."""
_EQUAL_MASS = ("0.05", "0.25", "0.5", "0.75", "0.95")

Place = Callable[[Any], int]


@dataclass(frozen=True)
class Reference:
    """What is expected of a column. `counts`: of each bin, the last that of what is missing; `place`: the bin of a value."""

    counts: Sequence[float]
    place: Place

    def psi(self, values: Iterable[Any]) -> float:
        """Of values as callers send them: 0 nothing beyond chance, 0.1 a little, 0.25 and more a lot."""
        found = Counter(map(self.place, values))
        bins, rows, known = len(self.counts), found.total(), sum(self.counts)
        total = 0.0
        for number, count in enumerate(self.counts):
            expected = (count + _SMOOTHED) / (known + _SMOOTHED * bins)
            actual = (found[number] + _SMOOTHED) / (rows + _SMOOTHED * bins)
            total += (actual - expected) * math.log(actual / expected)
        return max(0.0, total - (bins - 1) * (1 / rows + 1 / known))


def reference(column: Column, facts: Mapping[str, Any], rows: int) -> Reference | None:
    """What a version's profile says of a column of `rows` rows; None for moments, identifiers and free text, which always
    change, and for a column without values."""
    missing = facts["missing_count"]
    if column.type in (ColumnType.datetime, ColumnType.id, ColumnType.text) or missing == rows:
        return None
    if column.type in NUMERIC:
        return _of_numbers(facts, rows - missing, missing)
    return _of_words(column, facts.get("top_values", ()), rows - missing, missing)


def _of_numbers(facts: Mapping[str, Any], present: int, missing: int) -> Reference | None:
    (edges, counts), bin_of = _joined(facts.get("histogram"), present), bisect_right
    quantiles = [facts.get("quantiles", {}).get(share) for share in _EQUAL_MASS]
    if len(counts) < FEW_BINS and None not in quantiles and len(set(quantiles)) == len(quantiles):
        shares = [0.0, *map(float, _EQUAL_MASS), 1.0]
        edges, counts = quantiles, [present * (high - low) for low, high in pairwise(shares)]
        bin_of = bisect_left
    if not counts:
        return None
    nothing = len(counts)

    def place(value: Any) -> int:
        number = _number(value)
        return nothing if number is None else bin_of(edges, number)

    return Reference([*counts, missing], place)


def _joined(histogram: Mapping[str, Any] | None, present: int) -> tuple[list[float], list[float]]:
    """The edges between bins of at least `LEAST_SHARE`, and their counts. Values beyond the ends belong to the first and last."""
    if histogram is None:
        return [], []
    edges, counts, last = list[float](), list[float](), 0.0
    scale = present / sum(histogram["counts"])  # of a very long table the profile counts a sample
    for edge, count in zip(histogram["edges"][1:], histogram["counts"], strict=True):
        last += count * scale
        if last >= LEAST_SHARE * present:
            edges.append(edge)
            counts.append(last)
            last = 0.0
    if counts:
        counts[-1] += last
    return edges[:-1], counts


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _of_words(column: Column, top: Sequence[Mapping[str, Any]], present: int, missing: int) -> Reference | None:
    counts = [one["pct"] / 100 * present for one in top]
    if not counts or sum(counts) < KNOWN_SHARE * present:
        return None
    places = {_folded(one["value"]): number for number, one in enumerate(top)}
    labels = {text.casefold(): _folded(label) for text, label in column.labels.items()}
    other, nothing = len(counts), len(counts) + 1

    def place(value: Any) -> int:
        if value is None or value == "" or not isinstance(value, str | int | float):
            return nothing
        word = _folded(value)
        return places.get(labels.get(word, word), other)

    return Reference([*counts, present - sum(counts), missing], place)


def _folded(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return (value if isinstance(value, str) else canonical(value)).strip().casefold()
