"""Which configurations are tried, in which order: data, not search.

The order is the point: the first entry is done in a second or two, so that the leaderboard has a model at once; then one
of each family, as different from each other as can be, because that is what the ensemble lives on; then the second and
third of the strong ones. Values in the manner of AutoGluon's and H2O's portfolios; the careful trees stand early because they
were the best single boosters on four of six benchmark tables. What a table is like moves candidates: categories of many
levels, a skewed target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from coreplex.engines.automl.data.task import Task
from coreplex.engines.encoding import choice
from coreplex.engines.encoding.values import Canonical

Family = Literal["lightgbm", "xgboost", "linear", "mlp", "kernel", "words"]

KERNEL_ROWS = 12_000
"""Kernel networks hold rows times landmarks."""


@dataclass(frozen=True)
class Candidate:
    """One configuration: the family that fits it, the encoding it wants, its parameters."""

    algo: str
    family: Family
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encoding(self) -> Literal["tree", "dense", "sparse", "residual"]:
        if self.family == "words":
            return "sparse"
        if self.params.get("residual"):
            return "residual"
        return "tree" if self.family in ("lightgbm", "xgboost") else "dense"

    def at_most(self, rows: int | None) -> int | None:
        """The training rows of a fold that the family can use, of so many (None: all)."""
        return rows if self.family != "kernel" else min(rows or KERNEL_ROWS, KERNEL_ROWS)

    @property
    def booster(self) -> bool:
        """Whether rounds are added until a validation part says stop."""
        return self.family in ("lightgbm", "xgboost") and self.params.get("boosting") != "rf"

    @property
    def rate(self) -> float:
        """The learning rate of a booster."""
        return float(self.params.get("learning_rate") or self.params.get("eta") or 0.1)

    def at_rate(self, rate: float) -> "Candidate":
        """The same booster with another learning rate."""
        return _like(self, **{"eta" if self.family == "xgboost" else "learning_rate": float(f"{rate:.3g}")})

    @property
    def bagged(self) -> bool:
        """Whether the fold copies are the model. A linear model of words is fitted once more instead: as good as the mean of five
        linear ones, and a fifth as large."""
        return self.family != "words"

    @property
    def trials(self) -> int:
        """About how many more fits the first fold takes, to find the rounds for all: where these are one of a few and each costs
        a whole fit. 0 where every fold finds its own."""
        return 5 if self.family == "words" else 0


def _gbm(**params: Any) -> Candidate:
    return Candidate("GBM", "lightgbm", params)


def _like(base: Candidate, **changes: Any) -> Candidate:
    return replace(base, params={**base.params, **changes})


def _xgb(**params: Any) -> Candidate:
    return Candidate("XGBoost", "xgboost", {"subsample": 0.8, **params})


def _forest(algo: str, **params: Any) -> Candidate:
    base = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.632, "num_leaves": 512, "rounds": 120}
    return Candidate(algo, "lightgbm", {**base, "patience": 0, **params})


# Seconds, not minutes: few rounds at a high rate. What everybody sees first.
QUICK = _gbm(learning_rate=0.1, num_leaves=31, min_data_in_leaf=20, rounds=120, patience=15)
# Linear: hard to beat where rows are few or effects add up, and the most different member of all.
LINEAR = Candidate("GLM", "linear")
# Sparse linear: drops columns that do not matter.
SPARSE = Candidate("GLM", "linear", {"l1_ratio": 0.7})
# Linear on hashed words: where a table has texts, nothing else reads them as well or as fast.
WORDS = Candidate("GLM", "words")
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
# Level-wise trees with second-order regularisation.
XGB = _xgb(eta=0.06, max_depth=6, colsample_bytree=0.8, min_child_weight=2, rounds=3_000, patience=60)
# Deep, with few columns per tree: interactions.
XGB_DEEP = _xgb(eta=0.05, max_depth=9, colsample_bytree=0.5, min_child_weight=5, reg_lambda=3.0, rounds=2_000, patience=50)
# Forests: no boosting, so other mistakes.
XRT = _forest("XRT", extra_trees=True, feature_fraction_bynode=0.7, min_data_in_leaf=2, bagging_fraction=0.8)
DRF = _forest("DRF", feature_fraction_bynode=0.5, min_data_in_leaf=3)
# Networks: smooth surfaces, where trees make steps.
NETWORK = Candidate("DeepLearning", "mlp", {"hidden": (96, 48), "alpha": 1e-3, "learning_rate": 2e-3, "batch": 128})
WIDE_NETWORK = Candidate("DeepLearning", "mlp", {"hidden": (256,), "alpha": 1e-2, "learning_rate": 1e-3, "batch": 256})
# Networks of Gaussian units: smooth and quick, the best single model of several tables of a few hundred or thousand rows. The
# flat ones are between those and a linear model.
KERNEL = Candidate("DeepLearning", "kernel", {"width": 1.5})
FLAT_KERNEL = Candidate("DeepLearning", "kernel", {"width": 8.0})
# Many leaves: big tables with real interactions.
LARGE = _gbm(
    learning_rate=0.03, num_leaves=160, min_data_in_leaf=5, feature_fraction=0.6, bagging_fraction=0.9, bagging_freq=1,
    lambda_l2=2.0, rounds=4_000, patience=60,
)  # fmt: skip
# Categories as sets instead of ordered codes and means: the best single model where a category of many levels matters, and
# led astray where it is noise, which is why the others stay.
SETS = _like(CAREFUL, native_categories=True)
# The same down to levels of a few rows.
FINE_SETS = _like(SETS, num_leaves=14, cat_smooth=5.0)
# A logarithmic link, for amounts. It takes more rounds, so the large one learns faster to be done in time.
LOGARITHMIC = _like(STEADY, objective="poisson", learning_rate=0.08)
SMALL_LOGARITHMIC = _like(CAREFUL, objective="poisson")

# Trees on what a linear model leaves over: for sums of columns, differences and drifts, of which trees alone make a poor copy.
RESIDUAL = _like(STEADY, residual=True, learning_rate=0.1, num_leaves=24, patience=30)
SMALL_RESIDUAL = _like(CAREFUL, residual=True)

_SMALL = 3_000
_MANY_LEVELS = 500
"""Levels of a category from which on effects are told apart by adding up their means and by sets, not by cutting codes."""
_MANY_CLASSES = 10


def portfolio(task: Task) -> list[Candidate]:
    """The candidates for a task, best order first."""
    small, levels = len(task.y) < _SMALL, _most_levels(task)
    if small:
        order = [
            QUICK, LINEAR, KERNEL, CAREFUL, FLAT_KERNEL, XRT, NETWORK, XGB, RANDOM_CUTS, DRF, STEADY, WIDE_NETWORK, XGB_DEEP,
        ]  # fmt: skip
    else:
        order = [
            QUICK, STEADY, LINEAR, CAREFUL, XGB, KERNEL, RANDOM_CUTS, NETWORK, XRT, LARGE, XGB_DEEP, DRF, FLAT_KERNEL,
            WIDE_NETWORK,
        ]  # fmt: skip
    if levels > choice.FEW_LEVELS:
        order.insert(1, SETS)
        order.insert(4, FINE_SETS)
        if levels > _MANY_LEVELS:
            order.remove(LINEAR)
            order.insert(1, LINEAR)
    elif levels:
        order.insert(9, SETS)
    if not task.classification:
        order.insert(4, SPARSE) if small else order.append(SPARSE)
        if skewed(task):
            link = SMALL_LOGARITHMIC if small else LOGARITHMIC
            order[1:1] = [_like(link, native_categories=True), link] if levels else [link]
        order.insert(1, SMALL_RESIDUAL if small else RESIDUAL)
    if task.texts:
        # Trees cost as much as there are classes, and words are cheap.
        order.insert(0 if task.outputs > _MANY_CLASSES else 1, WORDS)
    return order


def _most_levels(task: Task) -> int:
    """Levels of the category that has the most of them; 0 for a table without categories."""
    seen = Canonical(task.frame)
    return max((choice.levels(column, seen.series(column)) for column in task.columns), default=0)


def skewed(task: Task) -> bool:
    """A target of amounts: never negative, with a long tail to the right, so that a logarithmic link fits it better."""
    y = np.asarray(task.y, dtype=np.float64)
    spread = float(y.std())
    return bool(y.min() >= 0 and spread > 0 and ((y - y.mean()) ** 3).mean() / spread**3 > 1.0)


def supports(candidate: Candidate, distribution: str) -> bool:
    """Whether a family knows the distribution asked for: forests, networks and linear models here are Gaussian only."""
    if distribution in ("AUTO", "gaussian"):
        return True
    return candidate.family in ("lightgbm", "xgboost") and not {"boosting", "objective", "residual"} & set(candidate.params)
