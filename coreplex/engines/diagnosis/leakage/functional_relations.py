"""Single columns that hold the target in another form, recognised by their ties and not by how well they predict.

Five forms, each of them exact: other names for the classes; one class against all others; bins of a number; a monotone
transform of a number; an amount that a class was cut from. An honest feature, however strong, has an exception among a hundred
rows, or a gap between its classes; a cut amount has neither.
"""

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.univariate import Codes, Floats, level_codes

LEAST_ROWS = 50
ONE_CLASS_ROWS = 30
SPACINGS = 10
WIDE_GAP = 6.0
"""A gap between two classes this many times the mean distance of the neighbouring rows is no cut, but two clusters."""


def same_classes(codes: Codes, classes: Codes) -> bool:
    """Whether few levels settle the class of every row: each level is of one class, and a level has rows to prove it."""
    levels, count = int(codes.max()) + 1, int(classes.max()) + 1
    if levels < 2 or levels > max(3 * count, count + 8) or len(codes) < LEAST_ROWS or 5 * levels > len(codes):
        return False
    return _function(codes, classes)


def one_class(values: pl.Series, classes: Codes) -> int | None:
    """The class that one of two values stands for, all of its rows and no others, missing values apart.

    None where there is no such class, too few rows on either side to prove it, or two classes alone (`same_classes`).
    """
    known = values.is_not_null().to_numpy()
    if values.drop_nulls().n_unique() != 2 or len(np.unique(classes[known])) < 3:
        return None
    codes, classes = codes_of(values.drop_nulls()), classes[known]
    for level in (0, 1):
        rows = codes == level
        found = np.unique(classes[rows])
        if len(found) == 1 and min(rows.sum(), (~rows).sum()) >= ONE_CLASS_ROWS and not (classes[~rows] == found[0]).any():
            return int(found[0])
    return None


def looks_up(codes: Codes, classes: Codes) -> bool:
    """Whether many levels, which come again, each have one class: rows of one key belong together."""
    sizes = np.bincount(codes)
    repeated = sizes[codes] > 1
    return len(codes) >= LEAST_ROWS and repeated.mean() > 0.8 and len(sizes) > 2 and _function(codes[repeated], classes[repeated])


def _function(codes: Codes, classes: Codes) -> bool:
    pairs = np.unique(codes * (int(classes.max()) + 1) + classes)
    return len(pairs) == len(np.unique(codes)) and len(np.unique(classes)) > 1


def binned(codes: Codes, numbers: Floats) -> bool:
    """Whether the levels are intervals of a number that do not touch, three rows each or more."""
    levels = int(codes.max()) + 1
    if levels < 2 or 3 * levels > len(codes) or len(codes) < LEAST_ROWS or len(np.unique(numbers)) < 2 * levels:
        return False
    return _apart(codes, numbers)


def monotone(values: Floats, numbers: Floats) -> bool:
    """Whether one of two numbers is a rising or falling function of the other, NaN apart."""
    known = ~np.isnan(values)
    values, numbers = values[known], numbers[known]
    if len(values) < LEAST_ROWS or min(len(np.unique(values)), len(np.unique(numbers))) < 5:
        return False
    return _rising(values, numbers) or _rising(-values, numbers)


def _rising(a: Floats, b: Floats) -> bool:
    """Whether b rises with a, equal values of one of them falling together in the other."""
    order = np.lexsort((b, a))
    if (np.diff(b[order]) < 0).any():
        return False
    codes = np.unique(a, return_inverse=True)[1]
    back = np.unique(b, return_inverse=True)[1]
    return _apart(codes, b) or _apart(back, a)


def _apart(codes: Codes, numbers: Floats) -> bool:
    size = int(codes.max()) + 1
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, codes, numbers)
    np.maximum.at(high, codes, numbers)
    order = np.argsort(low)
    return bool((high[order][:-1] < low[order][1:]).all())


def cut(values: Floats, classes: Codes) -> bool:
    """Whether the classes are intervals of an amount that touch each other: what a threshold leaves behind, NaN apart."""
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


def codes_of(values: pl.Series) -> Codes:
    """Level codes where missing is no level of its own unless values are missing."""
    codes = level_codes(values)
    return codes - codes.min()
