"""What the candidate would have gained or cost where outcomes are known: loss of the answer given minus its own, row by row.

The loss of a class is 0 or 1, of a number its absolute error. A row without an answer costs as much as the worst: 1, or the
largest error that either has made. Rows of one unit are alike, so that their mean is one value of what is compared.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.performance.realised import Judge
from coreplex.engines.replay.pairs import Pairs
from coreplex.engines.replay.verdict import usual_margin
from coreplex.engines.sequential.paired_gain import Gain, class_gain, number_gain
from coreplex.engines.sequential.sample import Sample

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


class Losses(NamedTuple):
    """Of the rows with outcomes: their places, the loss of both, which unit each is of, and the largest loss there is."""

    places: Places
    served: Floats
    candidate: Floats
    units: Places
    reach: float

    def among(self, chosen: NDArray[np.bool_]) -> "Losses":
        """Those of some of the rows, by their places among all; the reach stays that of all."""
        kept = chosen[self.places]
        return self._replace(**{name: getattr(self, name)[kept] for name in ("places", "served", "candidate", "units")})


def losses(pairs: Pairs) -> Losses:
    """Of the rows whose outcome is known."""
    places = np.array([place for place, one in enumerate(pairs.outcomes) if one is not None], dtype=np.int64)
    outcomes, given, answers = ([column[place] for place in places] for column in (pairs.outcomes, pairs.given, pairs.answers))
    _, units = np.unique(np.array([pairs.units[place] for place in places], dtype=np.str_), return_inverse=True)
    if pairs.is_class:
        served, candidate = (_wrong(column, outcomes) for column in (given, answers))
        return Losses(places, served, candidate, units, 1.0)
    served, candidate = (_errors(column, outcomes) for column in (given, answers))
    reach = float(np.nanmax([*served, *candidate], initial=0.0))
    return Losses(places, served, np.where(np.isnan(candidate), reach, candidate), units, reach)


def _wrong(answers: Sequence[Any], outcomes: Sequence[Any]) -> Floats:
    return np.array([answer != outcome for answer, outcome in zip(answers, outcomes, strict=True)], dtype=np.float64)


def _errors(answers: Sequence[Any], outcomes: Sequence[Any]) -> Floats:
    return np.abs(np.array([np.nan if one is None else one for one in answers]) - np.array(outcomes, dtype=np.float64))


def units_of(found: Losses) -> Floats:
    """(u,) the mean gain of each unit."""
    rows = np.bincount(found.units)
    gains = np.bincount(found.units, found.served - found.candidate)
    return gains[rows > 0] / rows[rows > 0]


def gain(found: Losses, is_class: bool, confidence: float) -> Gain | None:
    """The mean gain over units with its interval at a confidence of 0 to 1; None before there are outcomes enough."""
    each = units_of(found)
    sample = Sample(len(each), float(each.sum()), float(np.square(each).sum()))
    return class_gain(sample, confidence) if is_class else number_gain(sample, found.reach, confidence)


def margin_of(found: Losses, is_class: bool) -> float:
    """What the candidate may cost where nothing is said."""
    return usual_margin(is_class, float(found.served.mean()) if found.served.size else None)


def metrics(pairs: Pairs, judge: Judge) -> list[dict[str, Any]]:
    """The leaderboard's metrics of both over the rows that both answered: name, of the answers given, of the candidate's."""
    if not pairs.judged:
        return []
    outcomes = [pairs.outcomes[place] for place in pairs.judged]
    served, candidate = (judge.metrics(judge.rows(side, outcomes)) for side in zip(*pairs.judged.values(), strict=True))
    return [{"name": name, "served": value, "candidate": candidate[name]} for name, value in served.items()]
