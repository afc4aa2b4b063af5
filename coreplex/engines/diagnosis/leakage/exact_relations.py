"""Finds columns that are exact functions of the target, or it of them, by ties and order and not by how well one predicts.

Five relations: other names for the classes; one class against all others; bins of a number; a monotone
transform of a number; an amount that a class was cut from. An honest feature, however strong, has an exception among a hundred
rows, or a gap between its classes; a thresholded amount has neither. Of the same kind: keys that repeat with their class, and
the number of a row in a sorted file.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.detector import LEAVE_OUT, DetectorInput, Leak, single_column_leak
from coreplex.engines.diagnosis.leakage.univariate import CLASSES, Codes, Floats, level_codes
from coreplex.engines.tabular.schema import ColumnType
from coreplex.errors.tree import Message

LEAST_ROWS = 50
ONE_CLASS_ROWS = 30
SPACINGS = 10
WIDE_GAP = 6.0
"""A gap between two classes this many times the mean distance of the neighbouring rows is no cut, but two clusters."""
SORTED = 0.999
"""Fraction of steps along the file that go one way, in a column the file is sorted by."""


def exact_relations(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns that are an exact function of the target, or it of them, by ties and order."""
    for column, values in data.unflagged(flagged):
        name, codes, numbers = column.name, observed_level_codes(values), data.numbers.get(column.name)
        form = _class_form(data, codes, numbers) if data.classification else _number_form(data, codes, numbers)
        if form is None:
            continue
        in_order = numbers is not None and in_file_order(numbers)
        if form in ("cut", "transform") and in_order:
            said = Message(
                "leak_of_row_counter",
                "The rows stand in the order of {target!r}, and {column!r} counts them.",
                target=data.name,
                column=name,
            )
            yield single_column_leak(data, "row_counter", name, said.then(LEAVE_OUT))
        else:
            yield single_column_leak(data, form, name, _told(form, column=name, target=data.name).then(LEAVE_OUT))


def _told(form: str, *, column: str, target: str) -> Message:
    """What a form of relation means."""
    if form == "copy":
        return Message(
            "leak_of_copy",
            "Column {column!r} is {target!r} under other names: each of its values stands for one class.",
            column=column,
            target=target,
        )
    if form == "cut":
        return Message(
            "leak_of_cut",
            "The classes of {target!r} are ranges of {column!r} that touch each other: {target!r} was cut from it.",
            column=column,
            target=target,
        )
    if form == "binned":
        return Message(
            "leak_of_bins",
            "The values of {column!r} are ranges of {target!r} that do not overlap: it was made from it.",
            column=column,
            target=target,
        )
    return Message(
        "leak_of_transform",
        "Column {column!r} rises or falls with {target!r} without exception: one was computed from the other.",
        column=column,
        target=target,
    )


def _class_form(data: DetectorInput, codes: Codes, numbers: Floats | None) -> str | None:
    classes = data.target.codes
    if is_relabelling(codes, classes):
        return "copy"
    if numbers is not None and int(classes.max()) < CLASSES and is_thresholding(numbers, classes):
        return "cut"
    return None


def _number_form(data: DetectorInput, codes: Codes, numbers: Floats | None) -> str | None:
    target = data.target.responses[0][:, 0]
    if is_binning(codes, target):
        return "binned"
    if numbers is not None and is_monotone(numbers, target):
        return "transform"
    return None


def indicators(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Columns of two values that say whether the target is one of several classes."""
    if not data.classification:
        return
    for column, values in data.unflagged(flagged):
        code = indicated_class(values, data.target.codes)
        if code is not None:
            outcome = data.outcomes()[1][code]
            said = Message(
                "leak_of_indicator",
                "Column {column!r} has one value where {target!r} is {outcome}, and another everywhere else: it was made from "
                "it.",
                column=column.name,
                target=data.name,
                outcome=outcome,
            ).then(LEAVE_OUT)
            yield single_column_leak(data, "indicator", column.name, said, outcome=outcome)


def lookup_keys(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Keys that repeat, always with one class: a matter of how models are judged, not of a column to leave out."""
    for column, values in data.unflagged(flagged):
        if column.type is ColumnType.text or values.dtype.is_float() or values.dtype.is_temporal():
            continue
        if is_lookup_key(observed_level_codes(values), data.target.codes) and not _in_ranges(data, column.name):
            said = Message(
                "leak_of_lookup_key",
                "Each value of {column!r} comes again, always with the same {target!r}: rows of one value are not independent. "
                "Name it as group_column, or models are judged by rows they know.",
                column=column.name,
                target=data.name,
            )
            yield single_column_leak(data, "lookup", column.name, said, "medium", values=values.n_unique())


def _in_ranges(data: DetectorInput, name: str) -> bool:
    """Whether the classes are few runs along the sorted values of a numeric column: no key does that."""
    numbers = data.numbers.get(name)
    if numbers is None:
        return False
    codes = data.target.codes[np.argsort(numbers, kind="stable")]
    return bool((np.diff(codes) != 0).sum() < 3 * len(np.unique(codes)))


def row_counters(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    """Identifiers that number the rows of a file sorted by its target: no features, but the file's order gives it away."""
    for column in data.ids:
        values = data.frame.get_column(column.name)
        if column.name in flagged or not values.dtype.is_numeric():
            continue
        numbers = values.cast(pl.Float64).to_numpy()
        target = data.target.responses[0][:, 0]
        related = is_thresholding(numbers, data.target.codes) if data.classification else is_monotone(numbers, target)
        if related and in_file_order(numbers):
            said = Message(
                "leak_of_row_order",
                "The rows stand in the order of {target!r}, so their number {column!r} gives it away. It is an identifier and "
                "not used for training.",
                target=data.name,
                column=column.name,
            )
            yield Leak("row_counter", (column.name,), "medium", said, 1.0, 0.0, ())


def in_file_order(numbers: Floats) -> bool:
    """Whether a column only rises, or only falls, along the file."""
    known = numbers[~np.isnan(numbers)]
    if len(known) < LEAST_ROWS:
        return False
    steps = np.diff(known)
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) >= SORTED)


def is_relabelling(codes: Codes, classes: Codes) -> bool:
    """Whether a column of few levels is the class under other names: each level has one class, and on average five rows.

    `codes`, `classes`: (n,) codes from 0; n of 50 or more.
    """
    levels, count = int(codes.max()) + 1, int(classes.max()) + 1
    if levels < 2 or levels > max(3 * count, count + 8) or len(codes) < LEAST_ROWS or 5 * levels > len(codes):
        return False
    return _determines(codes, classes)


def indicated_class(values: pl.Series, classes: Codes) -> int | None:
    """The code of the class that one of two values marks: all rows of that class and no others, missing values apart.

    `values`, `classes`: (n,), class codes from 0.
    None where there is no such class, too few rows on either side to prove it, or two classes alone (`is_relabelling`).
    """
    known = values.is_not_null().to_numpy()
    if values.drop_nulls().n_unique() != 2 or len(np.unique(classes[known])) < 3:
        return None
    codes, classes = observed_level_codes(values.drop_nulls()), classes[known]
    for level in (0, 1):
        rows = codes == level
        found = np.unique(classes[rows])
        if len(found) == 1 and min(rows.sum(), (~rows).sum()) >= ONE_CLASS_ROWS and not (classes[~rows] == found[0]).any():
            return int(found[0])
    return None


def is_lookup_key(codes: Codes, classes: Codes) -> bool:
    """Whether a column is a key that repeats (in more than 80 % of rows), each value with one class: its rows belong together.

    `codes`, `classes`: (n,) codes from 0; n of 50 or more.
    """
    sizes = np.bincount(codes)
    repeated = sizes[codes] > 1
    return (
        len(codes) >= LEAST_ROWS and repeated.mean() > 0.8 and len(sizes) > 2 and _determines(codes[repeated], classes[repeated])
    )


def _determines(codes: Codes, classes: Codes) -> bool:
    pairs = np.unique(codes * (int(classes.max()) + 1) + classes)
    return len(pairs) == len(np.unique(codes)) and len(np.unique(classes)) > 1


def is_binning(codes: Codes, numbers: Floats) -> bool:
    """Whether the levels of a column are disjoint intervals of a number, of three rows or more on average.

    `codes`: (n,) from 0; `numbers`: (n,) finite; n of 50 or more.
    """
    levels = int(codes.max()) + 1
    if levels < 2 or 3 * levels > len(codes) or len(codes) < LEAST_ROWS or len(np.unique(numbers)) < 2 * levels:
        return False
    return _apart(codes, numbers)


def is_monotone(values: Floats, numbers: Floats) -> bool:
    """Whether one of two numbers is a non-decreasing or non-increasing function of the other.

    `values`: (n,), rows with NaN apart; `numbers`: (n,) finite. Takes 50 rows, and five distinct values of each.
    """
    known = ~np.isnan(values)
    values, numbers = values[known], numbers[known]
    if len(values) < LEAST_ROWS or min(len(np.unique(values)), len(np.unique(numbers))) < 5:
        return False
    return _rising(values, numbers) or _rising(-values, numbers)


def _rising(a: Floats, b: Floats) -> bool:
    """Whether b never falls as a rises, and one of the two determines the other."""
    order = np.lexsort((b, a))
    if (np.diff(b[order]) < 0).any():
        return False
    codes = np.unique(a, return_inverse=True)[1]
    back = np.unique(b, return_inverse=True)[1]
    return _apart(codes, b) or _apart(back, a)


def _apart(codes: Codes, numbers: Floats) -> bool:
    """Whether the ranges of the numbers of each code are disjoint."""
    size = int(codes.max()) + 1
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, codes, numbers)
    np.maximum.at(high, codes, numbers)
    order = np.argsort(low)
    return bool((high[order][:-1] < low[order][1:]).all())


def is_thresholding(values: Floats, classes: Codes) -> bool:
    """Whether the classes are adjacent intervals of a number, as thresholds on it make them.

    `values`: (n,), rows with NaN apart; `classes`: (n,) codes. Takes 50 rows, and five distinct values per class.
    """
    known = ~np.isnan(values)
    values, classes = values[known], classes[known]
    count = len(np.unique(classes))
    if len(values) < LEAST_ROWS or count < 2 or len(np.unique(values)) < 5 * count:
        return False
    order = np.lexsort((classes, values))
    values, classes = values[order], classes[order]
    borders = np.flatnonzero(np.diff(classes))
    if len(borders) != count - 1 or (values[borders] == values[borders + 1]).any():
        return False
    step = float(np.diff(np.unique(values)).min())
    return all(_touching(values, int(border), step) for border in borders)


def _touching(ordered: Floats, border: int, step: float) -> bool:
    """Whether the gap behind a place in sorted values is no wider than the rows around it, or their grid, let expect."""
    gap = ordered[border + 1] - ordered[border]
    below, above = ordered[max(border - SPACINGS, 0) : border + 1], ordered[border + 1 : border + 2 + SPACINGS]
    around = (below[-1] - below[0] + above[-1] - above[0]) / max(len(below) + len(above) - 2, 1)
    return bool(gap <= max(WIDE_GAP * around, 1.5 * step))


def observed_level_codes(values: pl.Series) -> Codes:
    """(n,) level codes from 0; missing values, where there are any, are level 0."""
    codes = level_codes(values)
    return codes - codes.min()
