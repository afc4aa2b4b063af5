"""XGBoost's histogram trees: other regularisation and other splits than LightGBM's, and so a good partner in an
ensemble.

Stops on the validation part or on the clock, keeps the best round, and leaves as XGBoost's own model bytes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.families.base import EarlyStopping, Params, Problem, Sample, Trained
from coreplex.engines.automl.families.family import (
    SECONDS_PER_CELL,
    Algorithm,
    Candidate,
    Family,
    Placed,
    Space,
    Traits,
    boosting_rounds,
    histogram_cells,
    log_integer,
    log_uniform,
    uniform,
)
from coreplex.engines.scoring.xgboost import XgBoost, within_float32

if TYPE_CHECKING:
    import xgboost as xgb

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
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One booster. `params` are XGBoost's names, and `rounds`, `patience` for the length of the training."""
    # Imported where it is used: a process that serves models reads the declaration below and never trains.
    from coreplex.engines.import_boosters import xgboost as xgb

    settings = _settings(problem, params)
    data, judged = _matrix(train, problem), None if valid is None else _matrix(valid, problem)
    watch = EarlyStopping.boosting(problem, params, deadline, rising=settings.get("eval_metric") == "auc")
    booster = xgb.Booster(settings, [data] if judged is None else [data, judged])
    for round_ in range(rounds or int(params.get("rounds", 1_000))):
        booster.update(data, round_)
        if watch.stop(round_ + 1, None if judged is None else _loss(booster, judged, round_)):
            break
    best = watch.best_round or booster.num_boosted_rounds()
    return Trained(XgBoost(bytes(booster[:best].save_raw("ubj"))), best, watch.cut)


def _loss(booster: "xgb.Booster", judged: "xgb.DMatrix", round_: int) -> float:
    """The one metric of the settings on the rows that judge: the end of `[round]\\tjudged-name:value`."""
    return float(booster.eval(judged, "judged", round_).rpartition(":")[2])


def _matrix(sample: Sample, problem: Problem) -> "xgb.DMatrix":
    from coreplex.engines.import_boosters import xgboost as xgb

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


def portfolio(table: Traits) -> Iterator[Placed]:
    """Level-wise trees with second-order regularisation; deep ones with few columns per tree, for interactions."""
    yield Placed(XGB, 7 if table.small else 4)
    yield Placed(XGB_DEEP, 12 if table.small else 10)


FAMILY = Family(
    key="xgboost",
    algorithms=(Algorithm("XGBoost", ("xgb",), place=4),),
    fit=fit,
    portfolio=portfolio,
    encoding="tree",
    every_distribution=True,
    space=Space(
        {
            "eta": log_uniform(0.02, 0.15),
            "max_depth": log_integer(3, 10),
            "min_child_weight": log_uniform(0.5, 20.0),
            "subsample": uniform(0.5, 1.0),
            "colsample_bytree": uniform(0.4, 1.0),
            "reg_lambda": log_uniform(0.05, 20.0),
        },
        {"rounds": 4_000, "patience": 60},
        weight=0.3,
    ),
    booster=True,
    rate="eta",
    modules=("coreplex.engines.import_boosters", "xgboost"),
    work=histogram_cells,
    seconds_per_unit=SECONDS_PER_CELL,
    clocked=True,
    fair_rounds=boosting_rounds("eta"),
)


def _xgb(**params: Any) -> Candidate:
    return Candidate("XGBoost", FAMILY, {"subsample": 0.8, **params})


XGB = _xgb(eta=0.06, max_depth=6, colsample_bytree=0.8, min_child_weight=2, rounds=3_000, patience=60)
XGB_DEEP = _xgb(eta=0.05, max_depth=9, colsample_bytree=0.5, min_child_weight=5, reg_lambda=3.0, rounds=2_000, patience=50)
