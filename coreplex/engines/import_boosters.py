"""Loads LightGBM and XGBoost without scikit-learn and pandas, which both import at once and which training here does not use.

On a busy machine that is the difference between a first model after 3 and after 12 seconds: nine tenths of `import lightgbm`
are `sklearn.utils`, `scipy.stats` and `pandas`. Both libraries say themselves that the two are optional. They are hidden by a
None in `sys.modules` while a booster is imported, here and nowhere else. Import this module before them, or `lightgbm` and
`xgboost` from here; it does nothing where they, or scikit-learn, are loaded already."""

import importlib
import sys

_OPTIONAL = ("sklearn", "pandas")


def _load(name: str) -> None:
    """Import `name` while the optional libraries look as if they were not installed."""
    hidden = [module for module in _OPTIONAL if module not in sys.modules]
    for module in hidden:
        sys.modules[module] = None  # type: ignore[assignment]
    try:
        importlib.import_module(name)
    finally:
        for module in hidden:
            sys.modules.pop(module, None)


for _name in ("lightgbm", "xgboost"):
    if _name not in sys.modules:
        _load(_name)

import lightgbm as lightgbm  # noqa: E402  (both are loaded by now)
import xgboost as xgboost  # noqa: E402
