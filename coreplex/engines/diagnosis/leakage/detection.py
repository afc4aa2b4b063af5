"""Runs all detectors of target leakage: copies of the target, what was computed from it, what is known only afterwards.

The detectors run from the surest on; a column that one of them has flagged is left out of the later ones. None of them is
"predicts well": honest strong features (carat for price, petals for iris) come in company, have exceptions among a hundred
rows and gaps between their classes. `high` is what an experiment is warned of.
"""

from dataclasses import replace

from coreplex.engines.diagnosis.leakage import multi_column, single_column
from coreplex.engines.diagnosis.leakage.detector_input import DetectorInput
from coreplex.engines.diagnosis.leakage.leak import Leak


def find_leaks(data: DetectorInput) -> list[Leak]:
    """All leaks, severity high first, then by the score of the columns alone, highest first."""
    found: list[Leak] = []
    for detector in (*single_column.EXACT_DETECTORS, *multi_column.DETECTORS, *single_column.HEURISTIC_DETECTORS):
        found += detector(data, _settled(found))
    flagged = _settled(found)
    found = [leak for leak in found if leak.severity == "high" or leak.kind == "lookup" or not flagged & set(leak.columns)]
    ordered = sorted(found, key=lambda leak: (leak.severity != "high", -leak.alone))
    return [_with_next_best(data, leak, ordered) for leak in ordered]


def _settled(found: list[Leak]) -> set[str]:
    """Columns that later detectors skip: those of high leaks, and lookup keys, of which nothing else is to be said."""
    return {name for leak in found if leak.severity == "high" or leak.kind == "lookup" for name in leak.columns}


def _with_next_best(data: DetectorInput, leak: Leak, leaks: list[Leak]) -> Leak:
    """The leak with the score of the best column that no leak names."""
    flagged = {name for one in leaks for name in one.columns}
    others = [one.score for name, one in data.univariate.items() if name not in flagged]
    return replace(leak, next_best=round(max(others, default=0.0), 4), alone=round(leak.alone, 4))
