"""Answers of one model for many rows of a table, column by column: the same as `Scorer.predict_rows` gives for each row.

A value is read as in a row of JSON that spells it as the table's file does. Where a column is stored as what it was in training,
which is usual, no value is looked at by Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.rows import Warning, Warnings, shown, spelled_otherwise
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.encoding.values import Canonical, domain, polars_type, reader
from coreplex.engines.scoring.bundle import label_key
from coreplex.engines.scoring.lightgbm import MANY_ROWS
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import Column, spell
from coreplex.errors.nearest import by_nearness, hint, listed, nearest, nearest_first
from coreplex.errors.tree import Invalid, Message

PREDICTION, PROBABILITY, ERROR = "prediction", "probability", "prediction_error"
LOWER, UPPER, SET = "prediction_lower", "prediction_upper", "prediction_set"
ODD = {
    "unreadable_value": "which cannot be read",
    "missing_value": "where training always saw a value",
    "unseen_category": "which training never saw",
    "out_of_range": "which lies outside the range that training saw",
}
"""What is said, under `strict`, of a value that is taken otherwise."""
_TAKEN_ANYWAY = {"extra_column": " and was ignored", "missing_column": "; it is treated as missing values"}
"""What a warning about a column says, and a refusal does not."""
NOTHING_KNOWN = "No column that the model reads has a value it can read in this row."


@dataclass(frozen=True)
class Scored:
    """answers: n rows, with `prediction_error` where there is none; oddities: odd values by column and kind."""

    answers: pl.DataFrame
    oddities: dict[tuple[str, str], int]


class TableScorer:
    """A model for the rows of one table. Raises Invalid where it knows none of the table's columns."""

    def __init__(
        self,
        scorer: Scorer,
        columns: Sequence[Column],
        threshold: float | None = None,
        interval: float | None = None,
        *,
        strict: bool = False,
    ) -> None:
        """strict: what is odd about a row refuses it, and what is odd about the columns the table (Invalid)."""
        self.scorer, self.threshold, self.interval, self.strict = scorer, threshold, interval, strict
        given = {column.name: column for column in columns}
        self._names = list(given)
        if not scorer.reader.knows(dict.fromkeys(given)):
            raise Invalid(none_known(list(given), scorer.features))
        self.matched = scorer.reader.matched(dict.fromkeys(given))
        """Columns of the model by the other spelling that the table has for them."""
        self.sources = {name: self.matched.get(name, name) for name in scorer.features if self.matched.get(name, name) in given}
        self._given = {name: given[source] for name, source in self.sources.items()}
        if interval is not None:
            self._check_interval(interval)
        if strict and (odd := self.about_columns()):
            raise Invalid(Message("strict_columns", "Under strict: {problems}", problems=[_refusal(one) for one in odd[:20]]))

    def about_columns(self) -> Warnings:
        """What is odd about the table's columns: one that is missing, is spelled otherwise, or is not known."""
        spelled = {source: name for name, source in self.sources.items()}
        columns = [spelled.get(name, name) for name in self._names]
        return [*spelled_otherwise(self.matched), *self.scorer.reader.told(columns, {})]

    def _check_interval(self, level: float) -> None:
        if self.scorer.classes:
            self.scorer.conformal.sets([[1.0 / len(self.scorer.classes)] * len(self.scorer.classes)], level)
        else:
            self.scorer.conformal.bounds([0.0], level)

    def score(self, frame: pl.DataFrame, refused: pl.Series | None = None) -> Scored:
        """Answers for the rows of a part of the table. refused: (n,) why a row cannot be scored, null where it may be."""
        own = self._own(frame)
        seen = _Spelled(own, self._given, frame.height)
        response = self._responses(self.scorer.ensemble.encode(seen))
        error = pl.Series(ERROR, [None], dtype=pl.String).new_from_index(0, frame.height)
        odd = list(self.scorer.reader.odd_values(own, seen))
        if self.strict:
            error = _refused(error, own, odd)
        error = error.set(pl.Series(self._empty(seen)), NOTHING_KNOWN)
        if refused is not None:
            error = refused.zip_with(refused.is_not_null(), error).alias(ERROR)
        answers = pl.DataFrame(self._columns(response)).with_columns(error)
        answers = answers.with_columns(pl.when(pl.col(ERROR).is_null()).then(pl.col(name)).alias(name) for name in self.names)
        return Scored(answers, {(name, kind): count for name, kind, one in odd if (count := int(one.sum()))})

    def encoded(self, frame: pl.DataFrame) -> list[Floats]:
        """One (n, width) matrix per encoder for the rows of a part of the table."""
        return self.scorer.ensemble.encode(_Spelled(self._own(frame), self._given, frame.height))

    def _own(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(pl.col(source).alias(name) for name, source in self.sources.items())

    def _responses(self, matrices: list[Floats]) -> Floats:
        """(n, k) answers for encoded rows, each what the row alone would get: so few at a time that no score is rounded."""
        ensemble, rows = self.scorer.ensemble, range(0, len(matrices[0]), MANY_ROWS - 1)
        parts = ([matrix[start : start + MANY_ROWS - 1] for matrix in matrices] for start in rows)
        return np.concatenate([ensemble.respond(ensemble.raw(part)) for part in parts])

    @cached_property
    def names(self) -> list[str]:
        """The columns of an answer, without the error."""
        return [one.name for one in self._columns(np.zeros((0, max(len(self.scorer.classes), 1))))]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The types of the columns of answers, the error too."""
        return {one.name: one.dtype for one in self._columns(np.zeros((0, max(len(self.scorer.classes), 1))))} | {
            ERROR: pl.String()
        }

    def _empty(self, seen: Canonical) -> NDArray[np.bool_]:
        """(n,) True for rows without one value that the model can read; of a model that reads no column none is."""
        empty = np.full(seen.height, bool(self.scorer.reader.known))
        for known in self.scorer.reader.known:
            values = seen.series(known.column)
            missing = values.is_null()
            if values.dtype.is_float():
                missing |= values.is_nan().fill_null(value=True)
            empty &= missing.to_numpy()
            if not empty.any():
                break
        return empty

    def _columns(self, response: Floats) -> list[pl.Series]:
        """The answer (n, k) as columns of a table."""
        classes = self.scorer.classes
        if not classes:
            return [pl.Series(PREDICTION, response[:, 0]), *self._bounds(response[:, 0])]
        chosen = self.scorer.chosen(response, self.threshold)
        return [
            self._labels.gather(chosen).alias(PREDICTION),
            pl.Series(PROBABILITY, response[np.arange(len(response)), chosen]),
            *(pl.Series(f"{PROBABILITY}_{label_key(label)}", response[:, place]) for place, label in enumerate(classes)),
            *self._sets(response),
        ]

    @cached_property
    def _labels(self) -> pl.Series:
        """The classes as one column can hold them."""
        classes = self.scorer.classes
        alike = len({type(label) for label in classes}) == 1
        return pl.Series(PREDICTION, list(classes) if alike else [label_key(label) for label in classes])

    def _bounds(self, values: Floats) -> list[pl.Series]:
        if self.interval is None:
            return []
        lower, upper = self.scorer.conformal.bounds(values.tolist(), self.interval)
        return [pl.Series(LOWER, lower), pl.Series(UPPER, upper)]

    def _sets(self, response: Floats) -> list[pl.Series]:
        if self.interval is None:
            return []
        classes, found = self.scorer.classes, self.scorer.conformal.sets(response.tolist(), self.interval)
        return [pl.Series(SET, [orjson.dumps([classes[code] for code in codes]).decode() for codes in found], dtype=pl.String)]


def _refused(error: pl.Series, frame: pl.DataFrame, odd: Sequence[tuple[str, str, pl.Series]]) -> pl.Series:
    """The errors, with the first odd value of each row that has one."""
    for name, kind, found in odd:
        rows = (found & error.is_null()).arg_true()
        if not rows.is_empty():
            values = frame.get_column(name).gather(rows).to_list()
            error = error.scatter(rows, [f"Column {shown(name)} holds {shown(value)}, {ODD[kind]}." for value in values])
    return error


class _Spelled(Canonical):
    """Columns of a table whose own schema says how their file spells them. given: the table's columns by the model's names."""

    def __init__(self, frame: pl.DataFrame, given: Mapping[str, Column], height: int) -> None:
        super().__init__(frame, keep=True)
        self.height = height
        self._given = given
        self._others: dict[str, pl.Series] = {}

    def series(self, column: Column) -> pl.Series:
        """The canonical values of one column."""
        given = self._given.get(column.name)
        if given is None or _stored_alike(given.dtype, column.dtype):
            return super().series(column)
        if column.name not in self._others:
            self._others[column.name] = _by_spelling(self.frame.get_column(column.name), given, column)
        return self._others[column.name]


def _stored_alike(given: str, trained: str) -> bool:
    """Whether values are stored as they were in training, or as texts, which are read as those of a row."""
    return given == "string" or _family(given) == _family(trained)


def _family(dtype: str) -> str:
    if dtype in ("date", "datetime"):
        return "moment"
    return dtype if dtype in ("bool", "string") else "number"


def _by_spelling(series: pl.Series, given: Column, column: Column) -> pl.Series:
    """Each distinct value as its file spells it, read as a row of JSON would be."""
    read, kind = reader(column), polars_type(domain(column))
    distinct = series.unique()
    values = [read(spell(given, value)) for value in distinct.to_list()]
    meaning = pl.Series([None if value != value else value for value in values], dtype=kind)
    return series.replace_strict(distinct, meaning, return_dtype=kind)


def _refusal(warning: Warning) -> str:
    return warning["message"].replace(_TAKEN_ANYWAY.get(warning["kind"], "\0"), "")


def none_known(names: Sequence[str], features: Sequence[str]) -> Message:
    """That a model knows none of a table's columns; it names the nearest ones it does know."""
    told = Message("no_column_known_of_table", "The model knows no column of this table ({columns}).", columns=listed(names, 5))
    near = next((name for name in names if nearest(name, features)), names[0] if names else "")
    return told.then(hint(near, features)).then(nearest_first(by_nearness(near, features)) if features else None)
