"""XGBoost's histogram trees: other regularisation and other splits than LightGBM's, and so a good partner in an
ensemble.

Stops on the validation part or on the clock, keeps the best round, and leaves as XGBoost's own model bytes.
"""

from typing import Any

import numpy as np
import xgboost as xgb

from coreplex.engines.automl.budget.clock import Deadline
from coreplex.engines.automl.families.base import Params, Problem, Sample, Trained, Watch
from coreplex.engines.scoring.xgboost import XgBoost, within_float32

_OBJECTIVES = {
    "AUTO": "reg:squarederror",
    "gaussian": "reg:squarederror",
    "poisson": "count:poisson",
    "gamma": "reg:gamma",
    "tweedie": "reg:tweedie",
    "laplace": "reg:absoluteerror",
    "quantile": "reg:quantileerror",
    "huber": "reg:pseudohubererror",
}
_OWN = frozenset({"rounds", "patience"})


def fit(
    train: Sample,
    valid: Sample | None,
    problem: Problem,
    params: Params,
    deadline: Deadline,
    rounds: int | None = None,
) -> Trained:
    """One booster. `params` are XGBoost's names, and `rounds`, `patience` for the length of the training."""
    settings = _settings(problem, params)
    data = _matrix(train, problem)
    judged = [(_matrix(valid, problem), "valid")] if valid is not None else []
    patience = max(int(params.get("patience", 50) * problem.patience), 5) if problem.patience > 0 else 0
    watch = Watch(patience, deadline, _greater if settings.get("eval_metric") == "auc" else None)
    total = rounds or int(params.get("rounds", 1_000))
    booster = xgb.train(settings, data, num_boost_round=total, evals=judged, callbacks=[_Stop(watch)], verbose_eval=False)
    best = watch.best_round or booster.num_boosted_rounds()
    return Trained(XgBoost(bytes(booster[:best].save_raw("ubj"))), best, watch.cut)


def _greater(new: float, old: float) -> bool:
    return new > old


def _matrix(sample: Sample, problem: Problem) -> "xgb.DMatrix":
    label = np.asarray(sample.y, dtype=np.float64)
    return xgb.DMatrix(within_float32(sample.x), label=label, weight=sample.weights, nthread=problem.threads)


def _settings(problem: Problem, params: Params) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "tree_method": "hist",
        "seed": problem.seed,
        "nthread": problem.threads,
        "verbosity": 0,
        **{k: v for k, v in params.items() if k not in _OWN},
    }
    word = problem.stopping_metric.lower()
    if problem.kind == "regression":
        settings["objective"] = _OBJECTIVES[problem.distribution]
        settings["tweedie_variance_power"] = problem.power
        if problem.distribution == "quantile":
            settings["quantile_alpha"] = problem.alpha
        if word in ("rmse", "mae", "mape"):
            settings["eval_metric"] = word
        return {k: v for k, v in settings.items() if k != "tweedie_variance_power" or problem.distribution == "tweedie"}
    error = word in ("accuracy", "mean_per_class_error")
    if problem.kind == "binary":
        metric = "auc" if word == "auc" else "error" if error else "logloss"
        return {**settings, "objective": "binary:logistic", "eval_metric": metric}
    metric = "merror" if error else "mlogloss"
    return {**settings, "objective": "multi:softprob", "num_class": problem.outputs, "eval_metric": metric}


class _Stop(xgb.callback.TrainingCallback):  # type: ignore[misc]
    """Asks the watch after every round."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[float]]]) -> bool:
        history = next(iter(evals_log.get("valid", {}).values()), None)
        return self.watch.stop(epoch + 1, float(history[-1]) if history else None)
