"""Rows of the inference log as one looks at how right they were: read, estimated, and summed up by time and by slice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.layout import Layout, values_of
from coreplex.engines.estimation.baseline import Estimation
from coreplex.engines.estimation.error_model import ErrorModel
from coreplex.engines.performance.estimated import LEAST_ROWS, ByConfidence, ByErrors, Estimates
from coreplex.engines.performance.realised import Figures, Judge, Rows
from coreplex.engines.performance.slices import Slice, slices

Text = str | None
AT_ONCE = 200
"""Rows whose inputs are objects of Python at the same time."""


@dataclass(frozen=True)
class Logged:
    """n rows as the database has them, in JSON: `outputs`, `outcomes`, `inputs` (None where nobody needs them); and (n,) numbers
    of their buckets."""

    buckets: NDArray[np.int64]
    outputs: Sequence[Text]
    outcomes: Sequence[Text] = ()
    inputs: Sequence[Text] = ()

    def __len__(self) -> int:
        return len(self.outputs)


@dataclass(frozen=True)
class Part:
    """What is said of a part of the rows. `realised`: of `judged` rows with an outcome, `unknown` of which are a class the model
    does not know; `estimated`: of `rows` rows, None where nothing can be said."""

    realised: Figures
    judged: int
    unknown: int
    estimated: Figures | None
    rows: int


@dataclass(frozen=True)
class Summary:
    """Of all rows, by bucket, and by slice of the column that was asked for."""

    whole: Part
    buckets: Mapping[int, Part] = field(default_factory=dict)
    slices: Sequence[tuple[Slice, Part]] = ()


@dataclass(frozen=True)
class _Sides:
    """Rows with outcomes and rows that are estimated, each with (n,) numbers of what they are grouped by."""

    judge: Judge
    known: Rows
    estimates: Estimates | None
    size: int

    def part(self, known: NDArray[Any], all_: NDArray[Any]) -> Part:
        """Of the rows with outcomes `known`, and the estimated rows `all_`: (n,) of bool."""
        rows, count = self.known.take(known), int(all_.sum())
        estimated = self.estimates.figures(all_) if self.estimates is not None and count >= LEAST_ROWS else None
        return Part(self.judge.figures(rows), len(rows), rows.unknown, estimated, count)


def summarised(
    judge: Judge,
    estimation: Estimation | None,
    layout: Layout | None,
    known: Logged,
    some: Logged,
    *,
    by_bucket: bool = False,
    column: str | None = None,
) -> Summary:
    """`known`: rows with an outcome; `some`: a sample of all that were answered. `column`: of the layout, sliced by."""
    reader = RowCounter(layout) if layout is not None else None
    sliced = {column} if column is not None else set()
    read_by = set(estimation.errors.columns) if estimation is not None and estimation.errors is not None else set()
    places = _read(reader, known, sliced).places
    judged = judge.rows([_json(one) for one in known.outputs], [_json(one) for one in known.outcomes])
    columns = _read(reader, some, sliced | read_by)
    kept, estimates = _estimates(judge, estimation, layout, some, columns)
    sides = _Sides(judge, judged, estimates, len(kept))
    whole = sides.part(np.ones(len(judged), dtype=bool), np.ones(len(kept), dtype=bool))
    buckets = _grouped(sides, known.buckets[judged.places], some.buckets[kept]) if by_bucket else {}
    found: list[tuple[Slice, Part]] = []
    if column is not None and layout is not None:
        names, of = slices(next(one for one in layout.inputs if one.name == column))
        groups = of[places[column]][judged.places], of[columns.places[column]][kept]
        found = [(names[number], part) for number, part in _grouped(sides, *groups).items()]
    return Summary(whole, buckets, found)


def _grouped(sides: _Sides, known: NDArray[np.int64], all_: NDArray[np.int64]) -> dict[int, Part]:
    groups = sorted({*known.tolist(), *all_.tolist()})
    return {group: sides.part(known == group, all_ == group) for group in groups}


def _json(text: Text) -> Any:
    return None if text is None else orjson.loads(text)


@dataclass(frozen=True)
class _Columns:
    """What rows hold, by column: (n,) `values` as a model can learn from them, and (n,) `places` of their frozen bins."""

    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    places: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def _read(reader: RowCounter | None, rows: Logged, wanted: Collection[str]) -> _Columns:
    if reader is None or not wanted:
        return _Columns()
    parts = [_read_some(reader, rows.inputs[at : at + AT_ONCE], wanted) for at in range(0, max(len(rows), 1), AT_ONCE)]
    return _Columns(
        {name: np.concatenate([one.values[name] for one in parts]) for name in parts[0].values},
        {name: np.concatenate([one.places[name] for one in parts]) for name in parts[0].places},
    )


def _read_some(reader: RowCounter, inputs: Sequence[Text], wanted: Collection[str]) -> _Columns:
    found = list(reader.read(reader.named([_json(one) or {} for one in inputs]), wanted))
    return _Columns(
        {feature.name: values_of(feature, values, places) for feature, values, places in found},
        {feature.name: places for feature, _, places in found},
    )


def _estimates(
    judge: Judge, estimation: Estimation | None, layout: Layout | None, some: Logged, columns: _Columns
) -> tuple[NDArray[np.int64], Estimates | None]:
    """The positions of the answers that can be read, and what is estimated of them; None where nothing can be."""
    outputs = [_json(one) for one in some.outputs]
    kept = np.array([place for place, one in enumerate(outputs) if judge.is_answer(one)], dtype=np.int64)
    p, predicted = judge.answers([outputs[place] for place in kept])
    if estimation is None:
        return kept, None
    if estimation.calibration is not None and judge.classes:
        return kept, ByConfidence(p, estimation.calibration.apply(p), predicted)
    if estimation.errors is not None and layout is not None and can_read(estimation.errors, layout):
        return kept, _by_errors(estimation.errors, {name: one[kept] for name, one in columns.values.items()}, p)
    return kept, None


def can_read(errors: ErrorModel, layout: Layout) -> bool:
    """Whether the layout has all columns that the model of errors reads."""
    return layout.names.issuperset(errors.columns)


def expected_errors(
    errors: ErrorModel, values: Mapping[str, NDArray[np.float64]], p: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) absolute and (n,) squared errors that are to be expected of n answers p (n, 1), by the (n,) values of each column, as
    `RowCounter.values` reads them."""
    columns = [values[name] for name in errors.columns]
    return errors.errors(np.column_stack(columns) if columns else np.empty((len(p), 0)), p[:, 0])


def _by_errors(errors: ErrorModel, values: Mapping[str, NDArray[np.float64]], p: NDArray[np.float64]) -> ByErrors:
    absolute, squared = expected_errors(errors, values, p)
    return ByErrors(absolute, squared, errors.absolute_deviation, errors.squared_deviation)
