"""The encoder of one model: a typed table in, a matrix of floats out, learned on the rows it is fitted on and on
nothing else.

Fitted inside each fold, so nothing of the validation rows reaches it. Saved as JSON and plain arrays, never as
objects. Refuses to train: a table without one usable column is an error that lists why each column was dropped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding import choice
from coreplex.engines.encoding.steps import Arrays, Context, EncodingKind, Floats, State, Step, TaskKind
from coreplex.engines.encoding.text import Text
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.tabular.schema import Column, TableSchema
from coreplex.errors.tree import BadInput, Invalid, Message

_INNER_FOLDS = 5
_MOST_TARGETS = 10
"""Classes whose share is encoded per level of a category with many levels: the most frequent ones."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """Use `Encoder.fit` or, for the rows a model is trained on, `Encoder.fit_transform`."""

    kind: EncodingKind
    columns: tuple[Column, ...]
    """The source columns in use, one per step."""
    steps: tuple[Step, ...]
    dropped: Mapping[str, str]
    """Column name → why it is not used."""

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        columns: Sequence[Column],
        target: NDArray[Any] | None,
        *,
        kind: EncodingKind,
        task: TaskKind,
        seed: int = 0,
        exclude: Sequence[str] = (),
    ) -> "Encoder":
        """Learn from `frame` (n rows). `target`: (n,) class numbers 0…K-1 or floats; None makes no use of a target.

        To train on these very rows take `fit_transform`: `transform` would show rows their own target.
        """
        context = _context(frame.height, target, kind, task, seed)
        return _fit(Canonical(frame), columns, context, exclude)

    @classmethod
    def fit_transform(
        cls,
        frame: pl.DataFrame,
        columns: Sequence[Column],
        target: NDArray[Any] | None,
        *,
        kind: EncodingKind,
        task: TaskKind,
        seed: int = 0,
        exclude: Sequence[str] = (),
    ) -> tuple["Encoder", Floats]:
        """The fitted encoder and the (n, width) matrix to train on, where no row has seen its own target."""
        context = _context(frame.height, target, kind, task, seed)
        seen = Canonical(frame)
        encoder = _fit(seen, columns, context, exclude)
        return encoder, encoder._matrix(seen, lambda step, column: step.training(seen.series(column), context))

    def transform(self, frame: pl.DataFrame | Canonical) -> Floats:
        """(n, width) C-contiguous float64. Columns of `frame` may be missing, in any order, and may hold anything."""
        seen = frame if isinstance(frame, Canonical) else Canonical(frame)
        return self._matrix(seen, lambda step, column: _transformed(step, column, seen))

    def _matrix(self, frame: Canonical, encode: Callable[[Step, Column], Floats]) -> Floats:
        matrix = np.empty((frame.height, self.width))
        at = 0
        for column, step in zip(self.columns, self.steps, strict=True):
            block = encode(step, column)
            matrix[:, at : at + block.shape[1]] = block
            at += block.shape[1]
        return matrix

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the encoded columns."""
        return tuple(name for step in self.steps for name in step.names)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The source column of each encoded column."""
        return tuple(step.column for step in self.steps for _ in step.names)

    @cached_property
    def categorical(self) -> tuple[int, ...]:
        """Indices of encoded columns that hold codes of categories, for learners that treat them as such."""
        starts = accumulate((len(step.names) for step in self.steps), initial=0)
        return tuple(start + place for start, step in zip(starts, self.steps, strict=False) for place in step.categorical)

    @cached_property
    def width(self) -> int:
        """How many encoded columns there are."""
        return sum(len(step.names) for step in self.steps)

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The source columns in use."""
        return tuple(step.column for step in self.steps)

    def compile(self, order: Sequence[str]) -> Callable[[Sequence[Any]], list[float]]:
        """A fast function from canonical values in `order` of columns to the encoded row."""
        place = {name: index for index, name in enumerate(order)}
        # Every spot first gets the canonical value of its source, which is all that raw numbers need.
        sources = [place[name] for name in self.sources]
        pick = itemgetter(*sources) if len(sources) > 1 else lambda values: [values[source] for source in sources]
        computed: list[tuple[int, slice, Callable[[Any], Sequence[float]]]] = []
        at = 0
        for step in self.steps:
            spots = slice(at, at + len(step.names))
            if step.kind != "raw":
                computed.append((place[step.column], spots, step.row()))
            at = spots.stop

        def encode(values: Sequence[Any]) -> list[float]:
            out: list[Any] = list(pick(values))
            for source, spots, step_row in computed:
                out[spots] = step_row(values[source])
            return out

        return encode

    def compile_columns(self, order: Sequence[str], numbers: int) -> Callable[[Floats, Sequence[Sequence[Any]]], Floats]:
        """The same for n rows at once, to an (n, width) matrix: of the columns in `order` the first are an (n, `numbers`)
        matrix, and the others lists of values."""
        place = {name: index for index, name in enumerate(order)}
        raw: list[tuple[int, int]] = []
        computed: list[tuple[int, slice, Callable[[Any], Sequence[float]]]] = []
        at = 0
        for step in self.steps:
            spots = slice(at, at + len(step.names))
            at = spots.stop
            if step.kind == "raw" and place[step.column] < numbers:
                raw += [(spot, place[step.column]) for spot in range(spots.start, spots.stop)]
            else:
                computed.append((place[step.column], spots, step.row()))
        into, sources = (np.array([pair[side] for pair in raw], dtype=np.intp) for side in (0, 1))

        def encode(matrix: Floats, others: Sequence[Sequence[Any]]) -> Floats:
            out = np.empty((len(matrix), self.width))
            out[:, into] = matrix[:, sources]
            for source, spots, step_row in computed:
                values = matrix[:, source].tolist() if source < numbers else others[source - numbers]
                out[:, spots] = np.fromiter(chain.from_iterable(map(step_row, values)), np.float64).reshape(len(matrix), -1)
            return out

        return encode

    # Storage

    def to_json(self) -> tuple[State, Arrays]:
        """JSON-ready state, and the arrays it refers to by name."""
        states: list[State] = []
        arrays: Arrays = {}
        for index, step in enumerate(self.steps):
            state, own = step.state()
            states.append({"kind": step.kind, "column": step.column, "state": state})
            arrays |= {f"{index}_{name}": array for name, array in own.items()}
        schema = TableSchema(self.columns).to_json()
        return {"kind": self.kind, "columns": schema, "steps": states, "dropped": dict(self.dropped)}, arrays

    @classmethod
    def from_json(cls, data: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Encoder":
        """The encoder saved by `to_json`; anything that does not fit together is `BadInput`."""
        try:
            columns = TableSchema.from_json(data["columns"]).columns
            steps = []
            for index, saved in enumerate(data["steps"]):
                prefix = f"{index}_"
                own = {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
                steps.append(choice.KINDS[saved["kind"]].from_state(saved["column"], saved["state"], own))
            if [step.column for step in steps] != [column.name for column in columns]:
                raise ValueError("steps and columns differ")
            return cls(data["kind"], tuple(columns), tuple(steps), dict(data["dropped"]))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise BadInput(
                Message("encoder_unreadable", "The encoder of this model cannot be read: {error}", error=str(error))
            ) from error


def _transformed(step: Step, column: Column, frame: Canonical) -> Floats:
    """Texts are read once for all encoders of a model."""
    if isinstance(step, Text) and frame.height:
        return step.encoded(frame.derived(column, step.buckets, step.read))
    return step.transform(frame.series(column))


def _context(rows: int, target: NDArray[Any] | None, kind: EncodingKind, task: TaskKind, seed: int) -> Context:
    if target is None:
        return Context(kind, task, seed)
    if len(target) != rows:
        raise ValueError(f"{len(target)} targets for {rows} rows")
    folds = np.random.default_rng(seed).permutation(rows) % _INNER_FOLDS
    if task != "multiclass":
        return Context(kind, task, seed, np.asarray(target, dtype=np.float64)[:, None], folds)
    numbers, counts = np.unique(np.asarray(target, dtype=np.int64), return_counts=True)
    frequent = np.sort(numbers[np.argsort(-counts, kind="stable")][:_MOST_TARGETS])
    indicators = np.asarray(target)[:, None] == frequent[None, :]
    return Context(kind, task, seed, indicators.astype(np.float64), folds)


def _fit(frame: Canonical, columns: Sequence[Column], context: Context, exclude: Sequence[str]) -> Encoder:
    used: list[Column] = []
    steps: list[Step] = []
    dropped: dict[str, str] = {}
    for column in columns:
        if column.name in exclude:
            dropped[column.name] = "excluded by request"
            continue
        series = frame.series(column)
        reason = choice.reason_to_drop(column, series)
        if reason is not None:
            dropped[column.name] = reason
            continue
        step = choice.step_for(column, series, context)(series, context)
        if len(step.names):
            used.append(column)
            steps.append(step)
    if not steps:
        raise Invalid(choice.no_features(dropped))
    return Encoder(context.kind, tuple(used), tuple(steps), dropped)
