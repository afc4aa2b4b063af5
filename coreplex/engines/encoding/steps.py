"""What a step of an encoder is: one source column in, a few float columns out.

A step is fitted once, then holds only JSON values and plain arrays. `transform` takes a canonical series, `row` one
canonical value, and the two give the same numbers. `training` is what the model is trained on: the same as
`transform` except for steps that look at the target, which must not show a row its own target.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EncodingKind = Literal["tree", "dense"]
TaskKind = Literal["binary", "multiclass", "regression"]
State = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Context:
    """What a step may know while it is fitted."""

    kind: EncodingKind
    task: TaskKind
    seed: int
    target: Floats | None = None
    """(n, m) float columns to average per category: the value, 0/1 of the positive class, or one column per class."""
    folds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Inner fold of each row, for encodings of the target that do not see the row itself."""


class Step(Protocol):
    """One fitted step. n rows; outputs are float64, one column per name, in the same order everywhere."""

    @property
    def kind(self) -> str:
        """The name under which it is stored (`choice.KINDS`)."""
        ...

    @property
    def column(self) -> str:
        """The source column."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Of the encoded columns."""
        ...

    @property
    def categorical(self) -> Sequence[int]:
        """Which outputs are codes of categories."""
        ...

    def transform(self, series: pl.Series) -> Floats:
        """(n, len(names)) float64."""
        ...

    def training(self, series: pl.Series, context: Context) -> Floats:
        """(n, len(names)) for the rows that it was fitted on: equal to `transform` unless the step looks at the target."""
        ...

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A fast function of one canonical value, equal to `transform` of a series of length one."""
        ...

    def state(self) -> tuple[State, Arrays]:
        """What `from_state` makes it again from: JSON values, and arrays by name."""
        ...


class StepType(Protocol):
    """The class side of a step, so that the register of kinds can be typed."""

    def from_state(self, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Step:
        """The step that `Step.state` described; `ValueError`, `KeyError` or `TypeError` where that does not fit together."""
        ...
