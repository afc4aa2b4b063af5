"""Which configurations are tried, in which order: data, not search.

The order is the point: the first entry is done in a second or two, so that the leaderboard has a model at once; then one
of each family, as different from each other as can be, because that is what the ensemble lives on; then the second and
third of the strong ones. Values in the manner of AutoGluon's and H2O's portfolios. Each family enters its own candidates and says
where they stand (`families.family.Placed`); what a table is like moves them: categories of many levels, a skewed target.
"""

import numpy as np

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.families.family import Candidate, Placed, Traits, families
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.values import Canonical


def portfolio(task: Task) -> list[Candidate]:
    """The candidates for a task, best order first."""
    return [placed.candidate for placed in sorted(_placed(task), key=lambda one: one.place)]


def quick_first(task: Task) -> list[Candidate]:
    """The candidates with those before all others that can make a first model on few rows."""
    placed = sorted(_placed(task), key=lambda one: one.place)
    quick = sorted((one for one in placed if one.quick is not None), key=lambda one: one.quick or 0)
    return [one.candidate for one in (*quick, *placed)]


def _placed(task: Task) -> list[Placed]:
    traits = Traits(
        rows=len(task.y),
        kind=task.kind,
        outputs=task.outputs,
        levels=_most_levels(task),
        skewed=not task.classification and skewed(task),
        texts=bool(task.texts),
        texts_sparse_only=bool(task.sparse_only),
    )
    return [placed for family in families() if task.kind in family.kinds for placed in family.portfolio(traits)]


def _most_levels(task: Task) -> int:
    """Levels of the category that has the most of them; 0 for a table without categories."""
    seen = Canonical(task.frame)
    return max((choice.levels(column, seen.series(column)) for column in task.columns), default=0)


def skewed(task: Task) -> bool:
    """A target of amounts: never negative, with a long tail to the right, so that a logarithmic link fits it better."""
    y = np.asarray(task.y, dtype=np.float64)
    spread = float(y.std())
    return bool(y.min() >= 0 and spread > 0 and ((y - y.mean()) ** 3).mean() / spread**3 > 1.0)
