"""Pairs of columns that settle the target together where neither does alone: differences, sums, ratios and products of
amounts, differences of times and of clock times, two categories.

Every pair is screened on a few hundred rows: sorted by the derived value, do neighbours share the target? What passes is probed
on the whole sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.diagnosis.leakage import functional_relations, univariate
from coreplex.engines.diagnosis.leakage.detector_input import Case
from coreplex.engines.diagnosis.leakage.univariate import Codes, Floats, Target

SCREENED_ROWS = 600
AMOUNTS, CATEGORIES, LEVELS = 80, 40, 25
"""Columns that are paired at most, and levels of one that is a category."""
SETTLED = 0.97
FAR = 5.0
"""The pair leaves a fraction of the error that its better column leaves: this many times less."""
WEAK = 0.9
"""A pair may only be exact where no column alone nearly is."""
LEAST_OF_CLASS = 10
DAY, EARLY = 1440, 360
"""Minutes; what is later by less than 18 hours is not earlier by more than 6."""


@dataclass(frozen=True)
class Pair:
    """`first` and `second`, joined by `how` (−, +, ÷, ×, minutes or with), give `skill` and the `score` in the metric."""

    first: str
    second: str
    how: str
    skill: float
    score: float


def settled(case: Case, accused: set[str]) -> list[Pair]:
    """The pairs that settle the target, the best first, where no column that is not accused comes near alone."""
    best = max((case.skill(name) for name in case.probes if name not in accused), default=0.0)
    if 1 - best < (1 - SETTLED) * FAR:
        return []
    found = [*_amounts(case, accused, best), *_categories(case, accused, best)]
    return sorted(found, key=lambda pair: -pair.skill)


def _amounts(case: Case, accused: set[str], best: float) -> Iterator[Pair]:
    names = [name for name in case.numbers if name not in accused]
    if len(names) > AMOUNTS:
        case.unfinished.append(f"Pairs of amounts were tried among the first {AMOUNTS} of {len(names)} columns.")
    names = names[:AMOUNTS]
    rows = _screened(case.target)
    sampled = np.column_stack([case.numbers[name][rows] for name in names]) if names else np.empty((len(rows), 0))
    clocks = {name: minutes for name in names if (minutes := _clock(case.numbers[name])) is not None}
    for number, first in enumerate(names):
        if case.deadline.over:
            case.unfinished.append(f"Pairs of amounts: {len(names) - number} of {len(names)} columns were not paired.")
            return
        for how, values in derived(sampled[:, [number]], sampled[:, number + 1 :]).items():
            for place in np.flatnonzero(_neighbours_agree(values, case.target, rows)):
                second = names[number + 1 + place]
                whole = derived(case.numbers[first], case.numbers[second])[how]
                yield from _probed(case, (first, second, how), whole, best)
        for second in clocks if first in clocks else ():
            between = _around_midnight(clocks[first] - clocks[second])
            if first < second and _neighbours_agree(between[rows, None], case.target, rows)[0]:
                yield from _probed(case, (first, second, "minutes"), between, best)


def derived(a: Floats, b: Floats) -> dict[str, Floats]:
    """What amounts make together, of their common shape, NaN where it is not to be had."""
    with np.errstate(all="ignore"):
        made = {"−": a - b, "+": a + b, "×": a * b, "÷": a / b}
    return {how: np.where(np.isfinite(values), values, np.nan) for how, values in made.items()}


def _clock(values: Floats) -> Floats | None:
    """Minutes of the day of numbers such as 517 or 2359; None for other numbers."""
    known = values[~np.isnan(values)]
    if not len(known) or known.min() < 0 or known.max() > 2400 or known.max() < 1000 or (known != np.round(known)).any():
        return None
    return None if (known % 100 >= 60).any() else np.asarray(values // 100 * 60 + values % 100)


def _around_midnight(minutes: Floats) -> Floats:
    return np.asarray((minutes + EARLY) % DAY - EARLY)


def _screened(target: Target) -> NDArray[np.int64]:
    """Rows to screen by: of each class alike, so that rare ones count; all sorts of a number."""
    rng = np.random.default_rng(0)
    if not target.classification:
        return np.sort(rng.permutation(target.rows)[:SCREENED_ROWS])
    classes = np.unique(target.codes[target.codes < univariate.CLASSES])
    each = max(SCREENED_ROWS // len(classes), 10)
    return np.concatenate([rng.permutation(np.flatnonzero(target.codes == index))[:each] for index in classes])


def _neighbours_agree(values: Floats, target: Target, rows: Codes) -> NDArray[np.bool_]:
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


def _probed(case: Case, names: tuple[str, str, str], values: Floats, alone: float) -> Iterator[Pair]:
    """The pair (first, second, how), if its derived value holds on the whole sample what the screening promised."""
    if alone < WEAK and _exact(values, case.target):
        yield Pair(*names, 1.0, 1.0)
        return
    order, absent = univariate.in_order(values, case.target.ties)
    guesses = [univariate.by_neighbours(order, absent, truth, univariate.NEIGHBOURS) for truth in case.target.looks]
    yield from _judged(case, names, guesses, alone)


def _exact(values: Floats, target: Target) -> bool:
    """Whether the classes were cut from the derived amount, or the number rises or falls with it, without exception."""
    if not target.classification:
        return functional_relations.monotone(values, target.looks[0][:, 0])
    rarest = int(np.bincount(target.codes).min())
    return (
        rarest >= LEAST_OF_CLASS
        and int(target.codes.max()) < univariate.CLASSES
        and functional_relations.cut(values, target.codes)
    )


def _categories(case: Case, accused: set[str], alone: float) -> Iterator[Pair]:
    codes: dict[str, Codes] = {}
    for column in case.features:
        values = case.frame.get_column(column.name)
        if values.dtype.is_temporal() or values.dtype.is_float() or column.name in accused:
            continue
        if 2 <= values.n_unique() <= LEVELS:
            codes[column.name] = univariate.level_codes(values)
    if len(codes) > CATEGORIES:
        case.unfinished.append(f"Pairs of categories were tried among the first {CATEGORIES} of {len(codes)} columns.")
    for first, second in combinations(list(codes)[:CATEGORIES], 2):
        if case.deadline.over:
            case.unfinished.append("Pairs of categories were not all tried.")
            return
        joined = np.unique(codes[first] * (int(codes[second].max()) + 1) + codes[second], return_inverse=True)[1]
        if 10 * (int(joined.max()) + 1) > case.target.rows:
            continue
        guesses = [univariate.by_level(joined, truth, case.target.folds) for truth in case.target.looks]
        yield from _judged(case, (first, second, "with"), guesses, alone)


def _judged(case: Case, names: tuple[str, str, str], guesses: list[Floats], alone: float) -> Iterator[Pair]:
    """The pair by its best look, if it settles the target and leaves far less than the best column alone."""
    skills = [univariate.explained(truth, guess) for truth, guess in zip(case.target.looks, guesses, strict=True)]
    look = int(np.argmax(skills))
    if skills[look] >= SETTLED and (1 - skills[look]) * FAR <= 1 - alone:
        yield Pair(*names, skills[look], case.target.score(guesses[look], look))
