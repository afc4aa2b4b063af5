"""What a diagnosis is asked: a target, classification or regression, the roles of columns that are no plain features, and how
long it may take (`CpuDeadline`, in processor time, with a limit by the clock that is a multiple of it).
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

REVISION = 6
"""Raise it when a diagnosis of the same table would differ: stored ones are then made anew."""
WALL_PER_CPU = 1.5
"""Seconds by the clock per second of processor time, where somebody waits for the answer."""


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


class CpuDeadline:
    """`over` once the process has used `seconds` of processor time, or `wall_per_cpu` times as many have passed by the clock.

    Processor time first: the same table gets the same answer on a busy machine.
    """

    def __init__(self, seconds: float, wall_per_cpu: float = WALL_PER_CPU) -> None:
        self._work_end = time.process_time() + seconds
        self._end = time.monotonic() + wall_per_cpu * seconds
        self.rushed = False
        """Whether it was the clock that ended something: on an idle machine there would have been time for it."""

    @property
    def over(self) -> bool:
        """Whether either limit is reached; sets `rushed` where it was the clock's."""
        if time.process_time() >= self._work_end:
            return True
        late = time.monotonic() >= self._end
        self.rushed |= late
        return late
