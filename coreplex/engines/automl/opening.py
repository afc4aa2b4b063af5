"""What comes before the search, whatever the table: the baseline, the rows the run can take on, a first model on few of them."""

from dataclasses import replace

from coreplex.engines.automl.baseline import baseline
from coreplex.engines.automl.matrices import Matrices
from coreplex.engines.automl.memory import Memory
from coreplex.engines.automl.portfolio import LINEAR, QUICK, WORDS, Candidate, portfolio, supports
from coreplex.engines.automl.registry import BASELINE
from coreplex.engines.automl.run import Run
from coreplex.engines.automl.sampling import one_fold, sampled
from coreplex.engines.automl.task import Warn

_SMALL_ROWS = 1_000
"""Up to here nothing is measured: whatever the columns are, encoding so many rows is soon done."""
_ENCODING = 0.3
"""Encoding every row once, to be judged, may take so much of the budget."""
_FIRST, _FIRST_LEAST_SECS, _FIRST_MOST_SECS = 0.05, 0.5, 6.0
"""What a first model may take: a share of the budget, seconds."""
_CHEAP = 3.0
"""A quick model on all rows that takes up to so many times that comes soon enough."""
_MANY_CLASSES = 10
_LEAST_ROWS, _JUDGES = 300, 20_000


def begin(run: Run, memory: Memory, warn: Warn) -> None:
    """Publish the baseline, restrict the run to what it can take on, publish a quick first model where all rows take long."""
    run.publish(baseline(run.board.name(BASELINE), run.task, run.config, run.board.metric))
    run.progress.doing("measuring the table")
    if len(run.task.y) > _SMALL_ROWS:
        run.costs.measure(run.task, run.clock.budget)
    _restrict(run, memory, warn)
    _first(run)


def _restrict(run: Run, memory: Memory, warn: Warn) -> None:
    """Go on with a sample where memory or time to encode all rows would run out; said aloud."""
    width = run.costs.width.get("tree", len(run.task.columns))
    memory = run.matrices.memory = memory.roomy(run.task, width, run.config.max_models)
    run.costs.workers = memory.workers
    whole, fit = len(run.task.y), memory.rows(run.task, width, run.config.max_models)
    timely = _ENCODING * run.clock.budget / run.costs.per_judged if run.costs.per_judged else whole
    most = max(min(fit, int(timely)), _SMALL_ROWS)
    if most >= 0.95 * whole:
        return
    if fit < timely:
        why = "more would not fit into the memory of a training (TRAINING_MEMORY_BYTES)"
    else:
        why = "encoding all of them would take most of the time (max_runtime_secs)"
    task = sampled(run.task, most)
    warn(f"The models learn from a sample of {len(task.y)} of {whole} rows: {why}.")
    run.board.models = [model.settled(task) for model in run.board.models]
    run.task, run.matrices = task, Matrices(task, balance=run.config.balance_classes, memory=memory)
    run.publisher = replace(run.publisher, task=task)


def _first(run: Run) -> None:
    """A quick model from one fold of few rows, unless the first of the search is quick by itself."""
    candidate = _quick(run)
    secs = min(max(_FIRST * run.clock.budget, _FIRST_LEAST_SECS), _FIRST_MOST_SECS)
    costs, task = run.costs, run.task
    most = max(len(fold.train) for fold in task.plan.folds)
    if candidate is None or costs.candidate(candidate, task, most, encoded=False) <= _CHEAP * secs:
        return
    empty, some = (costs.fitting(candidate, task, rows) for rows in (0, 1_000))
    per_row = costs.per_row + (some - empty) / 1_000
    rows = max(int((secs / 2 - costs.fixed - empty) / max(per_row, 1e-9)), _LEAST_ROWS, 5 * task.outputs)
    judges = max(int((secs / 2) / max(costs.per_judged, 1e-9)), _LEAST_ROWS)
    few = one_fold(task, rows, min(judges, _JUDGES))
    if len(few.y) >= len(task.y):
        return
    matrices = Matrices(few, balance=run.config.balance_classes, memory=run.matrices.memory)
    model = run.evaluate(candidate, run.clock.share(1, stoppable=False, most=secs, least=_FIRST_LEAST_SECS), matrices)
    if model is not None:
        run.publish(model)


def _quick(run: Run) -> Candidate | None:
    """A quick candidate among the algorithms asked for; words come first, and trees cost as much as there are classes."""
    order = portfolio(run.task)
    first = WORDS if WORDS in order[:2] else QUICK if run.task.outputs <= _MANY_CLASSES else LINEAR
    order = [first, *order]
    fits = (c for c in order if c.algo in run.config.algorithms and supports(c, run.problem.distribution))
    return next(fits, None)
