"""What comes before the search, whatever the table: the baseline, the rows the run can take on, a first model on few of them."""

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task, spread
from coreplex.engines.automl.execution.run import Run
from coreplex.engines.automl.families.base import LINKS, Array
from coreplex.engines.automl.families.family import Candidate, families
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.options.engine_registry import BASELINE
from coreplex.engines.automl.searches.portfolio_search import quick_first
from coreplex.engines.automl.splits.folds import Fold, Index
from coreplex.engines.automl.stacking import TOP
from coreplex.engines.automl.trial.costs import Costs
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.automl.trial.matrices import Matrices, weights_of
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.linear import Linear
from coreplex.engines.scoring.predictor import raw_of
from coreplex.errors.tree import Message

_UNUSED = "the baseline uses no column"
_SMALL_ROWS = 1_000
"""Up to here nothing is measured: whatever the columns are, encoding so many rows is soon done."""
_ENCODING = 0.3
"""Encoding every row once, to be judged, may take so much of the budget."""
_FIRST, _FIRST_LEAST_SECS, _FIRST_MOST_SECS = 0.05, 0.5, 6.0
"""What a first model may take: a share of the budget, seconds."""
_CHEAP = 3.0
"""A quick model on all rows that takes up to so many times that comes soon enough."""
_FEW_TEXTS = 3
"""So many texts every model reads, and so many are encoded to see what more of them would take."""
_TEXT_ROWS = 2_000
"""From fewer training rows of a fold trees learn little of texts."""
_LEAST_ROWS, _JUDGES = 300, 20_000


def begin(run: Run) -> None:
    """Publish the baseline, restrict the run to what it can take on, publish a quick first model where all rows take long."""
    run.publish(baseline(run.board.name(BASELINE), run.task, run.config, run.board.metric))
    run.progress.doing("measuring the table")
    _measure(run)
    _restrict(run)
    _first(run)


def baseline(name: str, task: Task, config: AutoMLConfig, metric: str) -> Finished:
    """An intercept-only model: the best constant for `metric` and the distribution asked for, as a finished model.

    It reads no feature, so it is there within the first second on any table, and what it scores is what a model must beat to have
    learned anything. The constant that judges comes from the rows the folds train on: all of them where the folds are
    exchangeable (then AUC is 0.5 and R² 0), those of the first fold where time runs forward, so that nothing later is known.
    """
    started = time.perf_counter()
    everything = np.arange(len(task.y))
    word, served = _constant(task, config, metric, everything)
    _, judged = _constant(task, config, metric, everything if task.plan.bag else task.plan.folds[0].train)
    oof = np.full((len(task.y), task.outputs), np.nan)
    oof[task.plan.validated] = judged
    encoder = Encoder("tree", (), (), {column.name: _UNUSED for column in task.columns})
    link = LINKS[task.kind]
    predictor = Linear(np.zeros((0, len(raw := raw_of(link, served[None])[0]))), raw, link)
    seconds = time.perf_counter() - started
    return Finished(name, BASELINE, None, (Member(encoder, predictor),), oof, seconds, task, {"predicts": word}, "raw")


def _constant(task: Task, config: AutoMLConfig, metric: str, rows: NDArray[np.int64]) -> tuple[str, Array]:
    """What is predicted for every row, in words and as (k,) numbers, learned from `rows`."""
    weights = weights_of(task, rows, balance=config.balance_classes)
    if task.classification:
        shares = np.bincount(task.y[rows].astype(np.int64), weights, minlength=task.outputs).astype(np.float64)
        shares = np.maximum(shares / shares.sum(), 0.5 / len(rows))
        return "the share of each class", shares / shares.sum()
    y = task.y[rows].astype(np.float64)
    if config.distribution in ("laplace", "quantile") or metric == "mae":
        share = config.quantile_alpha if config.distribution == "quantile" else 0.5
        return "the median" if share == 0.5 else f"the quantile at {share:g}", np.array([_quantile(y, weights, share)])
    if metric == "rmsle":
        return "the mean of logarithms", np.expm1(np.average(np.log1p(y), weights=weights, keepdims=True))
    return "the mean", np.average(y, weights=weights, keepdims=True)


def _quantile(y: Array, weights: Array | None, share: float) -> float:
    if weights is None:
        return float(np.quantile(y, share))
    order = np.argsort(y, kind="stable")
    reached = np.cumsum(weights[order])
    return float(y[order][np.searchsorted(reached, share * reached[-1])])


def _measure(run: Run) -> None:
    """See what encoding takes; leave the texts to models of words where that is most of the time, said aloud."""
    reduced = _texts_sparse_only(run)
    if reduced is not None:
        run.warn(
            Message(
                "texts_for_models_of_words",
                "Only models of words read the {columns} columns of texts, all others the rest of the table: encoding so many "
                "texts for them as well would take most of the time (max_runtime_secs).",
                columns=len(reduced.sparse_only),
            )
        )
        run.board.models = [replace(model, task=reduced) for model in run.board.models]
        run.matrices = Matrices(reduced, balance=run.config.balance_classes, memory=run.matrices.memory)
        run.task = reduced
    elif len(run.task.y) > _SMALL_ROWS:
        run.costs.measure(run.task, run.clock.budget)
    if run.task.texts and len(run.task.y) > _SMALL_ROWS:
        run.costs.measure_words(run.task, run.clock.budget)


def _texts_sparse_only(run: Run) -> Task | None:
    """The task with texts for models of words alone, whose encoding is measured then; None where all models can read them."""
    task, budget, names = run.task, run.clock.budget, [column.name for column in run.task.texts]
    if len(names) <= _FEW_TEXTS or run.publisher.engine != "native" or not _reads_texts(run):
        return None
    reduced, seen = replace(task, sparse_only=frozenset(names)), Canonical(task.frame)
    if all(choice.reason_to_drop(column, seen.series(column)) is not None for column in reduced.encoded):
        return None
    some = frozenset(names[:: len(names) // _FEW_TEXTS][:_FEW_TEXTS])
    with_some, without = (Costs(run.costs.threads, run.costs.workers) for _ in range(2))
    with_some.measure(replace(reduced, sparse_only=reduced.sparse_only - some), budget)
    without.measure(reduced, budget)
    folds, learned = len(task.plan.folds), min(max(len(fold.train) for fold in task.plan.folds), _TEXT_ROWS)
    takes = [folds * costs.encoding(learned, len(task.plan.validated) // folds) for costs in (with_some, without)]
    if (takes[0] - takes[1]) * len(names) / len(some) <= _ENCODING * budget:
        return None
    run.costs = without
    return reduced


def _restrict(run: Run) -> None:
    """Go on with a sample where memory or time to encode all rows would run out; said aloud."""
    width = run.costs.width.get("tree", len(run.task.encoded))
    kept = min(run.config.max_models, TOP)
    memory = run.matrices.memory = run.matrices.memory.roomy(run.task, width, kept)
    run.costs.workers = memory.workers
    whole, fit = len(run.task.y), memory.rows(run.task, width, kept)
    per_row = max(run.costs.per_validated, run.costs.per_words if run.task.sparse_only else 0.0)
    timely = _ENCODING * run.clock.budget / per_row if per_row else whole
    most = max(min(fit, int(timely)), _SMALL_ROWS)
    if most >= 0.95 * whole:
        return
    task = sampled(run.task, most)
    run.warn(_sampled_for_memory(len(task.y), whole) if fit < timely else _sampled_for_time(len(task.y), whole))
    run.board.models = [model.without_predictions(task) for model in run.board.models]
    run.task, run.matrices = task, Matrices(task, balance=run.config.balance_classes, memory=memory)


def _sampled_for_memory(rows: int, whole: int) -> Message:
    return Message(
        "sampled_for_memory",
        "The models learn from a sample of {rows} of {whole} rows: more would not fit into the memory of a training "
        "(TRAINING_MEMORY_BYTES).",
        rows=rows,
        whole=whole,
    )


def _sampled_for_time(rows: int, whole: int) -> Message:
    return Message(
        "sampled_for_time",
        "The models learn from a sample of {rows} of {whole} rows: encoding all of them would take most of the time "
        "(max_runtime_secs).",
        rows=rows,
        whole=whole,
    )


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
    judges = max(int((secs / 2) / max(costs.per_validated, 1e-9)), _LEAST_ROWS)
    few = one_fold(task, rows, min(judges, _JUDGES))
    if len(few.y) >= len(task.y):
        return
    matrices = Matrices(few, balance=run.config.balance_classes, memory=run.matrices.memory)
    run.train(candidate, run.clock.share(1, stoppable=False, most=secs, least=_FIRST_LEAST_SECS), matrices)


def _reads_texts(run: Run) -> bool:
    """Whether a family that learns from words alone may take part."""
    sparse = (family for family in families() if family.encoding == "sparse" and family.trains(run.config.algorithms))
    return any(family.supports(run.task.kind, run.problem.distribution) for family in sparse)


def _quick(run: Run) -> Candidate | None:
    """A quick candidate among the algorithms asked for, else the first of the search."""
    return next((candidate for candidate in quick_first(run.task) if run.may(candidate)), None)


def restricted(task: Task, rows: Index) -> Task:
    """The task of these rows alone (m positions, ascending), with the folds as they were; a fold that lost a side is gone."""
    place = np.full(len(task.y), -1)
    place[rows] = np.arange(len(rows))
    folds, final_folds = (
        tuple(one for fold in parts if len((one := _kept(place, fold)).train) and len(one.valid))
        for parts in (task.plan.folds, task.plan.final_folds)
    )
    return replace(
        task,
        frame=task.frame[rows],
        y=task.y[rows],
        weights=None if task.weights is None else task.weights[rows],
        plan=replace(task.plan, folds=folds, final_folds=final_folds),
    )


def _kept(place: Index, fold: Fold) -> Fold:
    train, valid = place[fold.train], place[fold.valid]
    return Fold(train[train >= 0], valid[valid >= 0])


def sampled(task: Task, rows: int) -> Task:
    """The task of about `rows` of its rows."""
    return restricted(task, spread(task.y, rows, task.seed, classification=task.classification))


def one_fold(task: Task, train: int, valid: int) -> Task:
    """The last fold alone (forward in time it knows most), with at most so many rows on either side."""
    fold = task.plan.folds[-1]
    kept = [
        side[spread(task.y[side], most, task.seed, classification=task.classification)]
        for side, most in ((fold.train, train), (fold.valid, valid))
    ]
    alone = replace(task, plan=replace(task.plan, folds=(fold,), bag=True))
    return restricted(alone, np.sort(np.concatenate(kept)))
