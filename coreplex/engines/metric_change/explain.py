"""Splits the change of a metric between two periods into causes whose parts sum to it.

Every cause is something of which the rows of the earlier period can be given what the later one has: how often values are
missing, how a column's values lie, how often each outcome comes. With the causes of a coalition the metric is what it would have
become by them alone; a cause's part is its Shapley value over all coalitions. What all of them together leave unexplained is the
`rest`: that outcomes depend on the columns in another way than they did (concept drift), or columns on each other.

Where the earlier period has rows of the kind, they are weighted (`raking`); where it has not, because a column stopped coming or
holds what it never held, values are replaced and rows answered anew (`replacing`). Attribution of a change of performance to
changes of distributions by Shapley values is that of Zhang et al. (2023); here without a causal graph.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.metric_change import causes
from coreplex.engines.metric_change.causes import Cause, Change
from coreplex.engines.metric_change.column import Column
from coreplex.engines.metric_change.judging import Answered, Worth
from coreplex.engines.metric_change.raking import rake
from coreplex.engines.metric_change.replacing import Row, masked, with_values
from coreplex.engines.metric_change.shapley import shapley

MOST_FEATURES = 6
"""Told one by one; further ones that have moved are one cause."""
NOISE = 2.0
"""Standard errors of the change within which a rest is taken for chance."""
ROUNDING = 1e-9
"""Of the metric: a smaller change is none, and has no causes."""
EXPLAINED = 1 / 3
"""Of a rest that may be left when a column is taken to have been measured otherwise."""
DRAWS = 200
"""Of the bootstrap."""
Answer = Callable[[Sequence[Row]], Answered]
"""What the model says to n rows; that what was true is as before is seen to."""


@dataclass(frozen=True)
class Side:
    """A period: n rows, with their columns under the model's names, and what was answered."""

    rows: Sequence[Row]
    answered: Answered


@dataclass(frozen=True)
class Part:
    """What a cause has done to the metric, in its unit. `replaced`: rows were answered anew for it."""

    cause: Cause
    features: tuple[str, ...]
    effect: float
    replaced: bool = False


@dataclass(frozen=True)
class Explained:
    """`before` and `after`: the metric in either period; `std_error`: of the change, by bootstrap; `parts`: they sum to the
    change, those that explain most of it first, and a rest within the noise last; none of a metric that did not change."""

    before: float
    after: float
    std_error: float
    parts: list[Part]

    @property
    def change(self) -> float:
        """Of the metric, in its unit."""
        return self.after - self.before


def explain(
    columns: Sequence[Column],
    before: Side,
    after: Side,
    worth: Worth,
    answer: Answer,
    *,
    replaceable: frozenset[str] | None = None,
    seed: int = 0,
) -> Explained | None:
    """Explain how a metric changed; None where it is not defined in either period.

    `columns`: how the inputs lie in both; `answer`: the model; `replaceable`: the columns it looks at, all where None is given.
    """
    draw = np.random.default_rng(seed)
    game = _Game(before, worth, answer)
    first, last = (float(worth(one.answered, np.ones((1, len(one.rows))))[0]) for one in (before, after))
    if not (np.isfinite(first) and np.isfinite(last)):
        return None
    if abs(last - first) <= ROUNDING * max(abs(first), abs(last)):
        return Explained(first, first, _error_of_change(worth, before, after, draw), [])
    used = frozenset(one.feature.name for one in columns) if replaceable is None else replaceable
    error = _error_of_change(worth, before, after, draw)

    def split(wrong: Change | None) -> list[Part]:
        changes = _changes(game, columns, before, after, used, draw, wrong)
        found = shapley(game.values(changes)).tolist()
        parts = [Part(one.cause, one.features, effect, one.replaces) for one, effect in zip(changes, found, strict=True)]
        return [*parts, Part(Cause.rest, (), last - first - float(np.sum(found)))]

    parts = split(None)
    if abs(parts[-1].effect) > NOISE * error:
        wrong = _measured_otherwise(game, columns, used, last, abs(parts[-1].effect), draw)
        again = split(wrong) if wrong else parts
        parts = min(parts, again, key=lambda one: abs(one[-1].effect))
    return Explained(first, last, error, _sorted(parts, last - first, NOISE * error))


def _measured_otherwise(
    game: "_Game", columns: Sequence[Column], used: frozenset[str], last: float, rest: float, draw: np.random.Generator
) -> Change | None:
    """The column of which other values for the same rows explain by themselves what is left to the rest, if there is one.

    A sensor that is stuck, another unit, values that are rounded, of which some are sent as 0, or that are noisy: what is true of
    the rows has not moved with the column, so no earlier row that looks like a later one has its outcome.
    """
    weighted = {one.features for one in causes.shifts(columns, used, draw) if not one.replaces}
    some = sorted(causes.shifts(columns, used, draw, used), key=lambda one: -one.moved)[:MOST_FEATURES]
    tried = [one for one in some if one.replaces and one.features in weighted]
    tried += causes.shifts_otherwise(columns, [one.features[0] for one in some if one.replaces], draw)
    left = [abs(last - float(game.values([one])[1])) for one in tried]
    return tried[int(np.argmin(left))] if left and min(left) <= EXPLAINED * rest else None


def _sorted(parts: list[Part], change: float, noise: float) -> list[Part]:
    """Those that explain most of the change first; a rest that may be chance comes last."""
    direction = 1.0 if change >= 0 else -1.0
    return sorted(parts, key=lambda part: (part.cause is Cause.rest and abs(part.effect) <= noise, -direction * part.effect))


def _changes(
    game: "_Game",
    columns: Sequence[Column],
    before: Side,
    after: Side,
    used: frozenset[str],
    draw: np.random.Generator,
    wrong: Change | None,
) -> list[Change]:
    """`wrong`: of the column that is measured otherwise, if there is one."""
    missing = causes.missing_values(columns, used, draw)
    found = causes.shifts(columns, used, draw)
    if wrong:
        found = [*(one for one in found if one.features != wrong.features), wrong]
    if before.answered.y is not None and after.answered.y is not None:
        width = before.answered.p.shape[1]
        label = causes.label_shift(before.answered.y, after.answered.y, classes=width if width > 1 else 0)
        found += [label] if label else []
    kept = [one for one in found if one.replaces]
    kept += causes.fewest([one for one in found if not one.replaces], len(before.rows))
    return [*([missing] if missing else []), *_ranked(game, kept)]


def _ranked(game: "_Game", shifts: list[Change]) -> list[Change]:
    """Those that do most by themselves, and the others together; of columns, those that have moved most are tried."""
    if len(shifts) <= MOST_FEATURES:
        return shifts
    labels = [one for one in shifts if one.cause is Cause.label_shift]
    columns = sorted((one for one in shifts if one.cause is not Cause.label_shift), key=lambda one: -one.moved)
    tried, nothing = columns[: causes.MOST_COMPARED], game.values([])[0]
    alone = [abs(game.values([one])[1] - nothing) for one in tried]
    ranked = [tried[at] for at in np.argsort(-np.nan_to_num(alone), kind="stable").tolist()] + columns[len(tried) :]
    told = MOST_FEATURES - len(labels)
    return [*ranked[:told], *labels, causes.together(ranked[told:])]


class _Game:
    """The metric of the earlier rows with any of the changes made to them."""

    def __init__(self, before: Side, worth: Worth, answer: Answer) -> None:
        self.before, self.worth, self.answer = before, worth, answer

    def values(self, changes: Sequence[Change]) -> NDArray[np.float64]:
        """(2^c,) of every coalition of c changes. Where the metric is not defined with one, it is as without its last change."""
        coalitions = [[one for at, one in enumerate(changes) if number >> at & 1] for number in range(1 << len(changes))]
        weights = np.stack([rake([m for one in made for m in one.margins], len(self.before.rows)) for made in coalitions])
        replacing = [
            frozenset(at for at, one in enumerate(changes) if one.replaces and number >> at & 1)
            for number in range(len(coalitions))
        ]
        found = np.empty(len(coalitions))
        for variant in set(replacing):
            members = [number for number, one in enumerate(replacing) if one == variant]
            answered = self._answered([changes[at] for at in sorted(variant)])
            found[members] = self.worth(answered, weights[members])
        for number in range(1, len(found)):
            if not np.isfinite(found[number]):
                found[number] = found[number & ~(1 << (number.bit_length() - 1))]
        return found

    def _answered(self, changes: Sequence[Change]) -> Answered:
        if not changes:
            return self.before.answered
        rows: Sequence[Row] = self.before.rows
        for one in changes:
            rows = with_values(rows, one.values)
        for one in changes:
            rows = masked(rows, one.gone)
        return replace(self.answer(rows), y=self.before.answered.y)


def _error_of_change(worth: Worth, before: Side, after: Side, draw: np.random.Generator) -> float:
    return float(np.hypot(_std_error(worth, before.answered, draw), _std_error(worth, after.answered, draw)))


def _std_error(worth: Worth, answered: Answered, draw: np.random.Generator) -> float:
    """Of a metric, by drawing the rows again (Efron 1979; with Poisson counts)."""
    found = worth(answered, draw.poisson(1.0, (DRAWS, len(answered.predicted))).astype(np.float64))
    return float(np.nanstd(found, ddof=1))
