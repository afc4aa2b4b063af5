"""Options of a training run that change nothing: those it does not know, and those that are for another task."""

from collections.abc import Mapping
from typing import Any

from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.errors.nearest import ignored
from coreplex.errors.tree import Message


def unknown_options(values: Mapping[str, Any]) -> list[Message]:
    """A sentence for each key that is no option, naming the nearest one."""
    return ignored(values, list(AutoMLConfig.model_fields), _ignored)


def _ignored(name: str) -> Message:
    return Message("option_ignored", "config has no option '{option}', which is ignored.", option=name)


def without_effect(config: AutoMLConfig, problem_type: str) -> list[Message]:
    """A sentence for each option that was set and changes nothing in such a task."""
    regression, distribution = problem_type == "regression", config.distribution
    uses = {
        "balance_classes": ("classification", not regression),
        "distribution": ("regression", regression),
        "quantile_alpha": ("regression with distribution 'quantile'", regression and distribution == "quantile"),
        "tweedie_power": ("regression with distribution 'tweedie'", regression and distribution == "tweedie"),
    }
    return [
        Message("option_without_effect", "config.{option} is for {use} and changes nothing here.", option=key, use=what)
        for key, (what, used) in uses.items()
        if not used and getattr(config, key) != AutoMLConfig.model_fields[key].default
    ]
