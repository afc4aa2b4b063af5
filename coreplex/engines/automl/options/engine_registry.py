"""Which engines there are, what they train, and whether they can run on this machine. Cheap: imports none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

BASELINE = "Baseline"
"""What the intercept-only model is called, which every run begins with whatever algorithms it is allowed."""
_NATIVE = ("GLM", "DRF", "XRT", "GBM", "XGBoost", "DeepLearning", "StackedEnsemble")


@dataclass(frozen=True)
class Engine:
    """`key` as in the contract; `algos` it can train, some of them `classification_only`; `installed()` tells whether a run can
    start here and now."""

    key: str
    label: str
    algos: tuple[str, ...]
    installed: Callable[[], bool]
    hint: str = ""
    classification_only: tuple[str, ...] = ()


def _importable(*modules: str) -> bool:
    return all(find_spec(module) is not None for module in modules)


ENGINES: Mapping[str, Engine] = {
    "native": Engine("native", "Native", _NATIVE, lambda: _importable("lightgbm", "xgboost", "sklearn")),
    "flaml": Engine(
        "flaml",
        "FLAML",
        ("GBM", "XGBoost", "DRF", "XRT", "GLM", "StackedEnsemble"),
        lambda: _importable("flaml", "lightgbm", "xgboost"),
        "pip install flaml",
        classification_only=("GLM",),
    ),
    "h2o": Engine("h2o", "H2O AutoML", _NATIVE, lambda: False, "this build has no H2O adapter"),
}
DEFAULT = "native"


def installed() -> list[str]:
    """Keys of the engines that can run here, the default first."""
    return [key for key, engine in ENGINES.items() if engine.installed()]
