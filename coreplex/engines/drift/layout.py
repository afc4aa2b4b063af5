"""What is counted of a model's requests and answers: its columns in their bins, with how often training saw each.

A layout gives every bin of every column a number of its own, one after the other, so that all counts are one long vector, of
which only what is not zero is kept. It is made once from the table of the training and never changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log, pi, sqrt
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.drift.bins import Kind, LevelBins, NumberBins, bins_of
from coreplex.engines.encoding.values import Canonical, domain
from coreplex.engines.scoring.bundle import label_key
from coreplex.engines.tabular.schema import Column, ColumnType

Counts = NDArray[np.int64]

MOST_ROWS = 100_000
"""Of a longer table a sample says where the bins lie, and how often each is met."""
KINDS: Mapping[str, Kind] = {"number": "number", "moment": "moment", "category": "category", "text": "length"}
CLASS, PROBABILITY, NUMBER = "class", "probability", "prediction"
"""What is counted of an answer."""
KOLMOGOROV_MEAN = sqrt(pi / 2) * log(2)
"""Of his distribution."""


@dataclass(frozen=True)
class Feature:
    """One thing that is counted. `column`: how its values are read; None for an answer. `counts`: (size,) of training.

    `label`: of which class it is the probability; None where of the one that is answered. `floor`: how far what is counted may
    lie from `counts` (`distance`) though nothing has moved, 0 to 1.
    """

    name: str
    kind: Kind
    bins: NumberBins | LevelBins
    counts: tuple[int, ...]
    column: Column | None = None
    label: str | None = None
    floor: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        more: dict[str, Any] = {} if self.column is None else {"column": self.column.to_json()}
        if self.label is not None:
            more["label"] = self.label
        if self.floor:
            more["floor"] = self.floor
        return {"name": self.name, "kind": self.kind, **self.bins.to_json(), "counts": list(self.counts), **more}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Feature":
        """What `to_json` wrote."""
        column = Column.from_json(data["column"]) if "column" in data else None
        return cls(
            data["name"], data["kind"], bins_of(data), tuple(data["counts"]), column, data.get("label"), data.get("floor", 0.0)
        )


class Part(NamedTuple):
    """A feature and where its bins begin in the vector of all."""

    feature: Feature
    begin: int

    def of(self, vector: Counts) -> Counts:
        """Its (size,) part of a vector of all."""
        return vector[self.begin : self.begin + self.feature.bins.size]


@dataclass(frozen=True)
class Layout:
    """`inputs` are columns, `answers` what is made of an output: its class, its number or probability."""

    inputs: tuple[Feature, ...]
    answers: tuple[Feature, ...] = ()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All features with their places, inputs first."""
        return tuple(self._placed())

    def _placed(self) -> Iterator[Part]:
        begin = 0
        for feature in (*self.inputs, *self.answers):
            yield Part(feature, begin)
            begin += feature.bins.size

    @property
    def size(self) -> int:
        """Of the vector."""
        return sum(feature.bins.size for feature in (*self.inputs, *self.answers))

    def rows(self, vector: Counts) -> int:
        """How many rows a vector says anything of: as many as the feature that was met most often."""
        return max((int(part.of(vector).sum()) for part in self.parts), default=0)

    @cached_property
    def names(self) -> frozenset[str]:
        """Of the input columns."""
        return frozenset(feature.name for feature in self.inputs)


def of_table(frame: pl.DataFrame, columns: Sequence[Column], seed: int = 0) -> tuple[Feature, ...]:
    """The columns of a table that are worth counting: all but identifiers, which are always new."""
    some = frame.sample(MOST_ROWS, seed=seed) if frame.height > MOST_ROWS else frame
    seen, whole = Canonical(some), Canonical(frame)
    wanted = [column for column in columns if column.type is not ColumnType.id]
    return tuple(_feature(column, seen.series(column), whole.series(column)) for column in wanted)


def _feature(column: Column, some: pl.Series, whole: pl.Series) -> Feature:
    kind = KINDS[domain(column)]
    bins: NumberBins | LevelBins
    if kind == "category":
        bins = _levels(some, whole)
        places = bins.place(some.to_list())
    else:
        values = as_numbers(some, kind)
        bins = _with_ends(NumberBins.fit(values), as_numbers(whole, kind))
        places = bins.place(values)
    return Feature(column.name, kind, bins, _counted(places, bins.size), column)


def table_values(features: Sequence[Feature], frame: pl.DataFrame) -> NDArray[np.float64]:
    """(n, f) the columns of a table, as a model can learn from them (`values_of`)."""
    seen = Canonical(frame)
    columns = [_values(feature, seen.series(feature.column)) for feature in features if feature.column is not None]
    return np.column_stack(columns) if columns else np.empty((frame.height, 0))


def _values(feature: Feature, series: pl.Series) -> NDArray[np.float64]:
    if isinstance(feature.bins, LevelBins):
        return values_of(feature, None, feature.bins.place(series.to_list()))
    return as_numbers(series, feature.kind)


def values_of(feature: Feature, values: NDArray[np.float64] | None, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) what was read of a column as numbers a model can learn from: `values` of numbers; of categories (None) their `places`,
    the commonest first, NaN for what is missing and for what training never saw."""
    if values is not None or not isinstance(feature.bins, LevelBins):
        return values if values is not None else places.astype(np.float64)
    found = places.astype(np.float64)
    found[places >= feature.bins.unseen] = np.nan
    return found


def _levels(some: pl.Series, whole: pl.Series) -> LevelBins:
    """Ranked by the sample, with the rare ones that only the whole table has."""
    counts = dict.fromkeys(whole.drop_nulls().unique().to_list(), 0)
    present = some.drop_nulls().value_counts()
    counts.update(zip(present.to_series(0).to_list(), present.to_series(1).to_list(), strict=True))
    return LevelBins.fit(counts)


def as_numbers(series: pl.Series, kind: Kind) -> NDArray[np.float64]:
    """(n,) canonical values as floats, of texts how many characters they have; NaN where there are none."""
    numbers = series.str.len_chars() if kind == "length" else series
    return numbers.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _with_ends(bins: NumberBins, whole: NDArray[np.float64]) -> NumberBins:
    """The same with the least and the largest value of the whole table at the ends."""
    if not bins.edges or np.isnan(whole).all():
        return bins
    low, high = float(np.nanmin(whole)), float(np.nanmax(whole))
    return NumberBins(tuple(sorted({low, *bins.edges, high})))


def of_classes(labels: Sequence[Any], probabilities: NDArray[np.float64], predicted: NDArray[np.int64]) -> tuple[Feature, ...]:
    """What a classifier answers, by its (n, k) out-of-fold probabilities and (n,) predicted classes.

    The score is the probability of the second of two classes, else that of the predicted class.
    """
    names = [label_key(label) for label in labels]
    counts = np.bincount(predicted, minlength=len(names)).tolist()
    classes = LevelBins.fit(dict(zip(names, counts, strict=True)))
    label = names[1] if len(names) == 2 else None
    scores = NumberBins.fit(_scores(label, probabilities, predicted))
    made = Feature(CLASS, "category", classes, ()), Feature(PROBABILITY, "number", scores, (), label=label)
    places = [places_of(feature, labels, probabilities, predicted) for feature in made]
    return tuple(replace(one, counts=_counted(where, one.bins.size)) for one, where in zip(made, places, strict=True))


def of_numbers(predictions: NDArray[np.float64]) -> tuple[Feature, ...]:
    """What a regression answers, by its (n,) out-of-fold predictions."""
    bins = NumberBins.fit(predictions)
    return (Feature(NUMBER, "number", bins, _counted(bins.place(predictions), bins.size)),)


def places_of(
    feature: Feature, labels: Sequence[Any], p: NDArray[np.float64], predicted: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """(n,) places of n answers: (n, k) probabilities with (n,) class codes, or (n, 1) numbers."""
    if isinstance(feature.bins, LevelBins):
        assert predicted is not None
        return feature.bins.place([label_key(labels[place]) for place in predicted])
    return feature.bins.place(p[:, 0] if predicted is None else _scores(feature.label, p, predicted))


def _scores(label: str | None, p: NDArray[np.float64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    return p[np.arange(len(predicted)), predicted] if label is None else p[:, 1]


def distance(feature: Feature, one: Counts, other: Counts) -> float:
    """Between the distributions of (size,) counts, 0 to 1: Kolmogorov and Smirnov's of numbers, total variation of categories."""
    difference = one / max(int(one.sum()), 1) - other / max(int(other.sum()), 1)
    if isinstance(feature.bins, NumberBins):
        return float(np.abs(np.cumsum(difference)).max())
    return float(np.abs(difference).sum() / 2)


def by_chance(feature: Feature, one: Counts, other: Counts) -> float:
    """The `distance` that is expected where both are of the same distribution: the mean of Kolmogorov's, and of the absolute
    values of normal differences of shares."""
    rows, others = max(int(one.sum()), 1), max(int(other.sum()), 1)
    noise = (1 / rows + 1 / others) ** 0.5
    if isinstance(feature.bins, NumberBins):
        return KOLMOGOROV_MEAN * noise
    shares = (one + other) / (rows + others)
    return float(np.sqrt(2 / np.pi * shares * (1 - shares)).sum() * noise / 2)


def _counted(places: NDArray[np.int64], size: int) -> tuple[int, ...]:
    return tuple(np.bincount(places, minlength=size).tolist())
