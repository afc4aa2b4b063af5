"""What a diagnosis is asked: which target, what kind of task, and the columns that are no features."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

REVISION = 5
"""Raise it when a diagnosis would say something else of the same table: stored ones are then made anew."""


@dataclass(frozen=True)
class Roles:
    """Columns with a role of their own, by the names of the options of a training."""

    group_column: str | None = None
    time_column: str | None = None
    fold_column: str | None = None
    weights_column: str | None = None
    ignored_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Roles":
        """The roles among the options of a training; others are not looked at."""
        known: dict[str, Any] = {name: options.get(name) for name in cls.__dataclass_fields__}
        return cls(**{**known, "ignored_columns": tuple(sorted(set(known["ignored_columns"] or ())))})

    @property
    def no_features(self) -> set[str]:
        """Columns no model sees; time stays a feature."""
        return {name for name in (self.group_column, self.fold_column, self.weights_column, *self.ignored_columns) if name}


@dataclass(frozen=True)
class Question:
    """One question about a table. `problem_type`: `classification` or `regression`."""

    target: str
    problem_type: str
    roles: Roles = field(default_factory=Roles)

    @property
    def classification(self) -> bool:
        return self.problem_type != "regression"

    @property
    def fingerprint(self) -> str:
        """Equal for equal questions to the same revision of this code; 64 characters."""
        return hashlib.sha256(json.dumps([REVISION, asdict(self)], sort_keys=True).encode()).hexdigest()
