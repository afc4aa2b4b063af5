"""Answers of one model: for one row (the hot path of a deployment) and for many.

The very same code runs in the worker that trained the model and in the web process that serves it. A scorer is
immutable and shared by threads. Whatever a row holds, the answer is an answer, with warnings; that rows are objects is for who
takes them in to see to.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.encoding.batch import read_batch
from coreplex.engines.encoding.rows import Warning, Warnings, in_row
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.encoding.usual_rows import UsualRows
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Bundle, Label, Manifest, label_key
from coreplex.engines.scoring.calibration import Conformal
from coreplex.engines.scoring.ensemble import Ensemble
from coreplex.errors.tree import Invalid, Message

_ONE_BY_ONE = 3
"""Up to here the members' calls for one row are quicker than those for arrays."""
_COLUMNS = 12
"""From here on reading and encoding rows together is quicker than one by one."""
_FEW_ROWS = 200
"""Up to here it is quicker to do so without a frame."""
_MOST_WARNINGS = 200


class Prediction(TypedDict, total=False):
    """Regression has only `prediction`; `probability` is that of the predicted class. `lower`, `upper`, `prediction_set` come
    when an interval is asked for (`Scorer.add_intervals`)."""

    prediction: Label
    probability: float
    probabilities: dict[str, float]
    lower: float
    upper: float
    prediction_set: list[Label]


class Scorer:
    """`Scorer.load` in a server, `Scorer(bundle)` where the bundle is at hand."""

    def __init__(self, loaded: Bundle) -> None:
        self.manifest: Manifest = loaded.manifest
        self.ensemble: Ensemble = loaded.ensemble
        self.sha256 = loaded.sha256
        self.reader = bundle.row_reader(self.manifest, self.ensemble.encoders)
        self._usual = UsualRows.of(self.reader, self.ensemble.encoders)
        self._encode = tuple(encoder.compile(self.reader.names) for encoder in self.ensemble.encoders)
        self.classes = self.manifest.classes
        """As uploaded, in the order of the probabilities; none for a number."""
        self.features = self.reader.names
        """The source columns the model looks at."""
        self._keys = tuple(label_key(label) for label in self.classes)
        self._respond = self.ensemble.respond_rows

    @classmethod
    def load(cls, source: Path | str | bytes, sha256: str | None = None) -> "Scorer":
        """From a bundle file; `Corrupt` when its bytes are not those of `sha256`."""
        return cls(bundle.read(source, sha256))

    @property
    def task(self) -> str:
        """binary, multiclass or regression."""
        return self.manifest.task

    # One row, some rows

    def predict_row(self, row: Mapping[str, Any], threshold: float | None = None) -> tuple[Prediction, Warnings]:
        """The answer for one JSON object. `threshold` replaces the model's own (a deployment may have one)."""
        values, warnings = self.reader.read(row)
        return self._answer(self._respond([encode(values) for encode in self._encode]), threshold), warnings

    def _answer(self, response: Sequence[float], threshold: float | None) -> Prediction:
        classes = self.classes
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
        answers, warnings = self.predict_each(rows, threshold)
        return answers, gathered(warnings, len(rows))

    def predict_each(
        self, rows: Sequence[Mapping[str, Any]], threshold: float | None = None
    ) -> tuple[list[Prediction], Warnings]:
        """The same with every warning of every row, each with its `row`."""
        if len(rows) <= _ONE_BY_ONE:
            single = [self.predict_row(row, threshold) for row in rows]
            warnings = [warning for number, (_, own) in enumerate(single) if own for warning in in_row(own, number)]
            return [answer for answer, _ in single], warnings
        matrices, warnings = self.encoded(rows)
        response = self.ensemble.respond(self.ensemble.raw(matrices))
        return self._answers(response, threshold), warnings

    def _answers(self, response: Floats, threshold: float | None) -> list[Prediction]:
        """`_answer` for each row of an (n, k) response."""
        classes, keys = self.classes, self._keys
        if not classes:
            return [{"prediction": value} for value in response[:, 0].tolist()]
        chosen = self.chosen(response, threshold).tolist()
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

    def chosen(self, response: Floats, threshold: float | None) -> NDArray[np.int64]:
        """(n,) the number of the predicted class for an (n, k) response."""
        if len(self.classes) == 2:
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
                Message(
                    "model_without_intervals", "this model was trained before intervals were kept with models; train it again"
                ),
                "options",
                "interval",
            )
        return Conformal.from_json(kept)

    def add_intervals(self, answers: Sequence[Prediction], level: float) -> None:
        """Give each answer `lower` and `upper`, or for classes the `prediction_set`, that hold the truth so often."""
        if not self.classes:
            lower, upper = self.conformal.bounds([float(answer["prediction"]) for answer in answers], level)
            for answer, low, high in zip(answers, lower.tolist(), upper.tolist(), strict=True):
                answer["lower"], answer["upper"] = low, high
            return
        rows = [list(answer["probabilities"].values()) for answer in answers]
        for answer, codes in zip(answers, self.conformal.sets(rows, level), strict=True):
            answer["prediction_set"] = [self.classes[code] for code in codes]

    # What explanations start from

    @cached_property
    def background(self) -> list[Floats]:
        """The b background rows, encoded, one (b, width) matrix per encoder; a row with nothing known when the model has none."""
        return self.encoded(self.manifest.background or [{}])[0]

    def encoded(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Floats], Warnings]:
        """One (n, width) matrix per encoder, and what was odd about each row."""
        if len(rows) > _FEW_ROWS:
            batch, warnings = read_batch(self.reader, rows)
            return self.ensemble.encode(batch), warnings
        usual = self._usual.encoded(rows) if self._usual is not None and len(rows) >= _COLUMNS else None
        if usual is None:
            return self._encoded_one_by_one(rows)
        matrices, odd = usual
        warnings = []
        for number in sorted(odd):
            values, own = self.reader.read(rows[number])
            warnings += in_row(own, number)
            for matrix, encode in zip(matrices, self._encode, strict=True):
                matrix[number] = encode(values)
        return matrices, warnings

    def _encoded_one_by_one(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[Floats], Warnings]:
        read = [self.reader.read(row) for row in rows]
        warnings = [warning for number, (_, own) in enumerate(read) if own for warning in in_row(own, number)]
        return [np.array([encode(values) for values, _ in read], dtype=np.float64) for encode in self._encode], warnings


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
