"""The learner families, a line each: all that the rest of the project knows of them by name.

Lines name modules instead of importing them because two sides read them. Training reads the declaration
(`automl.families.family`), a process that serves models only the predictor of those it loads, and neither pays for the
libraries of the other. A test imports whatever the lines name.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

_FAMILIES, _PREDICTORS = "coreplex.engines.automl.families", "coreplex.engines.scoring"


@dataclass(frozen=True)
class Line:
    """One family. `key`: its name here and, as the predictor's `kind`, in stored models, where both must stay as they are."""

    key: str
    declared: str | None = None
    """`module:name` of its `Family`; None: models are served that were trained elsewhere."""
    predictor: str | None = None
    """`module:name` of the class that scores; None: its models are stored as those of another family."""
    ending: str | None = None
    """Of the file that holds its model in a bundle, where that is neither JSON nor an array."""
    distribution: str | None = None
    """The package on PyPI that fits it; bundles note its version."""


LINES = (
    Line("lightgbm", f"{_FAMILIES}.lightgbm:FAMILY", f"{_PREDICTORS}.lightgbm:LightGbm", "txt", "lightgbm"),
    Line("xgboost", f"{_FAMILIES}.xgboost:FAMILY", f"{_PREDICTORS}.xgboost:XgBoost", "ubj", "xgboost-cpu"),
    Line("catboost", None, f"{_PREDICTORS}.catboost:CatBoost", "cbm", "catboost"),
    Line("forest", f"{_FAMILIES}.forest:FAMILY"),
    Line("linear", f"{_FAMILIES}.linear:FAMILY", f"{_PREDICTORS}.linear:Linear", None, "scikit-learn"),
    Line("mlp", f"{_FAMILIES}.mlp:FAMILY", f"{_PREDICTORS}.mlp:Mlp"),
    Line("kernel", f"{_FAMILIES}.kernel:FAMILY", f"{_PREDICTORS}.kernel:Kernel"),
    Line("sparse_linear", f"{_FAMILIES}.sparse_linear:FAMILY"),
)
"""In the order in which families are asked for candidates and drawn from by the random search."""


def declarations() -> list[Any]:
    """The `Family` of each line that is trained here."""
    return [_named(line.declared) for line in LINES if line.declared]


def predictor(kind: str) -> Any:
    """The class that scores models stored as `kind`; None where no line has it."""
    return next((_named(line.predictor) for line in LINES if line.key == kind and line.predictor), None)


def endings() -> set[str]:
    """Of all files that a bundle may hold."""
    return {"json", "npy", *(line.ending for line in LINES if line.ending)}


def distributions() -> list[str]:
    """The packages whose versions a bundle notes, each once."""
    return list(dict.fromkeys(line.distribution for line in LINES if line.distribution))


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
