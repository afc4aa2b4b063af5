"""Ready-made sets of options: how much time and care a search gets. A key that the caller names wins over the preset's."""

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {
        "max_runtime_secs": 60,
        "max_models": 5,
        "nfolds": 3,
        "exclude_algos": ["XGBoost", "DeepLearning"],
        "stopping_rounds": 1,
    },
    "balanced": {"max_runtime_secs": 600, "max_models": 20, "nfolds": 5, "stopping_rounds": 3},
    "best": {"max_runtime_secs": 3600, "max_models": 60, "nfolds": 8, "stopping_rounds": 12},
}


def resolved(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options with those of their preset beneath. A null names no value; families the caller names replace the preset's."""
    said = {key: value for key, value in values.items() if value is not None}
    preset = said.get("preset")
    beneath = dict(PRESETS.get(preset.strip().casefold(), {})) if isinstance(preset, str) else {}
    if "include_algos" in said:
        beneath.pop("exclude_algos", None)
    return {**beneath, **said}


def described() -> str:
    """What each preset sets, in one line, for the references of the API."""
    return "; ".join(f"{name}: {', '.join(_told(k, v) for k, v in keys.items())}" for name, keys in PRESETS.items())


def _told(key: str, value: Any) -> str:
    return f"{key} {' and '.join(value) if isinstance(value, list) else value}"
