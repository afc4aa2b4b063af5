"""`DiagnosisRequest`: a target, classification or regression, and the roles of columns that are no plain features."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

REVISION = 5
"""Raise it when a diagnosis of the same table would differ: stored ones are then made anew."""


@dataclass(frozen=True)
class ColumnRoles:
    """Names of columns with a role of their own, under the names of a training's options."""

    group_column: str | None = None
    time_column: str | None = None
    fold_column: str | None = None
    weights_column: str | None = None
    ignored_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "ColumnRoles":
        """The roles among the options of a training; other options are ignored."""
        known: dict[str, Any] = {name: options.get(name) for name in cls.__dataclass_fields__}
        return cls(**{**known, "ignored_columns": tuple(sorted(set(known["ignored_columns"] or ())))})

    @property
    def no_features(self) -> set[str]:
        """Names of the columns no model sees; the time column stays a feature."""
        return {name for name in (self.group_column, self.fold_column, self.weights_column, *self.ignored_columns) if name}


@dataclass(frozen=True)
class DiagnosisRequest:
    """A diagnosis to make of a table: `target` is a column's name, `problem_type` `classification` or `regression`."""

    target: str
    problem_type: str
    roles: ColumnRoles = field(default_factory=ColumnRoles)

    @property
    def classification(self) -> bool:
        """Whether the target is a class and not a number."""
        return self.problem_type != "regression"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the request and `REVISION`, 64 hexadecimal characters: the key of a stored diagnosis."""
        return hashlib.sha256(json.dumps([REVISION, asdict(self)], sort_keys=True).encode()).hexdigest()
