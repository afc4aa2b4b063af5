"""Computes the statistics of a column of numbers or moments: quantiles, histogram, outliers, and its sentinels.

Sorting once gives quantiles, histogram and distinct counts.

Sentinels are values such as -200, 999 or 9999-12-31 that stand for a missing one, found by where they lie and how
often. A sentinel is at an end of its column, repeats, and is parted from the rest by a gap: wide beside the gaps of the
rest on that side, and beside the distance from their median to their end. A value people are known to use as a code
(all nines, -1, 1900-01-01, …), or one below zero where nothing else is, needs less of that than any other value. What
is short of proof counts when the same value is proven in another column. A cap (99,999 for "and above") looks the same:
a person decides.
"""

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

BINS = 20
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# Tukey's outer fences: beyond them a value is far out whatever the distribution.
_FENCE = 3.0
LEAST_ROWS = 20
_MOST_CODES = 3
"""Don't know, refused, not asked: as many codes at one end."""
_LIMITS = frozenset([-1.0, -32768, 32767, 65535, -(2.0**31), 2.0**31 - 1])
_FILL = 1e20
_DATES = frozenset(
    f"{year}-{day}"
    for years, days in (
        (("0001", "1753", "1800", "1900", "1901", "1970", "9999"), ("01-01",)),
        (("1899",), ("12-30", "12-31")),
        (("2099", "2999", "9999"), ("12-31",)),
    )
    for year in years
    for day in days
)
Values = npt.NDArray[Any]


def describe_numbers(present: pl.Series, scale: float) -> tuple[dict[str, Any], int]:
    """(the facts of a column of numbers (n,), without nulls; how many different finite ones there are).

    `scale`: rows of the table for each of them.
    """
    finite = present.filter(present.is_finite()) if present.dtype.is_float() else present
    infinite = present.len() - finite.len()
    if finite.is_empty():
        return {"unique_count": present.n_unique(), "infinite_count": infinite}, 0
    ordered = finite.sort()
    distinct = ordered.n_unique()
    low, high = ordered[0], ordered[-1]
    quantiles = _quantiles(ordered)
    coded = find_sentinels(ordered, scale)
    facts = {
        "unique_count": distinct + (present.filter(present.is_infinite()).n_unique() if infinite else 0),
        "min": json_value(low),
        "max": json_value(high),
        "mean": json_value(finite.mean()),
        "std": json_value(finite.std()) if finite.len() > 1 else 0.0,
        "median": quantiles["0.5"],
        "quantiles": quantiles,
        "histogram": _histogram(ordered.to_numpy(), float(low), float(high)),
        "zeros": int((finite == 0).sum()),
        "negatives": int(_before(ordered, 0)) if low < 0 else 0,
        "skew": rounded(finite.skew()) if distinct > 1 else 0.0,
        "infinite_count": infinite,
        "outliers": _outliers(_without_sentinels(ordered, coded)),
        "sentinels": coded,
    }
    return facts, distinct


def describe_moments(present: pl.Series, scale: float) -> dict[str, Any]:
    """The facts of a column of dates or moments (n,), without nulls; histogram edges as ISO 8601."""
    ordered = present.sort()
    low, high = ordered[0], ordered[-1]
    numbers = ordered.cast(pl.Datetime("us")).to_physical()
    histogram = _histogram(numbers.to_numpy(), float(numbers[0]), float(numbers[-1]))
    if histogram:
        edges = pl.Series(histogram["edges"]).cast(pl.Int64).cast(pl.Datetime("us")).to_list()
        histogram["edges"] = [edge.isoformat() for edge in edges]
    return {
        "unique_count": ordered.n_unique(),
        "min": low.isoformat(),
        "max": high.isoformat(),
        "median": json_value(ordered[ordered.len() // 2]),
        "range_days": (high - low).total_seconds() / 86_400,
        "histogram": histogram,
        "sentinels": find_sentinels(ordered, scale),
    }


def json_value(value: Any) -> Any:
    """A JSON-ready value: dates as ISO 8601 text, infinities and NaN as None."""
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def rounded(value: float | None) -> float | None:
    """To four decimals; None where it is no finite number."""
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _before(ordered: pl.Series, value: float, side: Any = "left") -> int:
    """How many values of a sorted column are less than `value` (or not greater, from the right)."""
    return int(np.searchsorted(ordered.to_numpy(), value, side=side))


def _quantiles(ordered: pl.Series) -> dict[str, Any]:
    """Linear interpolation between order statistics (Hyndman and Fan 1996, type 7)."""
    last = ordered.len() - 1
    found: dict[str, Any] = {}
    for share in _QUANTILES:
        position = share * last
        below = int(position)
        low, high = float(ordered[below]), float(ordered[min(below + 1, last)])
        found[str(share)] = json_value(low + (high - low) * (position - below))
    return found


def _histogram(ordered: Any, low: float, high: float) -> dict[str, list[Any]] | None:
    """Equal-width counts; the edges are one more than the counts."""
    if not math.isfinite(high - low):
        return None
    if low == high:
        return {"counts": [len(ordered)], "edges": [low, high]}
    edges = np.linspace(low, high, BINS + 1)
    inner = np.searchsorted(ordered, edges[1:-1], side="left")
    counts = np.diff(np.concatenate(([0], inner, [len(ordered)])))
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def _outliers(ordered: pl.Series) -> dict[str, Any]:
    """How many values of a sorted column lie beyond the fences `low` and `high`, and its ends."""
    quantiles = _quantiles(ordered)
    first, third = quantiles["0.25"], quantiles["0.75"]
    ends = {"min": json_value(ordered[0]), "max": json_value(ordered[-1])}
    if first is None or third is None or first == third:
        return {"count": 0, "low": None, "high": None, **ends}
    low, high = first - _FENCE * (third - first), third + _FENCE * (third - first)
    count = _before(ordered, low) + ordered.len() - _before(ordered, high, "right")
    return {"count": count, "low": json_value(low), "high": json_value(high), **ends}


def find_sentinels(present: pl.Series, scale: float = 1.0) -> list[dict[str, Any]]:
    """The suspected sentinels of a column of numbers or dates, (n,) sorted, without nulls and infinities; in sorted
    order.

    Each has `value` (as text), `count` (cells, times `scale`, for samples), `sure`, and the `low` and `high` of the
    rest.
    """
    if present.len() < LEAST_ROWS:
        return []
    dates = present.dtype.is_temporal()
    numbers = (present.cast(pl.Datetime("us")).to_physical() if dates else present).to_numpy()
    starts = np.flatnonzero(np.concatenate(([True], np.diff(numbers) != 0)))
    values, counts = numbers[starts].astype(np.float64), np.diff(np.append(starts, len(numbers)))
    found = [_judge(values, counts, present, starts, low=low) for low in (True, False)]
    below, above = (len(codes) for codes, _ in found)
    rest = starts[below : len(starts) - above]
    if not len(rest):
        return []
    ends = {"low": _spelled(present[int(rest[0])]), "high": _spelled(present[int(rest[-1])])}
    return [
        {"value": _spelled(present[int(starts[at])]), "count": round(int(counts[at]) * scale), "sure": sure, **ends}
        for codes, sure in found
        for at in codes
    ]


def _without_sentinels(ordered: pl.Series, found: list[dict[str, Any]]) -> pl.Series:
    """The sorted column without the sentinels among `found` that are sure."""
    coded = [one["value"] for one in found if one["sure"]]
    below = 0
    while below < ordered.len() and _spelled(ordered[below]) in coded:
        below = int(np.searchsorted(ordered.to_numpy(), ordered[below], side="right"))
    above = ordered.len()
    while above > below and _spelled(ordered[above - 1]) in coded:
        above = int(np.searchsorted(ordered.to_numpy(), ordered[above - 1], side="left"))
    return ordered.slice(below, above - below) if coded else ordered


@dataclass(frozen=True)
class _End:
    """The codes at the high end of sorted distinct values (turned round for the low end), and the rest below them."""

    rest: Values
    rest_counts: Values
    codes: Values
    counts: Values
    whole: bool

    @property
    def median(self) -> float:
        half = self.rest_counts.cumsum().searchsorted(self.rest_counts.sum() / 2)
        return float(self.rest[half])

    @property
    def gap(self) -> float:
        return float(self.codes[0] - self.rest[-1])

    @property
    def step(self) -> float:
        """The widest gap of the rest on the side of the codes."""
        near = self.rest[self.rest >= self.median]
        return float(np.diff(near if len(near) > 1 else self.rest).max())

    @property
    def spread(self) -> float:
        return float(self.rest[-1] - self.median) or float(self.rest[-1] - self.rest[0])

    def apart_by(self, steps: float, spreads: float) -> bool:
        return self.gap >= steps * self.step and self.gap >= spreads * self.spread

    def outnumbers(self, times: float) -> bool:
        """True if each code is more frequent, that many times, than the value beside it: tails are not."""
        return bool((self.counts >= times * self.rest_counts[-1]).all())

    @property
    def scale(self) -> bool:
        """True for whole numbers without a gap, such as answers from 1 to 5."""
        return self.whole and float(np.diff(self.rest).max()) == 1.0


def _judge(values: Values, counts: Values, present: pl.Series, starts: Values, *, low: bool) -> tuple[range, bool]:
    """(which distinct values at one end are suspected, whether that is sure)."""
    dates = present.dtype.is_temporal()
    ordered, often = (-values[::-1], counts[::-1]) if low else (values, counts)
    weak = range(0)
    for size in range(1, min(_MOST_CODES, len(values) - 2) + 1):
        end = _End(ordered[:-size], often[:-size], ordered[-size:], often[-size:], present.dtype.is_integer())
        if end.rest_counts.sum() < LEAST_ROWS // 2 or (not dates and (end.codes == 0).any()):
            continue
        at = range(size) if low else range(len(values) - size, len(values))
        outermost, *inner = (present[int(starts[place])] for place in (at if low else reversed(at)))
        known = _is_code(outermost) and all(_is_code(value, beside=True) for value in inner)
        sole = low and bool(values[size - 1] < 0 <= values[size])
        verdict = _verdict(end, known=known, sole=sole, least=2 if dates else 3)
        if verdict:
            return at, True
        if verdict is not None and not weak:
            weak = at
    return weak, False


def _verdict(end: _End, *, known: bool, sole: bool, least: int) -> bool | None:
    """True: sentinels. False: they may be. None: nothing special. `sole`: they alone are below zero."""
    rows = int(end.rest_counts.sum() + end.counts.sum())
    if end.counts.min() < least:
        return None
    if known or sole:
        enough = sole or end.scale or end.outnumbers(2)
        if enough and end.apart_by(3, 0.75) and end.counts.min() >= 0.002 * rows:
            return True
        # Nothing else is negative, and the code far more frequent than what is beside it: -1 beside days from 1 on.
        if known and sole and len(end.rest) >= LEAST_ROWS and end.outnumbers(5) and end.counts.min() >= 0.01 * rows:
            return True
        return False if end.gap >= end.step else None
    frequent = end.counts.min() >= max(5, 0.005 * rows) and (end.counts.sum() <= rows / 2 or end.apart_by(5, 5))
    return True if frequent and len(end.rest) >= 10 and end.outnumbers(2) and end.apart_by(5, 3) else None


def _is_code(value: Any, *, beside: bool = False) -> bool:
    """True for values that people use for nothing; `beside` another code 8 and 98 are such, too."""
    if not isinstance(value, int | float):
        return value.isoformat()[:10] in _DATES
    if abs(value) >= _FILL or value in _LIMITS:
        return True
    digits = f"{abs(value):.10f}".rstrip("0").replace(".", "")
    if beside:
        digits = digits[:-1] + digits[-1].replace("8", "9").replace("7", "9")
    return not digits.strip("9")


def _spelled(value: Any) -> str:
    """A value as text, without the point of a whole float: -200 for -200.0."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value) if isinstance(value, int) else str(value.isoformat())
