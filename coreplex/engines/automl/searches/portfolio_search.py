"""The search of the native engine: a portfolio in a fixed good order, then a search around the best, on the folds of the run."""

import numpy as np

from coreplex.engines.automl.execution.run import Run
from coreplex.engines.automl.families.family import Candidate, families
from coreplex.engines.automl.searches.random_search import propose, searched
from coreplex.engines.automl.trial.costs import LEAST_ROWS
from coreplex.engines.automl.trial.portfolio import portfolio

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
        model = run.evaluate(candidate, run.share(_PARTS))
        if model is not None:
            run.publish(model)
    if not run.count:
        _insist(run, order)
    _explore(run)


def _insist(run: Run, order: list[Candidate]) -> None:
    """Where a share was too little for every candidate, give all that is left to the cheapest that comes to something."""
    for candidate in sorted(order, key=lambda one: run.costs.candidate(one, run.task, LEAST_ROWS, encoded=False)):
        if run.count or run.over:
            return
        model = run.evaluate(candidate, run.share(1), insist=True)
        if model is not None:
            run.publish(model)


def _explore(run: Run) -> None:
    """Random search until `stopping_rounds` candidates in a row bring no progress worth the tolerance."""
    draw = np.random.default_rng(run.task.seed)
    spaces = searched([family for family in families() if run.task.kind in family.kinds], run.config.algorithms)
    idle, lost = 0, 0
    while spaces and not run.over and lost < _LOST and not 0 < run.config.stopping_rounds <= idle:
        leaders = [m.candidate for m in run.board.ranked if m.candidate is not None]
        candidate = propose(leaders, spaces, run.config.exploitation_ratio, draw)
        if not run.may(candidate):
            return
        before = run.board.best
        model = run.evaluate(candidate, run.share(_PARTS))
        if model is None:
            idle, lost = idle + 1, lost + 1
            continue
        lost = 0
        run.publish(model)
        idle = 0 if before is None or _progress(run, before.score(run.board.metric), model.score(run.board.metric)) else idle + 1


def _progress(run: Run, before: float, after: float) -> bool:
    return after - before > run.config.stopping_tolerance * abs(before)
