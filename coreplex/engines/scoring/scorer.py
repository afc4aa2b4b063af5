"""Answers of one model: for one row (the hot path of a deployment) and for many.

The very same code runs in the worker that trained the model and in the web process that serves it. A scorer is
immutable and shared by threads. Whatever a row holds, the answer is an answer, with warnings; only a row that is no
object is an error.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.encoding.batch import in_row, read_batch
from coreplex.engines.encoding.rows import RowReader, Warning, Warnings
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Bundle, Label, Manifest, label_key
from coreplex.engines.scoring.conformal import Conformal
from coreplex.engines.scoring.contributions import Explained, explain_rows
from coreplex.engines.scoring.ensemble import Ensemble
from coreplex.engines.tabular.schema import Column
from coreplex.errors.tree import Invalid

_ONE_BY_ONE = 3
"""Up to here the members' calls for one row are quicker than those for arrays."""
_FEW_ROWS = 200
"""Up to here reading and encoding row by row is quicker than setting up columns."""
_MOST_WARNINGS = 200
_MOST_BACKGROUND_CELLS = 20_000
_LONGEST_TEXT = 500


class Prediction(TypedDict, total=False):
    """Regression has only `prediction`; `probability` is that of the predicted class. `lower`, `upper`, `prediction_set` come
    when an interval is asked for (`Scorer.add_intervals`)."""

    prediction: Label
    probability: float
    probabilities: dict[str, float]
    lower: float
    upper: float
    prediction_set: list[Label]


Contributions = TypedDict(
    "Contributions",
    {
        "contributions": list[dict[str, Any]],
        "others": float,
        "base_value": float,
        "raw_score": float,
        "residual": float,
        "method": str,
        "space": str,
        "class": Label,
    },
    total=False,
)
"""`contributions`: [{feature, value, contribution, std_error?}]; `std_error` when they were sampled."""


class Scorer:
    """`Scorer.load` in a server, `Scorer(bundle)` where the bundle is at hand."""

    def __init__(self, loaded: Bundle) -> None:
        self.manifest: Manifest = loaded.manifest
        self.ensemble: Ensemble = loaded.ensemble
        self.sha256 = loaded.sha256
        offered = self.manifest.schema_
        self.reader = RowReader.of(self.ensemble.encoders, [*offered.names, self.manifest.target])
        self._encode = tuple(encoder.compile(self.reader.names) for encoder in self.ensemble.encoders)
        self._classes = self.manifest.classes
        self._keys = tuple(label_key(label) for label in self._classes)
        self._respond = self.ensemble.respond_rows

    @classmethod
    def load(cls, source: Path | str | bytes, sha256: str | None = None) -> "Scorer":
        """From a bundle file; `Corrupt` when its bytes are not those of `sha256`."""
        return cls(bundle.read(source, sha256))

    @property
    def task(self) -> str:
        """binary, multiclass or regression."""
        return self.manifest.task

    @property
    def classes(self) -> tuple[Label, ...]:
        """As uploaded, in the order of the probabilities; none for a number."""
        return self._classes

    @property
    def features(self) -> tuple[str, ...]:
        """The source columns the model looks at."""
        return self.reader.names

    # One row, some rows

    def predict_row(self, row: Mapping[str, Any], threshold: float | None = None) -> tuple[Prediction, Warnings]:
        """The answer for one JSON object. `threshold` replaces the model's own (a deployment may have one)."""
        values, warnings = self.reader.read(row)
        return self._answer(self._respond([encode(values) for encode in self._encode]), threshold), warnings

    def _answer(self, response: Sequence[float], threshold: float | None) -> Prediction:
        classes = self._classes
        if not classes:
            return {"prediction": response[0]}
        if len(classes) == 2:
            least = self.manifest.threshold if threshold is None else threshold
            chosen = 1 if response[1] >= least else 0
        else:
            chosen = max(range(len(classes)), key=response.__getitem__)
        probabilities = dict(zip(self._keys, response, strict=True))
        return {"prediction": classes[chosen], "probability": response[chosen], "probabilities": probabilities}

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]], threshold: float | None = None
    ) -> tuple[list[Prediction], Warnings]:
        """One answer per row, in order, and the warnings with their `row` (a column missing everywhere is said once)."""
        check_rows(rows)
        if len(rows) <= _ONE_BY_ONE:
            single = [self.predict_row(row, threshold) for row in rows]
            warnings = [warning for number, (_, own) in enumerate(single) for warning in in_row(own, number)]
            return [answer for answer, _ in single], gathered(warnings, len(rows))
        matrices, warnings = self._encoded(rows)
        response = self.ensemble.respond(self.ensemble.raw(matrices))
        return self._answers(response, threshold), gathered(warnings, len(rows))

    def _answers(self, response: Floats, threshold: float | None) -> list[Prediction]:
        """`_answer` for each row of an (n, k) response."""
        classes, keys = self._classes, self._keys
        if not classes:
            return [{"prediction": value} for value in response[:, 0].tolist()]
        chosen = self._chosen(response, threshold).tolist()
        if len(classes) == 2:
            first, second = keys
            return [
                {"prediction": classes[place], "probability": q if place else p, "probabilities": {first: p, second: q}}
                for place, (p, q) in zip(chosen, response.tolist(), strict=True)
            ]
        return [
            {"prediction": classes[place], "probability": values[place], "probabilities": dict(zip(keys, values, strict=True))}
            for place, values in zip(chosen, response.tolist(), strict=True)
        ]

    def _chosen(self, response: Floats, threshold: float | None) -> NDArray[np.int64]:
        """(n,) the number of the predicted class for an (n, k) response."""
        if len(self._classes) == 2:
            least = self.manifest.threshold if threshold is None else threshold
            return (response[:, 1] >= least).astype(np.int64)
        return response.argmax(axis=1)

    # Intervals

    @cached_property
    def conformal(self) -> Conformal:
        """What intervals are made of. Invalid (422) for models of a version that kept none."""
        kept = self.manifest.conformal
        if kept is None:
            raise Invalid.field(
                "this model was trained before intervals were kept with models; train it again", "options", "interval"
            )
        return Conformal.from_json(kept)

    def add_intervals(self, answers: Sequence[Prediction], level: float) -> None:
        """Give each answer `lower` and `upper`, or for classes the `prediction_set`, that hold the truth so often."""
        if not self._classes:
            lower, upper = self.conformal.bounds([float(answer["prediction"]) for answer in answers], level)
            for answer, low, high in zip(answers, lower.tolist(), upper.tolist(), strict=True):
                answer["lower"], answer["upper"] = low, high
            return
        rows = [list(answer["probabilities"].values()) for answer in answers]
        for answer, codes in zip(answers, self.conformal.sets(rows, level), strict=True):
            answer["prediction_set"] = [self._classes[code] for code in codes]

    # Explanations

    @cached_property
    def background(self) -> list[Floats]:
        """The b background rows, encoded, one (b, width) matrix per encoder; a row with nothing known when the model has none."""
        return self._encoded(self.manifest.background or [{}])[0]

    def _encoded(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Floats], Warnings]:
        """One (n, width) matrix per encoder, and what was odd about each row."""
        if len(rows) > _FEW_ROWS:
            batch, warnings = read_batch(self.reader, rows)
            return self.ensemble.encode(batch), warnings
        read = [self.reader.read(row) for row in rows]
        warnings = [warning for number, (_, own) in enumerate(read) for warning in in_row(own, number)]
        return [np.array([encode(values) for values, _ in read], dtype=np.float64) for encode in self._encode], warnings

    def contributions(self, rows: Sequence[Mapping[str, Any]], top: int | None = 5, seed: int = 0) -> list[Contributions]:
        """Per row what the columns add to the raw score, the strongest `top` first (None: all), the rest as `others`.

        base_value + contributions + others + residual = raw_score, the log-odds of `class` for two classes, the score of the
        predicted class for more, the value for regression (`space` names the link).
        """
        check_rows(rows)
        found = explain_rows(self.ensemble, self._encoded(rows)[0], self.background, self.features, seed)
        return [self._contribution(found, number, row, top) for number, row in enumerate(rows)]

    def _contribution(self, found: Explained, number: int, row: Mapping[str, Any], top: int | None) -> Contributions:
        several = found.raw.shape[1] > 1
        column = int(found.raw[number].argmax()) if several else 0
        parts = found.contributions[number, column]
        order = np.argsort(-np.abs(parts), kind="stable")
        kept = order if top is None else order[: max(top, 0)]
        listed: list[dict[str, Any]] = []
        for index in kept:
            name = self.features[index]
            item = {"feature": name, "value": self.shown(row.get(name)), "contribution": float(parts[index])}
            if found.error is not None and np.isfinite(found.error[number, column, index]):
                item["std_error"] = float(found.error[number, column, index])
            listed.append(item)
        answer: Contributions = {
            "contributions": listed,
            "others": float(parts.sum() - parts[kept].sum()),
            "base_value": float(found.base[column]),
            "raw_score": float(found.raw[number, column]),
            "residual": float(found.residual[number, column]),
            "method": found.method,
            "space": self.ensemble.link,
        }
        if self._classes:
            answer["class"] = self._classes[column if several else 1]
        return answer

    def shown(self, value: Any) -> Any:
        """A value of a row as JSON can carry it."""
        if isinstance(value, float):
            return value if np.isfinite(value) else None
        return value if value is None or isinstance(value, str | int) else str(value)

    # Tables

    def check_frame(self, frame: pl.DataFrame) -> Warnings:
        """What is odd about a table to be predicted: once per column and kind, with the number of `rows`."""
        return self.reader.check(frame)


def check_rows(rows: Any) -> None:
    """Invalid (422) unless `rows` is a list of at least one object."""
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes) or not rows:
        raise Invalid.field("Send one row as an object, or several as a list of objects.", "inputs")
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise Invalid.field("Each row must be an object of column names and values.", "inputs", number)


def gathered(warnings: Warnings, rows: int) -> Warnings:
    """What holds for every row is said once and without `row`; at most 200 in all."""
    counts: dict[tuple[str, str], int] = {}
    for warning in warnings:
        if warning["kind"] in ("missing_column", "extra_column", "matched_column"):
            key = warning["kind"], warning["column"]
            counts[key] = counts.get(key, 0) + 1
    everywhere = {key for key, count in counts.items() if count == rows}
    said: set[tuple[str, str]] = set()
    result: Warnings = []
    for warning in warnings:
        key = warning["kind"], warning["column"]
        if key not in everywhere:
            result.append(warning)
        elif key not in said:
            said.add(key)
            whole: Warning = {"column": warning["column"], "kind": warning["kind"], "message": warning["message"]}
            result.append(whole)
    if len(result) <= _MOST_WARNINGS:
        return result
    left = len(result) - _MOST_WARNINGS
    return [*result[:_MOST_WARNINGS], {"column": "", "kind": "more", "message": f"{left} more warnings are not shown."}]


def background_of(frame: pl.DataFrame, columns: Sequence[Column], rows: int = 100, seed: int = 0) -> tuple[dict[str, Any], ...]:
    """Rows of training for `Manifest.background`, as JSON; fewer when there are very many columns."""
    names = [column.name for column in columns if column.name in frame.columns]
    most = max(5, min(rows, _MOST_BACKGROUND_CELLS // max(len(names), 1), frame.height))
    chosen = np.sort(np.random.default_rng(seed).permutation(frame.height)[:most])
    return tuple(
        {name: _plain(value) for name, value in row.items()} for row in frame.select(names)[chosen].iter_rows(named=True)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, int) else str(value)
