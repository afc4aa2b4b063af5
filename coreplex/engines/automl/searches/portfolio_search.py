"""The search of the native engine: a portfolio of candidates in a fixed good order, then a random search around the best.

The order is the point: the first entry is done in a second or two, so that the leaderboard has a model at once; then one of each
family, as different from each other as can be, because that is what the ensemble lives on; then the second and third of the
strong ones. Values in the manner of AutoGluon's and H2O's portfolios. Each family enters its own candidates and says where they
stand (`families.family.Placed`), and where others are drawn from (`Family.space`); what a table is like moves them: categories
of many levels, a skewed target. With folds and an ensemble behind it, what counts is that candidates are sound and unlike each
other.
"""

from collections.abc import Sequence

import numpy as np

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.execution.run import Run
from coreplex.engines.automl.families.family import Candidate, Family, Placed, Space, Traits, families
from coreplex.engines.automl.trial.costs import LEAST_ROWS
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.values import Canonical

_PARTS = 3
"""A candidate may take a third of what is left: a slow one must not be the last."""
_LOST = 20
"""So many candidates in a row that come to nothing end the search."""


def search(run: Run) -> None:
    """Publish models until the portfolio and the search are done or the run is over."""
    order = [candidate for candidate in portfolio(run.task) if run.may(candidate)]
    for candidate in order:
        if run.over:
            return
        run.train(candidate, run.share(_PARTS))
    if not run.count:
        _insist(run, order)
    _explore(run)


def _insist(run: Run, order: list[Candidate]) -> None:
    """Where a share was too little for every candidate, give all that is left to the cheapest that comes to something."""
    for candidate in sorted(order, key=lambda one: run.costs.candidate(one, run.task, LEAST_ROWS, encoded=False)):
        if run.count or run.over:
            return
        run.train(candidate, run.share(1), insist=True)


def _explore(run: Run) -> None:
    """Random search until `stopping_rounds` candidates in a row bring no progress worth the tolerance."""
    draw = np.random.default_rng(run.task.seed)
    spaces = _spaces(run)
    idle, lost = 0, 0
    while spaces and not run.over and lost < _LOST and not 0 < run.config.stopping_rounds <= idle:
        leaders = [m.candidate for m in run.board.ranked if m.candidate is not None]
        candidate = _propose(leaders, spaces, run.config.exploitation_ratio, draw)
        if not run.may(candidate):
            return
        before = run.board.best
        model = run.train(candidate, run.share(_PARTS))
        if model is None:
            idle, lost = idle + 1, lost + 1
        else:
            idle, lost = 0 if before is None or _progress(run, before, model) else idle + 1, 0


def _progress(run: Run, before: Finished, after: Finished) -> bool:
    was = before.score(run.board.metric)
    return after.score(run.board.metric) - was > run.config.stopping_tolerance * abs(was)


def _spaces(run: Run) -> list[tuple[Family, Space]]:
    """The families with a space whose first algorithm, the one drawn, was asked for; each with its space."""
    known = [one for one in families() if run.task.kind in one.kinds and one.algorithms[0].name in run.config.algorithms]
    return [(family, family.space) for family in known if family.space is not None]


def _propose(
    best: Sequence[Candidate], spaces: Sequence[tuple[Family, Space]], exploitation: float, draw: np.random.Generator
) -> Candidate:
    """A candidate not tried yet, in one of the `spaces` (one at least). `best`: the leaders so far, best first;
    `exploitation`: how many of the proposals, 0 to 1, are near one of the best three."""
    within = dict(spaces)
    leaders = [one for one in best if one.family in within][:3]
    if leaders and draw.random() < exploitation:
        leader = leaders[int(draw.integers(len(leaders)))]
        return _near(leader, within[leader.family], draw)
    weights = np.array([space.weight for _, space in spaces])
    return _anywhere(*spaces[int(draw.choice(len(spaces), p=weights / weights.sum()))], draw)


def _anywhere(family: Family, space: Space, draw: np.random.Generator) -> Candidate:
    drawn = {name: sample(draw) for name, sample in space.drawn.items()}
    return Candidate(family.algorithms[0].name, family, {**space.fixed, **drawn})


def _near(leader: Candidate, space: Space, draw: np.random.Generator) -> Candidate:
    """A leader with up to two of its parameters drawn anew."""
    changed = draw.choice(sorted(space.drawn), size=min(2, len(space.drawn)), replace=False)
    return leader.like(**{str(name): space.drawn[str(name)](draw) for name in changed})


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
