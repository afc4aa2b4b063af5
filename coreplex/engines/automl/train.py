"""The entry point of a training child process: a request in, models reported as they finish, the leaderboard out.

    python -m coreplex.engines.child coreplex.engines.automl.train:run

Every run begins with the baseline, so none ends without a model. Whatever ends it (the budget, the count, `stop`), what
was finished counts.
"""

import importlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil  # type: ignore[import-untyped]

from coreplex.engines import import_boosters  # noqa: F401  (first of all)
from coreplex.engines.automl.budget import Clock, Progress
from coreplex.engines.automl.data import task
from coreplex.engines.automl.evaluation import forward, metrics
from coreplex.engines.automl.execution.publishing import Publisher, input_bins
from coreplex.engines.automl.execution.run import Run
from coreplex.engines.automl.families.base import Problem
from coreplex.engines.automl.options.config import AutoMLConfig, parse_config
from coreplex.engines.automl.options.engine_registry import BASELINE, ENGINES, STACKED
from coreplex.engines.automl.searches.before_search import begin
from coreplex.engines.automl.splits.split import choose
from coreplex.engines.automl.trial.costs import DEFAULT_BYTES, Costs, Memory
from coreplex.engines.automl.trial.leaderboard import Finished, Leaderboard
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.messages import Listener
from coreplex.engines.tabular import frame
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Invalid, Message

_LEVELS = ("debug", "info", "warning", "error")


def run(request: Mapping[str, Any], report: Listener) -> dict[str, Any]:
    """Train. Request: table, schema, target, problem_type, config, engine, work_dir, threads, deadline_secs, memory_bytes,
    name_prefix.

    Returns {"best", "leaderboard", "models_trained", "stopped", "sort_metric", "task"}. Raises `Invalid`.
    """
    config = parse_config(request.get("config") or {}, request["problem_type"])
    clock = _clock(request, config, report)
    with Progress(clock, report.progress) as progress:
        return _run(prepare(request, config, clock, progress, report), report)


def _run(this: Run, report: Listener) -> dict[str, Any]:
    begin(this)
    this.progress.doing("preparing the search")
    search: Callable[[Run], None] = importlib.import_module(_search_module(this.publisher.engine)).search
    try:
        search(this)
    finally:
        this.finish_writing()
    if not this.board.trained:
        this.warn(
            Message(
                "only_the_baseline",
                "No model was finished, so there is only the baseline, which answers the same for every row: allow more time "
                "(max_runtime_secs), more algorithms, or see in the log why each was left out.",
            )
        )
    if STACKED in this.config.algorithms:
        _stack(this)
    ranked = this.board.ranked
    if ranked[0].task.plan.forward and (doubts := forward.doubts(this.board.metric, ranked[0].scores(this.board.metric))):
        this.warn(doubts)
    if (few := _from_few_rows(this, ranked[0])) is not None:
        this.warn(few)
    this.progress.done(f"models trained: {len(ranked)}")
    this.log(f"Best model: {ranked[0].name} after {this.clock.elapsed:.1f} s", "info")
    return {
        "best": ranked[0].name,
        "leaderboard": [model.name for model in ranked],
        "models_trained": len(ranked),
        "stopped": report.stopped,
        "sort_metric": this.board.metric,
        "task": this.task.kind,
    }


def _from_few_rows(this: Run, best: Finished) -> Message | None:
    """What to say of a best model that the clock left less than half of the rows to learn from."""
    whole = max(len(fold.train) for fold in this.task.plan.folds)
    if best.algo == BASELINE or 2 * best.learned >= whole:
        return None
    return Message(
        "best_learned_from_few",
        "For want of time the best model has learned from {rows} of {whole} rows: allow more time (max_runtime_secs), or train "
        "when the server has less to do.",
        rows=best.learned,
        whole=whole,
    )


def prepare(request: Mapping[str, Any], config: AutoMLConfig, clock: Clock, progress: Progress, report: Listener) -> Run:
    """Read the table, check the target, make the folds. Nothing is trained yet."""
    engine = request.get("engine") or "native"
    _search_module(engine)
    log = _logger(report, config.verbosity)
    warn = _warner(report, log)
    schema = TableSchema.from_json(request["schema"])
    progress.doing("reading the table")
    table = frame.load(Path(request["table"]), schema)
    progress.doing("checking the target, making the folds")
    split = choose(config, request.get("dependence"))
    what = task.prepare(table, schema, request["target"], request["problem_type"], config, split, log, warn)
    _check_features(what)
    metric = _metric(config, what, warn)
    _say(what, config, metric, clock, log)
    threads = max(int(request.get("threads") or 1), 1)
    # FLAML asks for one fold after the other.
    workers = min(threads, len(what.plan.folds)) if engine == "native" else 1
    memory = Memory(int(request.get("memory_bytes") or DEFAULT_BYTES), workers)
    folder = Path(request["work_dir"])
    return Run(
        task=what,
        config=config,
        problem=_problem(what, config, threads // workers),
        matrices=Matrices(what, balance=config.balance_classes, memory=memory),
        clock=clock,
        board=Leaderboard(metric, engine=engine, prefix=request.get("name_prefix") or ""),
        publisher=Publisher(
            folder, engine, metric, log, input_bins(what, folder), config.keep_cross_validation_predictions, threads
        ),
        report=report,
        log=log,
        warn=warn,
        progress=progress,
        costs=Costs(threads // workers, workers),
    )


def _search_module(engine: str) -> str:
    known = {key: one.search for key, one in ENGINES.items() if one.search is not None}
    if engine not in known:
        raise Invalid.field(
            Message(
                "engine_cannot_train", "'{engine}' cannot train here; choose one of {choices}", engine=engine, choices=list(known)
            ),
            "engine",
        )
    return known[engine]


def _check_features(what: task.Task) -> None:
    """Raise the encoder's refusal, which names each column and why it is dropped, where not one column can be used."""
    seen = Canonical(what.frame)
    if all(choice.reason_to_drop(column, seen.series(column)) is not None for column in what.columns):
        Encoder.fit(what.frame, what.columns, None, kind="tree", task=what.kind)


def _metric(config: AutoMLConfig, what: task.Task, warn: task.Warn) -> str:
    """What ranks. A metric that the judged rows leave undefined (AUC of one class) would leave every model out."""
    metric, rows = metrics.sort_metric(config.sort_metric, what.kind, what.quantile), what.plan.validated
    measure = metrics.function(what.kind, metric, what.quantile)
    if measure(what.y[rows], np.full((len(rows), what.outputs), 1.0 / what.outputs)) is not None:
        return metric
    other = "logloss" if what.classification else "rmse"
    warn(
        Message(
            "metric_not_defined",
            "{metric} is not defined on the rows that judge the models, which hold a single value: they are ranked by {other}.",
            metric=metric,
            other=other,
        )
    )
    return other


def _clock(request: Mapping[str, Any], config: AutoMLConfig, report: Listener) -> Clock:
    budget = min(float(config.max_runtime_secs), float(request.get("deadline_secs") or config.max_runtime_secs))
    return Clock(budget, per_model=config.max_runtime_secs_per_model, stopped=lambda: report.stopped, spent=_age())


def _age() -> float:
    """Seconds since this child process began (loading the libraries is part of its budget); 0 where it is not one."""
    main = getattr(sys.modules.get("__main__"), "__spec__", None)
    if main is None or main.name != "coreplex.engines.child":
        return 0.0
    return max(time.time() - cast(float, psutil.Process().create_time()), 0.0)


def _problem(what: task.Task, config: AutoMLConfig, threads: int) -> Problem:
    return Problem(
        kind=what.kind,
        outputs=what.outputs,
        seed=what.seed,
        threads=threads,
        distribution="AUTO" if what.classification else config.distribution,
        alpha=config.quantile_alpha,
        power=config.tweedie_power,
        stopping_metric=config.stopping_metric,
        patience=min(config.stopping_rounds / 3, 4.0),
    )


def _stack(this: Run) -> None:
    this.progress.doing("blending the models")
    try:
        model = this.board.stack(this.task, this.clock)
    except MemoryError:
        raise
    except Exception as error:  # the models are there; an ensemble is a bonus
        this.log(f"The ensemble failed and is left out: {type(error).__name__}: {error}", "warning")
        return
    if model is None:
        this.log("No blend of the models beats the best one alone.", "info")
        return
    this.publish(model)
    this.finish_writing()


def _logger(report: Listener, verbosity: str) -> task.Log:
    least = _LEVELS.index(verbosity)

    def log(message: str, level: str) -> None:
        if _LEVELS.index(level) >= least:
            report.log(message, level)

    return log


def _warner(report: Listener, log: task.Log) -> task.Warn:
    def warn(message: Message) -> None:
        log(message, "warning")
        report.warn(message)

    return warn


def _say(what: task.Task, config: AutoMLConfig, metric: str, clock: Clock, log: task.Log) -> None:
    count = len(what.plan.folds)
    folds = f"{count} folds" if count > 1 else "one holdout"
    classes = f", {len(what.classes)} classes" if what.classes else ""
    log(
        f"{what.kind} of '{what.target.name}': {len(what.y)} rows, {len(what.columns)} columns{classes}; "
        f"{folds} (validation {what.split.words}), ranked by {metric}, "
        f"at most {config.max_models} models in {clock.budget:.0f} s.",
        "info",
    )
    log(what.split.reason, "info")
    if not what.plan.bag:
        log("Models are judged on what their folds held back, and published after a fit on all rows.", "info")
