"""Evidence of drift that may be looked at after every row, with a promise for all looks of a month together.

Each score of a feature is bet on, upwards and downwards (what is new only upwards), at a few stakes: a bet's capital is
multiplied by 1 + stake (score - mean) for each row, which gains nothing on average while the mean is where training has it,
give or take what training leaves open and what would not matter (`FLOOR`). Capital put in at time t that is worth x by now is
evidence x that something moved after t. Some is put in at every look, all that of 30 days together being 1, so that by
Ville's inequality the capital of a deployment whose data do not move reaches `1 / ALPHA` in at most a share `ALPHA` of all
months, however often somebody looks and however features hang together (Waudby-Smith & Ramdas 2024, "Estimating means of
bounded random variables by betting"; Shin, Ramdas & Rinaldo 2023, "E-detectors").
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from math import log

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift.bins import LevelBins
from coreplex.engines.drift.layout import Counts, Layout, Part
from coreplex.engines.drift.scores import Score, scores

ALPHA = 0.05
MONTH = timedelta(days=30)
FLOOR = 0.01
"""Of a score: a mean rank, or the share of a category, that moves by less is no drift."""
ANSWER_FLOOR = 0.03
"""Of an answer, at least: those out-of-fold are of copies, which answer a little otherwise than what serves (`Feature.floor`)."""
MISTAKEN = 0.1
"""How often, of all layouts, training's mean of any score may be further off than is allowed for (Bonferroni)."""
STAKES = (0.03, 0.06, 0.12, 0.24)
"""Of standardised scores."""
MOST_LOST = 0.9
"""Of its capital a bet may lose with one row."""
MOST = 8.0
"""Logarithm that the capital of a bet grows to at most: beyond all doubt, and soon lost when data are again as they were."""

Capital = NDArray[np.float64]


@dataclass(frozen=True)
class Bets:
    """All bets on one feature: (n, size) logarithms of what a row in each bin multiplies them by."""

    part: Part
    factors: NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """The bets on a layout, `size` of them, the same for every look. Their capital is the caller's to keep."""

    layout: Layout

    @cached_property
    def bets(self) -> tuple[Bets, ...]:
        """By feature."""
        inputs = len(self.layout.inputs)
        judged = [(part, list(scores(part.feature))) for part in self.layout.parts]
        chance = MISTAKEN / 2 / max(sum(len(own) for _, own in judged), 1)
        least = [FLOOR if place < inputs else ANSWER_FLOOR for place in range(len(judged))]
        made = [(part, _factors(part, own, floor, chance)) for (part, own), floor in zip(judged, least, strict=True)]
        return tuple(Bets(part, np.array(rows)) for part, rows in made if rows)

    @cached_property
    def size(self) -> int:
        """How many bets there are."""
        return sum(len(one.factors) for one in self.bets)

    def begin(self) -> Capital:
        """(size,) logarithms of the capital before anything is put in."""
        return np.full(self.size, -np.inf)

    def after(self, capital: Capital, found: Counts, elapsed: timedelta) -> Capital:
        """The capital when (layout.size,) further counts have come, `elapsed` after the look before."""
        share = min(max(elapsed / MONTH, 0.0), 1.0)
        put = log(share / max(self.size, 1)) if share else -np.inf
        gains = [one.factors @ one.part.of(found) for one in self.bets]
        gained = np.concatenate(gains) if gains else np.zeros(0)
        return np.minimum(np.logaddexp(capital, put) + gained, MOST)

    def total(self, capital: Capital) -> float:
        """Logarithm of all capital together; what reaches `-log(ALPHA)` is drift."""
        return float(np.logaddexp.reduce(capital)) if len(capital) else -np.inf

    def by_feature(self, capital: Capital) -> dict[str, float]:
        """The same of each feature."""
        ends = np.cumsum([len(one.factors) for one in self.bets])
        parts = np.split(capital, ends[:-1])
        return {one.part.feature.name: self.total(own) for one, own in zip(self.bets, parts, strict=True)}


def _factors(part: Part, own: Iterable[Score], least: float, chance: float) -> list[NDArray[np.float64]]:
    """One row of logarithms for each score, direction and stake. `least`: by how much a mean must move at least."""
    floors = [(one, max(least, _reach(part, one))) for one in own]
    means = [(one, way, one.end(way, chance) + way * floor) for one, floor in floors for way in one.ways]
    return [row for score, way, mean in means if 0.0 < mean < 1.0 for row in _on(score, way, mean)]


def _reach(part: Part, score: Score) -> float:
    """The most by which the mean of a score may move where the distributions lie apart as far as the feature's floor."""
    if not part.feature.floor or isinstance(part.feature.bins, LevelBins):
        return part.feature.floor
    return part.feature.floor * float(np.abs(np.diff(score.values[: part.feature.bins.missing])).sum())


def _on(score: Score, direction: float, mean: float) -> Iterable[NDArray[np.float64]]:
    """Bets that the mean lies beyond `mean`, in one direction."""
    distance = direction * (score.values - mean)
    worst = max(-float(distance.min()), 1e-9)
    for stake in STAKES:
        yield np.log1p(min(stake / score.deviation, MOST_LOST / worst) * distance)
