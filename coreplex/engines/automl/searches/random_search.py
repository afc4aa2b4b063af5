"""What comes after the portfolio: new configurations, near the best ones or anywhere in the space.

A plain random search: with folds and an ensemble behind it, what counts is that candidates are sound and unlike each
other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coreplex.engines.automl.trial.portfolio import Candidate

Draw = np.random.Generator
Space = dict[str, Callable[[Draw], Any]]


def _log(low: float, high: float) -> Callable[[Draw], float]:
    return lambda draw: float(f"{np.exp(draw.uniform(np.log(low), np.log(high))):.4g}")


def _whole(low: int, high: int) -> Callable[[Draw], int]:
    return lambda draw: round(np.exp(draw.uniform(np.log(low), np.log(high))))


def _share(low: float, high: float) -> Callable[[Draw], float]:
    return lambda draw: round(float(draw.uniform(low, high)), 2)


SPACES: dict[str, tuple[str, Space, dict[str, Any]]] = {
    "lightgbm": (
        "GBM",
        {
            "learning_rate": _log(0.02, 0.12),
            "num_leaves": _whole(6, 200),
            "min_data_in_leaf": _whole(2, 60),
            "feature_fraction": _share(0.4, 1.0),
            "bagging_fraction": _share(0.6, 1.0),
            "lambda_l2": _log(0.01, 20.0),
            "extra_trees": lambda draw: bool(draw.random() < 0.3),
            "native_categories": lambda draw: bool(draw.random() < 0.3),
        },
        {"bagging_freq": 1, "rounds": 4_000, "patience": 70},
    ),
    "xgboost": (
        "XGBoost",
        {
            "eta": _log(0.02, 0.15),
            "max_depth": _whole(3, 10),
            "min_child_weight": _log(0.5, 20.0),
            "subsample": _share(0.5, 1.0),
            "colsample_bytree": _share(0.4, 1.0),
            "reg_lambda": _log(0.05, 20.0),
        },
        {"rounds": 4_000, "patience": 60},
    ),
    "mlp": (
        "DeepLearning",
        {
            "hidden": lambda draw: tuple([int(2 ** draw.integers(4, 9))] * int(draw.integers(1, 3))),
            "alpha": _log(1e-5, 0.3),
            "learning_rate": _log(4e-4, 8e-3),
            "batch": lambda draw: int(2 ** draw.integers(5, 10)),
        },
        {"rounds": 120, "patience": 10},
    ),
    "kernel": ("DeepLearning", {"width": _log(0.3, 20.0)}, {}),
}
_WEIGHTS = {"lightgbm": 0.5, "xgboost": 0.3, "mlp": 0.1, "kernel": 0.1}


def propose(best: Sequence[Candidate], algorithms: set[str], exploitation: float, draw: Draw) -> Candidate | None:
    """A candidate not tried yet. `best`: the leaders so far, best first; None when no family is left to search."""
    families = [f for f, (algo, _, _) in SPACES.items() if algo in algorithms]
    if not families:
        return None
    leaders = [c for c in best if c.family in families and "boosting" not in c.params][:3]
    if leaders and draw.random() < exploitation:
        return _near(leaders[int(draw.integers(len(leaders)))], draw)
    weights = np.array([_WEIGHTS[f] for f in families])
    return _anywhere(families[int(draw.choice(len(families), p=weights / weights.sum()))], draw)


def _anywhere(family: str, draw: Draw) -> Candidate:
    algo, space, fixed = SPACES[family]
    return Candidate(algo, family, {**fixed, **{k: sample(draw) for k, sample in space.items()}})  # type: ignore[arg-type]


def _near(leader: Candidate, draw: Draw) -> Candidate:
    """A leader with up to two of its parameters drawn anew."""
    space = SPACES[leader.family][1]
    changed = draw.choice(sorted(space), size=min(2, len(space)), replace=False)
    return Candidate(leader.algo, leader.family, {**leader.params, **{str(k): space[str(k)](draw) for k in changed}})
