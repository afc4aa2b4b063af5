"""What gives the target away: copies of it, what was computed from it, what is known only afterwards.

The searches, from the surest on; a column that one of them has accused is left out of the later ones. None of them is "predicts
well": honest strong features (carat for price, petals for iris) come in company, have exceptions among a hundred rows and gaps
between their classes. `high` is what an experiment is warned of.
"""

from dataclasses import replace

from coreplex.engines.diagnosis.leakage import multi_column, single_column
from coreplex.engines.diagnosis.leakage.detector_input import Case
from coreplex.engines.diagnosis.leakage.leak import Leak


def find(case: Case) -> list[Leak]:
    """All leaks, the gravest and strongest first."""
    found: list[Leak] = []
    for search in (*single_column.CERTAIN, *multi_column.SEARCHES, *single_column.DOUBTFUL):
        found += search(case, _settled(found))
    accused = _settled(found)
    found = [leak for leak in found if leak.severity == "high" or leak.kind == "lookup" or not accused & set(leak.columns)]
    ordered = sorted(found, key=lambda leak: (leak.severity != "high", -leak.alone))
    return [_beside(case, leak, ordered) for leak in ordered]


def _settled(found: list[Leak]) -> set[str]:
    """Columns no later search needs to look at: those accused, and keys, of which nothing else is to be said."""
    return {name for leak in found if leak.severity == "high" or leak.kind == "lookup" for name in leak.columns}


def _beside(case: Case, leak: Leak, leaks: list[Leak]) -> Leak:
    """With the score of the best column that is not accused."""
    accused = {name for one in leaks for name in one.columns}
    others = [probe.score for name, probe in case.probes.items() if name not in accused]
    return replace(leak, next_best=round(max(others, default=0.0), 4), alone=round(leak.alone, 4))
