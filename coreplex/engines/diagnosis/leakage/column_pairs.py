"""Finds pairs of columns that determine the target together where neither does alone: differences, sums, ratios and products
of numbers, differences of times and of clock times, combinations of two categories.

Every pair is screened on a few hundred rows: sorted by the derived value, do neighbours share the target? What passes is measured
on the whole sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.diagnosis.leakage import exact_relations, univariate
from coreplex.engines.diagnosis.leakage.detector import VERIFY_TIMING, DetectorInput, Leak
from coreplex.engines.diagnosis.leakage.univariate import Codes, EncodedTarget, Floats
from coreplex.errors.tree import Message

SCREENED_ROWS = 600
MOST_NUMERIC, MOST_CATEGORICAL, MOST_LEVELS = 80, 40, 25
"""Numeric and categorical columns that are paired at most, and levels a categorical one has at most."""
DECIDING_SKILL = 0.97
"""Fraction of the target's variance a pair must explain."""
ERROR_RATIO = 5.0
"""The best single column leaves at least this many times the squared error that the pair leaves."""
MOST_ALONE_IF_EXACT = 0.9
"""Skill of the best single column above which an exact relation of a pair proves nothing."""
LEAST_OF_CLASS = 10
DAY, EARLY = 1440, 360
"""Minutes; what is later by less than 18 hours is not earlier by more than 6."""
_JOINED = {
    "−": "by their difference",
    "+": "by their sum",
    "×": "by their product",
    "÷": "by their ratio",
    "minutes": "by the minutes between them, read as clock times",
    "with": "by the combination of their values",
}


@dataclass(frozen=True)
class ColumnPair:
    """Columns `first` and `second`, joined by `how` (−, +, ÷, ×, minutes or with), and how well the result predicts the target.

    `skill`: fraction of variance explained out of fold, at most 1; `score`: in the target's metric.
    """

    first: str
    second: str
    how: str
    skill: float
    score: float


def determining_pairs(data: DetectorInput, flagged: set[str]) -> Iterator[Leak]:
    seen: set[str] = set(flagged)
    for pair in deciding_pairs(data, flagged):
        if {pair.first, pair.second} & seen:
            continue
        seen |= {pair.first, pair.second}
        names = (pair.first, pair.second)
        said = Message(
            "leak_of_pair",
            "Columns {first!r} and {second!r} settle {target!r} together ({how}; {percent:.1f} % explained), and neither does "
            "alone.",
            first=pair.first,
            second=pair.second,
            target=data.name,
            how=_JOINED[pair.how],
            percent=100 * pair.skill,
        ).then(VERIFY_TIMING)
        yield Leak(
            "pair", names, "high", said, pair.score, 0.0, _leave_out(data, pair), {"how": pair.how, "skill": round(pair.skill, 4)}
        )


def _leave_out(data: DetectorInput, pair: ColumnPair) -> tuple[str, ...]:
    """The columns of a pair to leave out: of two times the later one; of a difference or ratio, what rises with the target.

    Both of anything else: a sum, a product and a combination fall apart into parts of the outcome.
    """
    names = (pair.first, pair.second)
    if pair.how not in ("−", "÷", "minutes"):
        return names
    first, second = (data.numbers[name] for name in names)
    with np.errstate(all="ignore"):
        between = first / second if pair.how == "÷" else first - second
    if data.frame.get_column(pair.first).dtype.is_temporal():
        return (pair.first,) if np.nanmean(between) > 0 else (pair.second,)
    if data.classification:
        return names
    known = np.isfinite(between)
    along = np.corrcoef(univariate.average_ranks(between[known]), data.target.codes[known])[0, 1]
    return (pair.first,) if along > 0 else (pair.second,)


def deciding_pairs(data: DetectorInput, flagged: set[str]) -> list[ColumnPair]:
    """The pairs of columns, none `flagged`, that determine the target where no single one comes near; highest skill first.

    What there was no time for is added to `data.unfinished`.
    """
    best = max((data.skill(name) for name in data.univariate if name not in flagged), default=0.0)
    if 1 - best < (1 - DECIDING_SKILL) * ERROR_RATIO:
        return []
    found = [*_numeric_pairs(data, flagged, best), *_categorical_pairs(data, flagged, best)]
    return sorted(found, key=lambda pair: -pair.skill)


def _numeric_pairs(data: DetectorInput, flagged: set[str], best: float) -> Iterator[ColumnPair]:
    names = [name for name in data.numbers if name not in flagged]
    if len(names) > MOST_NUMERIC:
        data.unfinished.append(
            Message(
                "amount_pairs_among_first",
                "Pairs of amounts were tried among the first {most} of {count} columns.",
                most=MOST_NUMERIC,
                count=len(names),
            )
        )
    names = names[:MOST_NUMERIC]
    rows = _screening_rows(data.target)
    sampled = np.column_stack([data.numbers[name][rows] for name in names]) if names else np.empty((len(rows), 0))
    clocks = {name: minutes for name in names if (minutes := _minutes_of_day(data.numbers[name])) is not None}
    for number, first in enumerate(names):
        if data.deadline.over:
            data.unfinished.append(
                Message(
                    "amounts_not_paired",
                    "Pairs of amounts: {left} of {count} columns were not paired.",
                    left=len(names) - number,
                    count=len(names),
                )
            )
            return
        for how, values in combinations_of(sampled[:, [number]], sampled[:, number + 1 :]).items():
            for place in np.flatnonzero(_neighbours_agree(values, data.target, rows)):
                second = names[number + 1 + place]
                whole = combinations_of(data.numbers[first], data.numbers[second])[how]
                yield from _measured(data, (first, second, how), whole, best)
        for second in clocks if first in clocks else ():
            between = _around_midnight(clocks[first] - clocks[second])
            if first < second and _neighbours_agree(between[rows, None], data.target, rows)[0]:
                yield from _measured(data, (first, second, "minutes"), between, best)


def combinations_of(a: Floats, b: Floats) -> dict[str, Floats]:
    """Difference, sum, product and ratio of two arrays, by sign: of their broadcast shape, NaN where not finite."""
    with np.errstate(all="ignore"):
        made = {"−": a - b, "+": a + b, "×": a * b, "÷": a / b}
    return {how: np.where(np.isfinite(values), values, np.nan) for how, values in made.items()}


def _minutes_of_day(values: Floats) -> Floats | None:
    """(n,) minutes of the day, 0 to 1440, of clock times such as 517 or 2359; None where other numbers are among them."""
    known = values[~np.isnan(values)]
    if not len(known) or known.min() < 0 or known.max() > 2400 or known.max() < 1000 or (known != np.round(known)).any():
        return None
    return None if (known % 100 >= 60).any() else np.asarray(values // 100 * 60 + values % 100)


def _around_midnight(minutes: Floats) -> Floats:
    return np.asarray((minutes + EARLY) % DAY - EARLY)


def _screening_rows(target: EncodedTarget) -> NDArray[np.int64]:
    """Row numbers to screen by: as many of each class, so that rare ones count; random ones for a number."""
    rng = np.random.default_rng(0)
    if not target.classification:
        return np.sort(rng.permutation(target.rows)[:SCREENED_ROWS])
    classes = np.unique(target.codes[target.codes < univariate.CLASSES])
    each = max(SCREENED_ROWS // len(classes), 10)
    return np.concatenate([rng.permutation(np.flatnonzero(target.codes == index))[:each] for index in classes])


def _neighbours_agree(values: Floats, target: EncodedTarget, rows: Codes) -> NDArray[np.bool_]:
    """Which columns of values (n, m) put rows next to each other that are much more alike in the target than by chance."""
    order = np.argsort(values, axis=0, kind="stable")  # NaN comes last
    known = (~np.isnan(values)).sum(axis=0)
    sorted_codes = target.codes[rows][order]
    inside = np.arange(len(rows) - 1)[:, None] < known - 1
    steps = np.where(inside, np.diff(sorted_codes, axis=0), 0)
    enough = known >= max(30, len(rows) // 2)
    if target.classification:
        shares = np.bincount(target.codes[rows]) / len(rows)
        expected = (1 - (shares**2).sum()) * known
        return np.asarray(enough & (expected > 10) & ((steps != 0).sum(axis=0) <= 0.1 * expected + (shares > 0).sum()))
    spread = target.codes[rows].var()
    return np.asarray(enough & (spread > 0) & ((steps.astype(np.float64) ** 2).sum(axis=0) <= 0.1 * spread * known))


def _measured(data: DetectorInput, names: tuple[str, str, str], values: Floats, alone: float) -> Iterator[ColumnPair]:
    """The pair (first, second, how), if its derived value holds on the whole sample what the screening promised."""
    if alone < MOST_ALONE_IF_EXACT and _exact(values, data.target):
        yield ColumnPair(*names, 1.0, 1.0)
        return
    order, absent = univariate.sorted_rows(values, data.target.ties)
    predictions = [univariate.neighbour_means(order, absent, truth, univariate.NEIGHBOURS) for truth in data.target.responses]
    yield from _judged(data, names, predictions, alone)


def _exact(values: Floats, target: EncodedTarget) -> bool:
    """Whether the classes were cut from the derived amount, or the number rises or falls with it, without exception."""
    if not target.classification:
        return exact_relations.is_monotone(values, target.responses[0][:, 0])
    rarest = int(np.bincount(target.codes).min())
    return (
        rarest >= LEAST_OF_CLASS
        and int(target.codes.max()) < univariate.CLASSES
        and exact_relations.is_thresholding(values, target.codes)
    )


def _categorical_pairs(data: DetectorInput, flagged: set[str], alone: float) -> Iterator[ColumnPair]:
    codes: dict[str, Codes] = {}
    for column in data.features:
        values = data.frame.get_column(column.name)
        if values.dtype.is_temporal() or values.dtype.is_float() or column.name in flagged:
            continue
        if 2 <= values.n_unique() <= MOST_LEVELS:
            codes[column.name] = univariate.level_codes(values)
    if len(codes) > MOST_CATEGORICAL:
        data.unfinished.append(
            Message(
                "category_pairs_among_first",
                "Pairs of categories were tried among the first {most} of {count} columns.",
                most=MOST_CATEGORICAL,
                count=len(codes),
            )
        )
    for first, second in combinations(list(codes)[:MOST_CATEGORICAL], 2):
        if data.deadline.over:
            data.unfinished.append(Message("category_pairs_not_all_tried", "Pairs of categories were not all tried."))
            return
        joined = np.unique(codes[first] * (int(codes[second].max()) + 1) + codes[second], return_inverse=True)[1]
        if 10 * (int(joined.max()) + 1) > data.target.rows:
            continue
        predictions = [univariate.level_means(joined, truth, data.target.folds) for truth in data.target.responses]
        yield from _judged(data, (first, second, "with"), predictions, alone)


def _judged(data: DetectorInput, names: tuple[str, str, str], predictions: list[Floats], alone: float) -> Iterator[ColumnPair]:
    """The pair by the response it predicts best, if it determines the target with far less error than the best column."""
    skills = [
        univariate.variance_explained(truth, predicted)
        for truth, predicted in zip(data.target.responses, predictions, strict=True)
    ]
    response = int(np.argmax(skills))
    if skills[response] >= DECIDING_SKILL and (1 - skills[response]) * ERROR_RATIO <= 1 - alone:
        yield ColumnPair(*names, skills[response], data.target.score(predictions[response], response))
