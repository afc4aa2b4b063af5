"""Which split judges a run: what was asked for, what the named columns mean, or what was found in the rows.

`auto` takes the honest split that `coreplex.engines.diagnosis.dependence` found, where it found that a random one would promise
too much; otherwise rows are dealt evenly by the target, as if they were independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coreplex.engines.automl.config import AutoMLConfig
from coreplex.engines.automl.copies import NearCopies
from coreplex.engines.automl.folds import Strategy

Finding = Mapping[str, Any]
FILE_ORDER = "the order of the rows in the file"


@dataclass(frozen=True)
class Split:
    """How rows are split, and why. A `time` of None under a forward strategy is the order of the rows."""

    strategy: Strategy
    reason: str
    group: str | None = None
    time: str | None = None
    fold: str | None = None
    near: NearCopies | None = None
    gap: float = 0.0

    @property
    def columns(self) -> list[str]:
        return [name for name in (self.group, self.time, self.fold) if name is not None]

    @property
    def described(self) -> str:
        """The split in words: `group 'subject'`."""
        names = [f"'{name}'" for name in self.columns]
        if self.time is None and self.strategy in ("time", "group_time"):
            names.append(FILE_ORDER)
        return " ".join([self.strategy, ", ".join(names)]).strip()

    @property
    def special(self) -> set[str]:
        """Columns that are no feature under this split. Time stays one."""
        return {name for name in (self.group, self.fold) if name is not None}


def choose(config: AutoMLConfig, found: Finding | None = None) -> Split:
    """The split of a run. `found`: what the rows were found to be, None where nobody looked."""
    if config.validation != "auto":
        return _named(config.validation, config, "You asked for it.")
    columns = tuple(key for key in ("group_column", "time_column", "fold_column") if getattr(config, key) is not None)
    if columns:
        asked = " and ".join(f"{key} '{getattr(config, key)}'" for key in columns)
        return _named(_MEANT[columns], config, f"You gave {asked}.")
    if found and found.get("strategy"):
        return _honest(found, config.time_gap)
    return Split("stratified", "No dependence between rows was found." if found else "Rows are taken to be independent.")


_MEANT: dict[tuple[str, ...], Strategy] = {
    ("group_column",): "group",
    ("time_column",): "time",
    ("group_column", "time_column"): "group_time",
    ("fold_column",): "column",
}


def _named(strategy: Strategy, config: AutoMLConfig, reason: str) -> Split:
    return Split(strategy, reason, config.group_column, config.time_column, config.fold_column, gap=config.time_gap)


def _honest(found: Finding, gap: float) -> Split:
    near = NearCopies.from_json(found["near"]) if found.get("near") else None
    split = Split(found["strategy"], found["reason"], found.get("group_column"), found.get("time_column"), near=near)
    return replace(split, gap=gap) if split.strategy in ("time", "group_time") else split
