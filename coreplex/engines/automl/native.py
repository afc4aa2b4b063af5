"""The native engine: a portfolio in a fixed good order, then a search around the best, on the folds of the run."""

import numpy as np

from coreplex.engines.automl.portfolio import portfolio, supports
from coreplex.engines.automl.run import Run
from coreplex.engines.automl.search import propose

_PARTS = 3
"""A candidate may take a third of what is left: a slow one must not be the last."""


def search(run: Run) -> None:
    """Publish models until the portfolio and the search are done or the run is over."""
    allowed = run.config.algorithms
    for candidate in portfolio(run.task):
        if run.over:
            return
        if candidate.algo in allowed and supports(candidate, run.problem.distribution):
            model = run.evaluate(candidate, run.share(_PARTS))
            if model is not None:
                run.publish(model)
    _explore(run, allowed)


def _explore(run: Run, allowed: set[str]) -> None:
    """Random search until `stopping_rounds` candidates in a row bring no progress worth the tolerance."""
    draw = np.random.default_rng(run.task.seed)
    idle = 0
    while not run.over and not 0 < run.config.stopping_rounds <= idle:
        leaders = [m.candidate for m in run.board.ranked if m.candidate is not None]
        candidate = propose(leaders, allowed, run.config.exploitation_ratio, draw)
        if candidate is None or not supports(candidate, run.problem.distribution):
            return
        before = run.board.best
        model = run.evaluate(candidate, run.share(_PARTS))
        if model is None:
            idle += 1
            continue
        run.publish(model)
        idle = 0 if before is None or _progress(run, before.score(run.board.metric), model.score(run.board.metric)) else idle + 1


def _progress(run: Run, before: float, after: float) -> bool:
    return after - before > run.config.stopping_tolerance * abs(before)
