"""Chooses how rows are split for a run: what was asked for, what the named columns mean, or what was found in the rows.

`auto` takes the honest split that `coreplex.engines.diagnosis.row_dependence.recommendation` found, where it found that a random
one would promise too much; otherwise rows are dealt evenly by the target, as if they were independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.splits.folds import Strategy
from coreplex.engines.automl.splits.near_duplicates import NearDuplicates
from coreplex.errors.tree import Message

Finding = Mapping[str, Any]


@dataclass(frozen=True)
class Split:
    """How rows are split, and why. A `time` of None under a forward strategy is the order of the rows."""

    strategy: Strategy
    reason: str
    group: str | None = None
    time: str | None = None
    fold: str | None = None
    near: NearDuplicates | None = None
    gap: float = 0.0

    @property
    def columns(self) -> list[str]:
        """The columns that the split goes by."""
        return [name for name in (self.group, self.time, self.fold) if name is not None]

    @property
    def words(self) -> str:
        """For a sentence: `'group' by 'subject'`."""
        names = [f"'{name}'" for name in self.columns]
        if self.time is None and self.strategy in ("time", "group_time"):
            names.append("the order of the rows in the file")
        near = ", near copies held together" if self.near is not None else ""
        return f"'{self.strategy}'{' by ' if names else ''}{' and '.join(names)}{near}"

    @property
    def special(self) -> set[str]:
        """Columns that are no feature under this split. Time stays one."""
        return {name for name in (self.group, self.fold) if name is not None}


def choose(config: AutoMLConfig, found: Finding | None = None) -> Split:
    """The split of a run. `found`: what the rows were found to be (`dependence.find`), None where nobody looked."""
    if config.validation != "auto":
        return _named(config.validation, config, "You asked for it.")
    columns = tuple(key for key in _COLUMNS if getattr(config, key) is not None)
    if columns:
        asked = " and ".join(f"{key} '{getattr(config, key)}'" for key in columns)
        return _named(_MEANT[columns], config, f"You gave {asked}.")
    if found and found.get("strategy"):
        return _honest(found, config.time_gap)
    return Split("stratified", _independent(found))


def _independent(found: Finding | None) -> str:
    """Why rows are dealt as if they were independent: it was looked at, in part, or not at all."""
    if not found:
        return "Whether rows depend on each other is not known; they are taken to be independent."
    if found.get("unfinished"):
        return "Rows seem independent of each other, but there was no time to try every way to split them."
    return "Rows seem independent of each other."


def described(config: AutoMLConfig, found: Finding | None) -> dict[str, Any]:
    """The split of a run as an experiment shows it; `folds` is known once the training has made them.

    The two promises, `random_score` and `honest_score` in `metric`, are None where they were not measured.
    """
    split = choose(config, found)
    trial = _measured(split, found)
    scores = {key: trial.get(key) if trial else None for key in ("metric", "random_score", "honest_score")}
    return {"strategy": split.strategy, "columns": split.columns, "reason": split.reason, **scores, "folds": None}


def warnings(config: AutoMLConfig, found: Finding | None) -> list[Message]:
    """What to say where a random split would promise too much, unless the columns that were given settle it."""
    if not found or not found.get("strategy"):
        return []
    split, honest = choose(config, found), _honest(found, 0.0)
    if config.validation in ("random", "stratified"):
        used = Message(
            "split_as_asked",
            "Validation {split} is used as you asked; 'auto' would take {honest_split}.",
            split=split.words,
            honest_split=honest.words,
        )
        return [Message.from_json(found["said"]).then(used)]
    if split.reason != honest.reason:
        return []
    judged = Message("judged_by_split", "Models are judged by validation {split}.", split=split.words)
    told = Message.from_json(found["said"]).then(judged)
    if split.group is None:
        return [told]
    again = Message(
        "group_no_feature",
        "'{group}' is then no feature; send validation 'random' if the same ones will be asked for.",
        group=split.group,
    )
    return [told.then(again)]


def _measured(split: Split, found: Finding | None) -> Finding | None:
    """The trial that says what a random split promises beside this one, or beside the honest one where this is random."""
    if not found:
        return None
    if found.get("strategy") and split.strategy in ("random", "stratified"):
        return found
    for trial in [found, *found.get("tried", ())]:
        if (trial.get("strategy"), trial.get("group_column"), trial.get("time_column")) == (
            split.strategy,
            split.group,
            split.time,
        ):
            return trial
    return None


_COLUMNS = ("group_column", "time_column", "fold_column")
_MEANT: dict[tuple[str, ...], Strategy] = {
    ("group_column",): "group",
    ("time_column",): "time",
    ("group_column", "time_column"): "group_time",
    ("fold_column",): "column",
}


def _named(strategy: Strategy, config: AutoMLConfig, reason: str) -> Split:
    return Split(strategy, reason, config.group_column, config.time_column, config.fold_column, gap=config.time_gap)


def _honest(found: Finding, gap: float) -> Split:
    near = NearDuplicates.from_json(found["near"]) if found.get("near") else None
    split = Split(found["strategy"], found["said"]["message"], found.get("group_column"), found.get("time_column"), near=near)
    return replace(split, gap=gap) if split.strategy in ("time", "group_time") else split
