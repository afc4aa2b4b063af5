"""LightGBM's gradient boosting (GBM).

Stops on the validation part or on the clock, keeps the best round, and leaves as LightGBM's own model text.
"""

from collections.abc import Callable, Iterator
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
    chance,
    histogram_cells,
    log_integer,
    log_uniform,
    uniform,
)
from coreplex.engines.scoring.lightgbm import LightGbm

if TYPE_CHECKING:
    import lightgbm as lgb
    from lightgbm.callback import CallbackEnv

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
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None = None
) -> Trained:
    """One booster. `params` are LightGBM's names, and `rounds`, `patience` for the length of the training."""
    text, best, cut = boosted(train, valid, problem, params, deadline, rounds)
    return Trained(LightGbm(text), best, cut)


def boosted(
    train: Sample, valid: Sample | None, problem: Problem, params: Params, deadline: Deadline, rounds: int | None
) -> tuple[str, int, bool]:
    """LightGBM's text of a model, how many rounds it has, and whether the deadline ended it; without `valid` all rounds count."""
    # Imported where it is used: a process that serves models reads the declaration below and never trains.
    from coreplex.engines.import_boosters import lightgbm as lgb

    settings = _settings(problem, params, len(train.y))
    data = _dataset(train, settings, params, None)
    judged = [_dataset(valid, settings, params, data)] if valid is not None else []
    watch = EarlyStopping.boosting(problem, params, deadline, rising=settings["metric"] == "auc")
    booster = lgb.train(
        settings,
        data,
        num_boost_round=rounds or int(params.get("rounds", 1_000)),
        valid_sets=judged or None,
        callbacks=[_callback(watch)],
    )
    best = watch.best_round or booster.current_iteration()
    return booster.model_to_string(num_iteration=best), best, watch.cut


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
    from coreplex.engines.import_boosters import lightgbm as lgb

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


def _callback(watch: EarlyStopping) -> Callable[["CallbackEnv"], None]:
    from lightgbm.callback import EarlyStopException

    def after(env: "CallbackEnv") -> None:
        results = env.evaluation_result_list or []
        loss = float(results[0][2]) if results else None
        if watch.stop(env.iteration + 1, loss):
            raise EarlyStopException(watch.best_round - 1, results)

    after.order = 30  # type: ignore[attr-defined]
    return after


def portfolio(table: Traits) -> Iterator[Placed]:
    """The careful trees stand early because they were the best single boosters on four of six benchmark tables."""
    yield Placed(QUICK, 0, quick=None if table.many_classes else 1)
    yield Placed(CAREFUL, 3)
    yield Placed(STEADY, 10 if table.small else 1)
    yield Placed(RANDOM_CUTS, 8 if table.small else 6)
    if not table.small:
        yield Placed(LARGE, 9)
    if table.levels:
        yield Placed(SETS, 0.5 if table.many_levels else 8.5)
    if table.many_levels:
        yield Placed(FINE_SETS, 2.5)
    if table.kind == "regression":
        yield Placed(SMALL_RESIDUAL if table.small else RESIDUAL, 0.1)
        if table.skewed:
            link = SMALL_LOGARITHMIC if table.small else LOGARITHMIC
            yield Placed(link, 0.3)
            if table.levels:
                yield Placed(link.like(native_categories=True), 0.2)


FAMILY = Family(
    key="lightgbm",
    algorithms=(Algorithm("GBM", ("lightgbm", "lgbm"), place=3),),
    fit=fit,
    portfolio=portfolio,
    encoding="tree",
    every_distribution=True,
    space=Space(
        {
            "learning_rate": log_uniform(0.02, 0.12),
            "num_leaves": log_integer(6, 200),
            "min_data_in_leaf": log_integer(2, 60),
            "feature_fraction": uniform(0.4, 1.0),
            "bagging_fraction": uniform(0.6, 1.0),
            "lambda_l2": log_uniform(0.01, 20.0),
            "extra_trees": chance(0.3),
            "native_categories": chance(0.3),
        },
        {"bagging_freq": 1, "rounds": 4_000, "patience": 70},
        weight=0.5,
    ),
    booster=True,
    modules=("coreplex.engines.import_boosters", "lightgbm"),
    work=histogram_cells,
    seconds_per_unit=SECONDS_PER_CELL,
    clocked=True,
    fair_rounds=boosting_rounds("learning_rate"),
)


def _gbm(**params: Any) -> Candidate:
    return Candidate("GBM", FAMILY, params)


# Seconds, not minutes: few rounds at a high rate. What everybody sees first.
QUICK = _gbm(learning_rate=0.1, num_leaves=31, min_data_in_leaf=20, rounds=120, patience=15)
# Small trees, strong shrinkage: for tables of a few hundred or thousand rows.
CAREFUL = _gbm(
    learning_rate=0.04, num_leaves=8, min_data_in_leaf=8, feature_fraction=0.7, bagging_fraction=0.8, bagging_freq=1,
    lambda_l2=3.0, rounds=2_000, patience=80,
)  # fmt: skip
# Slow and steady: the work horse.
STEADY = _gbm(
    learning_rate=0.04, num_leaves=40, min_data_in_leaf=10, feature_fraction=0.7, bagging_fraction=0.85, bagging_freq=1,
    lambda_l2=1.0, rounds=4_000, patience=80,
)  # fmt: skip
# Random cut points: AutoGluon's LightGBMXT, smoother and often best on noisy tables.
RANDOM_CUTS = _gbm(
    extra_trees=True, learning_rate=0.05, num_leaves=48, min_data_in_leaf=10, feature_fraction=0.8, rounds=4_000, patience=80
)
# Many leaves: big tables with real interactions.
LARGE = _gbm(
    learning_rate=0.03, num_leaves=160, min_data_in_leaf=5, feature_fraction=0.6, bagging_fraction=0.9, bagging_freq=1,
    lambda_l2=2.0, rounds=4_000, patience=60,
)  # fmt: skip
# Categories as sets instead of ordered codes and means: the best single model where a category of many levels matters, and
# led astray where it is noise, which is why the others stay.
SETS = CAREFUL.like(native_categories=True)
# The same down to levels of a few rows.
FINE_SETS = SETS.like(num_leaves=14, cat_smooth=5.0)
# A logarithmic link, for amounts. It takes more rounds, so the large one learns faster to be done in time.
LOGARITHMIC = STEADY.like(objective="poisson", learning_rate=0.08)
SMALL_LOGARITHMIC = CAREFUL.like(objective="poisson")
# Trees on what a linear model leaves over: for sums of columns, differences and drifts, of which trees alone make a poor copy.
RESIDUAL = STEADY.like(residual=True, learning_rate=0.1, num_leaves=24, patience=30)
SMALL_RESIDUAL = CAREFUL.like(residual=True)
