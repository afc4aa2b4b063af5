"""Which engines there are, what they train, and whether they can run on this machine. Cheap: imports none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from coreplex.engines.automl.families.family import algorithms, families

BASELINE = "Baseline"
"""What the intercept-only model is called, which every run begins with whatever algorithms it is allowed."""
STACKED = "StackedEnsemble"
"""What a blend of the models of a run is called: an algorithm that callers may leave out, of no family."""


@dataclass(frozen=True)
class Engine:
    """`key` names it (contract C.3); `trains()` names the algorithms it can train, some of them `classification_only`;
    `installed()` tells whether a run can start here and now; `search` is the module whose `search(run)` proposes candidates,
    None without one."""

    key: str
    label: str
    trains: Callable[[], tuple[str, ...]]
    installed: Callable[[], bool]
    hint: str = ""
    classification_only: tuple[str, ...] = ()
    search: str | None = None

    @property
    def algos(self) -> tuple[str, ...]:
        """The names of the algorithms it can train, as published."""
        return self.trains()


def trainable() -> tuple[str, ...]:
    """The names of all algorithms of a run, as they are published: of the families, and the blend."""
    return (*(algorithm.name for algorithm in algorithms()), STACKED)


def _importable(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


def _native() -> bool:
    return _importable(*dict.fromkeys(module.partition(".")[0] for family in families() for module in family.modules))


_FLAML = ("GBM", "XGBoost", "DRF", "XRT", "GLM", STACKED)
_H2O = ("GLM", "DRF", "XRT", "GBM", "XGBoost", "DeepLearning", STACKED)
ENGINES: Mapping[str, Engine] = {
    "native": Engine("native", "Native", trainable, _native, search="coreplex.engines.automl.searches.portfolio_search"),
    "flaml": Engine(
        "flaml",
        "FLAML",
        lambda: _FLAML,
        lambda: _importable("flaml", "lightgbm", "xgboost"),
        "pip install flaml",
        classification_only=("GLM",),
        search="coreplex.engines.automl.searches.flaml_adapter",
    ),
    "h2o": Engine("h2o", "H2O AutoML", lambda: _H2O, lambda: False, "this build has no H2O adapter"),
}
DEFAULT = "native"


def installed() -> list[str]:
    """Keys of the engines that can run here, the default first."""
    return [key for key, engine in ENGINES.items() if engine.installed()]
