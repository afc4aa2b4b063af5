"""The same by slice: where the candidate gains and where it costs, by the values of chosen columns.

A column of numbers is cut at its quartiles, any other by its commonest values. Each interval holds together with all others:
the error is shared among the slices (Bonferroni).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.replay.net_gain import Losses, gain
from coreplex.engines.replay.pairs import LONGEST_VALUE, Pairs
from coreplex.engines.replay.verdict import ReplayVerdict, verdict

MOST_VALUES = 10
FEW_VALUES = 8
"""So many different numbers are categories."""
PARTS = 4
Document = dict[str, Any]


class SliceKind(StrEnum):
    value = "value"
    range = "range"
    other = "other"
    missing = "missing"


class Slice(NamedTuple):
    """Rows of a column whose value is one (`kind` value), is missing, is one of the rare others, or lies from `lower` to below
    `upper`; the last range holds its upper end."""

    column: str
    kind: SliceKind
    value: str | None
    lower: float | None
    upper: float | None
    rows: NDArray[np.bool_]


def slices(column: str, values: Sequence[Any]) -> list[Slice]:
    """The slices of a column, (n,) raw values, None where there is none; none where all rows are alike."""
    numbers = np.array([_number(value) for value in values])
    missing = np.array([_is_missing(value) for value in values], dtype=bool)
    is_number = bool((~np.isnan(numbers) | missing).all()) and len(np.unique(numbers[~missing])) > FEW_VALUES
    made = list(_by_range(column, numbers) if is_number else _by_value(column, values, missing))
    if missing.any():
        made.append(Slice(column, SliceKind.missing, None, None, None, missing))
    return made if len(made) > 1 else []


def _is_missing(value: Any) -> bool:
    """A blank text is none, as in serving."""
    return value is None or (isinstance(value, str) and not value.strip())


def _number(value: Any) -> float:
    """NaN for what is none; a text that holds a number is one, as in serving."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan


def _by_range(column: str, numbers: NDArray[np.float64]) -> Iterator[Slice]:
    edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, PARTS + 1), method="inverted_cdf"))
    for place, (low, high) in enumerate(pairwise(edges)):
        last = place == len(edges) - 2
        inside = (numbers >= low) & ((numbers <= high) if last else (numbers < high))
        yield Slice(column, SliceKind.range, None, float(low), float(high), inside)


def _by_value(column: str, values: Sequence[Any], missing: NDArray[np.bool_]) -> Iterator[Slice]:
    texts = [None if gone else str(value)[:LONGEST_VALUE] for value, gone in zip(values, missing, strict=True)]
    counted = Counter(text for text in texts if text is not None)
    numbers = {value: number for number, (value, _) in enumerate(counted.most_common(MOST_VALUES))}
    codes = np.array([-1 if text is None else numbers.get(text, MOST_VALUES) for text in texts])
    for value, number in numbers.items():
        yield Slice(column, SliceKind.value, value, None, None, codes == number)
    if len(counted) > len(numbers):
        yield Slice(column, SliceKind.other, None, None, None, codes == MOST_VALUES)


def judged(pairs: Pairs, agreed: Sequence[bool], found: Losses, confidence: float, margin: float) -> list[Document]:
    """What each slice came to, that of the candidate's worst first."""
    every = [one for column, values in pairs.values.items() for one in slices(column, values)]
    known = sum(bool(one.rows[found.places].any()) for one in every)
    each = 1 - (1 - confidence) / max(known, 1)
    alike, failed = np.array(agreed, dtype=bool), np.array([answer is None for answer in pairs.answers], dtype=bool)
    told = [_told(one, alike, failed, found.among(one.rows), pairs.is_class, each, margin) for one in every]
    return sorted(told, key=_badness)


def _told(
    one: Slice,
    alike: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    found: Losses,
    is_class: bool,
    confidence: float,
    margin: float,
) -> Document:
    rows, told = int(one.rows.sum()), gain(found, is_class, confidence)
    known = found.places.size
    decided = verdict(told and told.lower, told and told.upper, margin) if known else ReplayVerdict.no_outcomes
    return {
        **{name: getattr(one, name) for name in ("column", "kind", "value", "lower", "upper")},
        "rows": rows,
        "failed": int(failed[one.rows].sum()),
        "agreement": float(alike[one.rows].mean()) if rows else None,
        "outcomes": int(known),
        "served_loss": float(found.served.mean()) if known else None,
        "candidate_loss": float(found.candidate.mean()) if known else None,
        "gain": told and told.estimate,
        "gain_lower": told and told.lower,
        "gain_upper": told and told.upper,
        "verdict": decided,
    }


def _badness(one: Document) -> tuple[float, float]:
    """By what it is certain to cost, then by how little the two agree."""
    upper = one["gain_upper"]
    return math.inf if upper is None else upper, 1.0 if one["agreement"] is None else one["agreement"]
