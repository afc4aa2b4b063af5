"""Raises the learning rate of a booster that has less time than its small steps need.

How far boosting has to go, in rounds times learning rate, is a trait of the table: noise is learned by in a hundred small steps,
a sum of clock times not in a thousand. What the run's boosters needed so far says it, and the costs say how many rounds there is
time for. Where those are too few, larger steps lose less than an end half way: on flights, cut at 264 rounds, an RMSE of
11.4 of one booster became 9.2 at three times the rate.
"""

from collections.abc import Sequence
from typing import cast

from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.trial.cross_validation import Finished

_FASTER, _FASTEST = 3.0, 0.2
"""So many times its own rate, and no more than this, is taken."""
_FURTHER, _FURTHEST = 2.5, 60.0
"""So many times further than where it was cut a booster is taken to have had to go, and the most that is aimed at."""
_WORTH = 1.2


def raised(candidate: Candidate, finished: Sequence[Finished], rounds: float) -> Candidate:
    """The booster at the rate at which so many rounds get as far as the `finished` ones had to go; never at a lesser one."""
    distances = [_distance(model) for model in finished if model.candidate is not None and model.candidate.family.booster]
    if not distances:
        return candidate
    rate = min(max(distances) / max(rounds, 1.0), _FASTER * candidate.rate, max(_FASTEST, candidate.rate))
    return candidate.at_rate(rate) if rate > _WORTH * candidate.rate else candidate


def _distance(model: Finished) -> float:
    """Rounds times rate: as many as it took, or as it may have needed where it was cut."""
    assert model.candidate is not None
    went = cast(int, model.parameters["rounds"]) * model.candidate.rate
    return min(_FURTHER * went, _FURTHEST) if model.cut else went
