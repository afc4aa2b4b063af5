"""What a learner family declares of itself, so that nothing else in the engine asks which family a candidate is of.

A family is one way to fit (`fit`) with all that goes with it: the names its models are published under, the candidates it enters
into the portfolio, the space in which the random search draws others, and what a fit costs. It is a module of this package and a
line in `coreplex.engines.learner_families`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from coreplex.engines import learner_families
from coreplex.engines.automl.families.base import Learner, Params
from coreplex.engines.encoding.choice import FEW_LEVELS
from coreplex.engines.encoding.steps import TaskKind

Encoding = Literal["tree", "dense", "sparse", "residual"]
KINDS: tuple[TaskKind, ...] = ("binary", "multiclass", "regression")
_SMALL = 3_000
_VERY_MANY_LEVELS = 500
"""Levels of a category from which on effects are told apart by adding up their means and by sets, not by cutting codes."""
_MANY_CLASSES = 10
_LIST_END = 100
_UNMEASURED = 8e-9
SECONDS_PER_CELL = 1.5e-9
"""Seconds per cell that is added to a histogram."""
_BINS, _BINNING = 1_200, 130
"""Cells that one leaf costs per column, whatever its rows (histograms, the best split), and one cell before the first round."""
_LEAST_LEAF = 8
"""Rows of a leaf where the parameters do not say it: XGBoost counts hessians instead."""
Draw = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Algorithm:
    """A name that models are published under. `place`: in published lists, which keep the order of H2O's."""

    name: str
    aliases: tuple[str, ...] = ()
    place: int = _LIST_END


@dataclass(frozen=True)
class Traits:
    """What the choice of candidates looks at. `levels`: of the category with the most, 0 without one; `outputs`: classes,
    1 for a number."""

    rows: int
    kind: TaskKind
    outputs: int
    levels: int
    skewed: bool
    """A target of amounts: never negative, with a long tail to the right."""
    texts: bool
    """Whether some columns are encoded by their words."""
    texts_sparse_only: bool = False
    """Whether these are left to the families of the sparse encoding."""

    @property
    def small(self) -> bool:
        """Whether rows are few: under 3,000."""
        return self.rows < _SMALL

    @property
    def many_levels(self) -> bool:
        """Whether a category has more levels than get a column each."""
        return self.levels > FEW_LEVELS

    @property
    def very_many_levels(self) -> bool:
        """Whether a category has more than 500 levels."""
        return self.levels > _VERY_MANY_LEVELS

    @property
    def many_classes(self) -> bool:
        """Whether there are more than ten classes."""
        return self.outputs > _MANY_CLASSES


class Load(NamedTuple):
    """The size of one fit. rows, validated: that train and that judge; width: encoded columns; outputs: scores a row (1 for two
    classes); entries: values other than zero in a row of a sparse matrix."""

    rows: int
    rounds: int
    width: int
    outputs: int
    validated: float
    entries: float


def multiplications(_params: Params, load: Load) -> float:
    """The work of a solver that goes over a dense matrix a few hundred times, in multiplications."""
    return 240.0 * load.rows * load.width * load.outputs


def histogram_cells(params: Params, load: Load) -> float:
    """Cells that are added to histograms; what leaves and binning cost beside it was measured on 300 to 400,000 rows of 20 to
    2,000 columns, where it is right within a factor of two."""
    leaves = int(params.get("num_leaves") or params.get("max_leaves") or 2 ** min(int(params.get("max_depth", 5)), 9))
    filled = min(leaves, load.rows / (1.5 * params.get("min_data_in_leaf", _LEAST_LEAF)))
    visited = load.rows * np.log2(max(leaves, 2)) / 2 + filled * _BINS
    return float(load.width * (load.rounds * load.outputs * visited + (load.rows + load.validated) * _BINNING))


def boosting_rounds(rate: str) -> Callable[[Params], int]:
    """The fair number of rounds by the learning rate, which is the parameter `rate`: enough small steps."""
    return lambda params: int(min(6.0 / max(float(params.get(rate) or 0.1), 1e-3), 300, int(params.get("rounds", 300))))


@dataclass(frozen=True)
class Space:
    """`drawn`: how each parameter is drawn; `fixed`: those that never change; `weight`: how often the family is drawn, in
    proportion to the weights of the others."""

    drawn: Mapping[str, Draw]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 0.1


def log_uniform(low: float, high: float) -> Draw:
    """A number from `low` to `high`, all orders of magnitude alike, of four digits."""
    return lambda draw: float(f"{np.exp(draw.uniform(np.log(low), np.log(high))):.4g}")


def log_integer(low: int, high: int) -> Draw:
    """A whole number from `low` to `high`, all orders of magnitude alike."""
    return lambda draw: round(np.exp(draw.uniform(np.log(low), np.log(high))))


def uniform(low: float, high: float) -> Draw:
    """A number from `low` to `high`, of two decimals."""
    return lambda draw: round(float(draw.uniform(low, high)), 2)


def chance(share: float) -> Draw:
    """True in so many of all draws, 0 to 1."""
    return lambda draw: bool(draw.random() < share)


@dataclass(frozen=True, eq=False)
class Family:
    """One learner family. Two are the same where they are the same object."""

    key: str
    algorithms: tuple[Algorithm, ...]
    fit: Learner
    portfolio: Callable[[Traits], "Iterable[Placed]"]
    """Its candidates for a table."""
    encoding: Encoding = "dense"
    kinds: tuple[TaskKind, ...] = KINDS
    every_distribution: bool = False
    """Whether it can fit every distribution of a number; else the Gaussian alone."""
    space: Space | None = None
    """Where the random search draws candidates of the first algorithm; None: nowhere."""
    booster: bool = False
    """Whether rounds are added until a validation part says stop."""
    rate: str = "learning_rate"
    """Of a booster, the parameter that is its learning rate."""
    bagged: bool = True
    """Whether the fold copies are the model, where folds are exchangeable; else it is fitted once more on all rows."""
    trials: int = 0
    """About how many more fits the first fold takes to find the rounds for all; 0 where every fold finds its own."""
    most_rows: int | None = None
    """Training rows of a fold that it can use."""
    modules: tuple[str, ...] = ()
    """What it imports when it is first used, which is no cost of a fit. Their packages must be installed."""
    work: Callable[[Params, Load], float] = multiplications
    """Units of work of a fit; none need be comparable with another family's."""
    seconds_per_unit: float = _UNMEASURED
    """Seconds per unit of work on one core of a server of 2023, until a fit was measured."""
    measured_as: str = ""
    """The family whose measured seconds per unit it shares; its own where that is empty."""
    clocked: bool = False
    """Whether it asks the clock once a round; else it is counted as a whole, of one round."""
    fair_rounds: Callable[[Params], int] = lambda params: 1
    """Rounds a model needs to be worth its time; fewer are a sign of too many rows."""

    def supports(self, kind: TaskKind, distribution: str) -> bool:
        """Whether it can be fitted in such a task. `distribution`: of a number; of classes it is AUTO."""
        return kind in self.kinds and (self.every_distribution or distribution in ("AUTO", "gaussian"))

    def trains(self, algorithms: Iterable[str]) -> bool:
        """Whether one of its algorithms is among these names."""
        return not {algorithm.name for algorithm in self.algorithms}.isdisjoint(algorithms)


@dataclass(frozen=True)
class Candidate:
    """One configuration: the name it is published under, the family that fits it, its parameters."""

    algo: str
    family: Family
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encoding(self) -> Encoding:
        """What its matrix is like: that of its family, or the one with a linear model under the trees."""
        return "residual" if self.params.get("residual") else self.family.encoding

    def supports(self, kind: TaskKind, distribution: str) -> bool:
        """As its family; a loss of its own, or a linear model under the trees, is for the Gaussian distribution alone."""
        own = distribution not in ("AUTO", "gaussian") and not self.params.keys().isdisjoint(("objective", "residual"))
        return not own and self.family.supports(kind, distribution)

    def at_most(self, rows: int | None) -> int | None:
        """The training rows of a fold that the family can use, of so many (None: all)."""
        most = self.family.most_rows
        return rows if most is None else min(rows or most, most)

    @property
    def rate(self) -> float:
        """The learning rate of a booster, above 0."""
        return float(self.params.get(self.family.rate) or 0.1)

    def at_rate(self, rate: float) -> "Candidate":
        """The same booster with another learning rate."""
        return self.like(**{self.family.rate: float(f"{rate:.3g}")})

    def like(self, **changes: Any) -> "Candidate":
        """The same with some parameters changed."""
        return replace(self, params={**self.params, **changes})


class Placed(NamedTuple):
    """A candidate and when it is tried: by rising `place`, where 0 to 13 are those of any table and fractions and others those of
    some. `quick`: its place among those that may make a first model on few rows, None where it is not for that."""

    candidate: Candidate
    place: float
    quick: int | None = None


def families() -> list[Family]:
    """All families that are trained here, in the order of their lines."""
    return learner_families.declarations()


def algorithms() -> list[Algorithm]:
    """What families train, each once, in the order of published lists."""
    return sorted(_algorithms(), key=lambda one: one.place)


def aliases() -> dict[str, str]:
    """Other spellings of algorithms, with the published one."""
    return {alias: one.name for one in _algorithms() for alias in one.aliases}


def _algorithms() -> list[Algorithm]:
    return list(dict.fromkeys(algorithm for family in families() for algorithm in family.algorithms))
