"""LightGBM: gradient boosting (GBM), and its forest mode for DRF (random forest) and XRT (extremely randomised trees).

Stops on the validation part or on the clock, keeps the best round, and leaves as LightGBM's own model text.
"""

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
from lightgbm.callback import CallbackEnv, EarlyStopException

from coreplex.engines.automl.budget.clock import Deadline
from coreplex.engines.automl.families.base import Params, Problem, Sample, Trained, Watch
from coreplex.engines.automl.families.forest import predictor
from coreplex.engines.scoring.lightgbm import LightGbm

_OBJECTIVES = {
    "AUTO": "regression",
    "gaussian": "regression",
    "poisson": "poisson",
    "gamma": "gamma",
    "tweedie": "tweedie",
    "laplace": "regression_l1",
    "quantile": "quantile",
    "huber": "huber",
}
_STOPPING = {"auc": "auc", "accuracy": "error", "mean_per_class_error": "error", "rmse": "rmse", "mae": "mae"}
_MULTICLASS = {"auc": "multi_logloss", "error": "multi_error"}
_OWN = frozenset({"rounds", "patience", "native_categories", "residual"})
_SETS = {"max_cat_threshold": 256, "min_data_per_group": 20, "cat_smooth": 10.0, "cat_l2": 3.0}
"""For categories as sets. LightGBM's own (32, 100, 10, 10) are for millions of rows: a level of twenty could never count."""


def fit(
    train: Sample,
    valid: Sample | None,
    problem: Problem,
    params: Params,
    deadline: Deadline,
    rounds: int | None = None,
) -> Trained:
    """One booster. `params` are LightGBM's names, and `rounds`, `patience` for the length of the training."""
    forest = params.get("boosting") == "rf"
    settings = _settings(problem, params, len(train.y))
    data = _dataset(train, settings, params, None)
    # A forest only gets better with trees: it needs no early stopping, only the clock.
    judged = [_dataset(valid, settings, params, data)] if valid is not None and not forest else []
    patience = max(int(params.get("patience", 50) * problem.patience), 5) if problem.patience > 0 else 0
    watch = Watch(patience, deadline, _greater if settings["metric"] == "auc" else None)
    booster = lgb.train(
        settings,
        data,
        num_boost_round=rounds or int(params.get("rounds", 1_000)),
        valid_sets=judged or None,
        callbacks=[_callback(watch)],
    )
    best = watch.best_round or booster.current_iteration()
    text = booster.model_to_string(num_iteration=best)
    made = predictor(text, valid, problem) if forest else LightGbm(text)
    return Trained(made, best, watch.cut)


def _greater(new: float, old: float) -> bool:
    return new > old


def _settings(problem: Problem, params: Params, rows: int) -> dict[str, Any]:
    objective = {"binary": "binary", "multiclass": "multiclass"}.get(problem.kind) or _OBJECTIVES[problem.distribution]
    settings: dict[str, Any] = {
        "objective": objective,
        "metric": _metric(problem, objective),
        "seed": problem.seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": problem.threads,
        "verbosity": -1,
        "max_bin": 255,
        "alpha": problem.alpha if objective == "quantile" else 0.9,
        "tweedie_variance_power": problem.power,
        **(_SETS if params.get("native_categories") else {}),
        **{k: v for k, v in params.items() if k not in _OWN},
    }
    # A leaf may not ask for so many rows that a small table cannot be split at all.
    settings["min_data_in_leaf"] = min(settings.get("min_data_in_leaf", 20), max(rows // 20, 2))
    if objective == "multiclass":
        settings["num_class"] = problem.outputs
    return settings


def _metric(problem: Problem, objective: str) -> str:
    word = problem.stopping_metric.lower()
    if problem.kind == "regression":
        return {"rmse": "rmse", "mae": "mae", "mape": "mape", "pinball": "quantile"}.get(
            word, "rmse" if objective == "regression" else objective
        )
    metric = _STOPPING.get(word, "binary_logloss")
    return _MULTICLASS.get(metric, "multi_logloss") if problem.kind == "multiclass" else metric.replace("error", "binary_error")


def _dataset(sample: Sample, settings: dict[str, Any], params: Params, reference: "lgb.Dataset | None") -> "lgb.Dataset":
    categorical = list(sample.categorical) if params.get("native_categories") else "auto"
    label = np.asarray(sample.y, dtype=np.float64)
    return lgb.Dataset(
        sample.x,
        label=label,
        weight=sample.weights,
        init_score=sample.start,
        reference=reference,
        categorical_feature=categorical if categorical else "auto",
        params={k: settings[k] for k in ("max_bin", "num_threads", "verbosity", "seed", "force_col_wise")},
        free_raw_data=True,
    )


def _callback(watch: Watch) -> Callable[[CallbackEnv], None]:
    def after(env: CallbackEnv) -> None:
        results = env.evaluation_result_list or []
        loss = float(results[0][2]) if results else None
        if watch.stop(env.iteration + 1, loss):
            raise EarlyStopException(watch.best_round - 1, results)

    after.order = 30  # type: ignore[attr-defined]
    return after
