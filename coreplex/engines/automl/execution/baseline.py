"""The baseline: an intercept-only model, which answers the same for every row (class shares, mean, median or quantile).

It reads no feature, so it is there within the first second on any table, and what it scores is what a model must beat to
have learned anything. The constant that judges comes from the rows the folds train on: all of them where the folds are
exchangeable (then AUC is 0.5 and R² 0), those of the first fold where time runs forward, so that nothing later is known.
"""

import time

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.families.base import LINKS, Array
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.options.engine_registry import BASELINE
from coreplex.engines.automl.trial.cross_validation import Finished
from coreplex.engines.automl.trial.matrices import weights_of
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.linear import Linear
from coreplex.engines.scoring.links import raw_of

_UNUSED = "the baseline uses no column"


def baseline(name: str, task: Task, config: AutoMLConfig, metric: str) -> Finished:
    """The best constant for `metric` and the distribution asked for, as a finished model."""
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
