"""A model on a labelled holdout that came later: read as the training table was, scored, and held against what was promised.

    python -m coreplex.engines.child coreplex.engines.automl.holdout:run

A large table is looked at in part: rows are scored in random order until there are plenty or the time is used up, which is as
good as all of them for a score, and is said.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import curves, intervals, metrics
from coreplex.engines.encoding.values import canonical_series, reader
from coreplex.engines.messages import MetricInterval
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular import frame as tables
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import Column, TableSchema
from coreplex.engines.tabular.types import vocabulary
from coreplex.errors.nearest import folded, hint, listed, nearest
from coreplex.errors.tree import Invalid, Message

LEAST_ROWS = 10
MOST_ROWS = 100_000
_CHUNK = 5_000
_COVERAGE = 0.9


@dataclass(frozen=True)
class Labelled:
    """Rows whose truth is known. frame: (n,) rows of features; y: (n,) class codes or values; notes: what was left out."""

    frame: pl.DataFrame
    y: NDArray[np.generic]
    notes: tuple[str, ...]


def run(request: Mapping[str, Any], _report: object = None) -> dict[str, Any]:
    """Evaluate. Request: bundle, sha256, a file (source, filename, sheet, unpacked_bytes, and scratch: a folder for what is
    made of it) or a stored table (table, schema), target (a column), metric_intervals, quantile, seconds (for scoring).

    Returns rows, rows_used, metrics, promises, interval_coverage, curves, warnings, notes. Raises `Invalid` and `BadInput` for
    tables that say nothing of this model.
    """
    scorer = Scorer.load(request["bundle"], request["sha256"])
    target = Column.from_json(request["target"])
    path, schema = _table(request, TableSchema((*scorer.manifest.schema_, target)))
    spelled, notes = _spelled(schema.names, scorer, target)
    frame = tables.load(path, schema, list(spelled)).rename(spelled)
    labelled = _labelled(frame, target, scorer)
    rows, p = _scored(scorer, labelled.frame, float(request["seconds"]))
    if len(rows) < len(labelled.y):
        notes.append(f"A random sample of {len(rows)} of the {len(labelled.y)} labelled rows was scored.")
    used = Labelled(labelled.frame[rows], labelled.y[rows], (*notes, *labelled.notes))
    return {"rows": frame.height, "rows_used": len(rows), **_judged(scorer, used, p, request)}


def _table(request: Mapping[str, Any], trained: TableSchema) -> tuple[Path, TableSchema]:
    """Where the typed table is, and its schema."""
    if request.get("table"):
        return Path(request["table"]), TableSchema.from_json(request["schema"])
    scratch = Path(request["scratch"])
    stored = scratch / "holdout.parquet"
    limits = Limits(unpacked_bytes=request.get("unpacked_bytes") or Limits.unpacked_bytes)
    source = partial(read_table, Path(request["source"]), request["filename"], stored)
    read = partial(source, limits=limits, sheet=request.get("sheet"), scratch=scratch)
    schema = read().schema
    again = [column for column in trained if _read_otherwise(column, schema.get(column.name))]
    if again:
        types = {column.name: column.type for column in again}
        missing = {column.name: sorted(vocabulary.SIGNS) if column.missing is None else column.missing for column in again}
        schema = read(overrides=types, missing=missing, force=True).schema
    return stored, schema


def _read_otherwise(column: Column, found: Column | None) -> bool:
    """Whether text of training came as something else here: codes such as 01 as numbers, other words as missing."""
    if found is None or column.dtype != "string":
        return False
    return found.dtype != "string" or found.missing != column.missing


def _spelled(names: list[str], scorer: Scorer, target: Column) -> tuple[dict[str, str], list[str]]:
    """The columns that count, each with the model's spelling, and notes. Raises Invalid without the target or all it reads."""
    wanted, found, notes = (*scorer.features, target.name), {}, []
    for name in wanted:
        close = name if name in names else nearest(name, [n for n in names if n not in wanted and n not in found])
        if close is not None and folded(close) == folded(name):
            found[close] = name
            if close != name:
                notes.append(f"The column '{close}' was taken as '{name}'.")
    if target.name not in found.values():
        told = Message("no_predicted_column", "There is no column '{column}', which the model predicts.", column=target.name)
        raise Invalid.field(told.then(hint(target.name, names)), "target_column")
    if scorer.features and len(found) == 1:
        raise Invalid(
            Message(
                "no_column_of_model",
                "None of the columns the model reads is in this table. It needs: {columns}.",
                columns=listed(scorer.features, 20),
            )
        )
    return found, notes


def _labelled(frame: pl.DataFrame, target: Column, scorer: Scorer) -> Labelled:
    """The rows with a truth. Raises Invalid where it is of another kind than the model's, or known of too few rows."""
    values = canonical_series(frame[target.name], target)
    given = int(frame[target.name].is_not_null().sum())
    if scorer.classes:
        read = reader(target)
        codes = {read(label): code for code, label in enumerate(scorer.classes)}
        found = [codes.get(value, -1) for value in values.to_list()]
        known = np.array(found) >= 0
        y: NDArray[np.generic] = np.array(found, dtype=np.int64)
    else:
        y = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        known = np.isfinite(y.astype(np.float64))
    strange = given - int(known.sum())
    if given and not known.any():
        raise Invalid.field(_wrong_kind(frame[target.name], target, scorer), "target_column")
    if known.sum() < LEAST_ROWS:
        few = Message(
            "too_few_rows_to_evaluate",
            "Only {rows} rows have a value in '{column}'; an evaluation needs at least {least}.",
            rows=int(known.sum()),
            column=target.name,
            least=LEAST_ROWS,
        )
        raise Invalid.field(few, "target_column")
    notes = []
    if frame.height > given:
        notes.append(f"Rows without a value in '{target.name}' are left out: {frame.height - given}.")
    if strange:
        what = "a class that the model does not know" if scorer.classes else "no finite number"
        examples = _examples(frame[target.name].filter(~known))
        notes.append(f"Rows with {what} in '{target.name}' are left out: {strange} ({examples}).")
    return Labelled(frame.filter(known), y[known], tuple(notes))


def _wrong_kind(values: pl.Series, target: Column, scorer: Scorer) -> Message:
    found = _examples(values)
    if scorer.classes:
        return Message(
            "no_class_of_model",
            "'{column}' holds none of the classes the model tells apart ({classes}), but {found}.",
            column=target.name,
            classes=[str(label) for label in scorer.classes[:10]],
            found=found,
        )
    return Message(
        "no_number_to_judge",
        "'{column}' holds no number, which the model predicts, but {found}.",
        column=target.name,
        found=found,
    )


def _examples(values: pl.Series) -> str:
    return ", ".join(str(value)[:60] for value in values.drop_nulls().unique(maintain_order=True).head(5).to_list())


def _scored(scorer: Scorer, frame: pl.DataFrame, seconds: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row numbers and their (m, k) answers, in random order until `seconds` are over."""
    ends = time.monotonic() + seconds
    order = np.random.default_rng(0).permutation(frame.height)[:MOST_ROWS]
    parts = [order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK)]
    done = list(_until(ends, parts, lambda rows: scorer.ensemble.predict(frame[rows])))
    return np.concatenate([rows for rows, _ in done]), np.concatenate([p for _, p in done])


def _until(ends: float, parts: list[NDArray[np.int64]], score: Any) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    for number, rows in enumerate(parts):
        if number and time.monotonic() > ends:
            return
        yield rows, score(rows)


def _judged(scorer: Scorer, used: Labelled, p: NDArray[np.float64], request: Mapping[str, Any]) -> dict[str, Any]:
    predicted = metrics.decided(p, scorer.manifest.threshold)
    found = metrics.evaluate(scorer.task, used.y, p, predicted=predicted, quantile=request.get("quantile"))
    return {
        "metrics": found,
        "promises": _promises(request["metric_intervals"], found, len(used.y)),
        "interval_coverage": _coverage(scorer, used.y, p),
        "curves": _curves(scorer, used.y, p, predicted),
        "warnings": scorer.reader.check(used.frame),
        "notes": list(used.notes),
    }


def _promises(entries: Sequence[MetricInterval], found: metrics.Metrics, rows: int) -> list[dict[str, Any]]:
    """Each promised interval, for a holdout of so many rows, and whether the metric fell inside."""
    out = []
    for entry in entries:
        value = found.get(entry["metric"])
        if value is not None:
            low, high = intervals.scaled(entry, rows)
            promised = {"metric": entry["metric"], "promised": entry["value"], "low": low, "high": high, "level": entry["level"]}
            out.append({**promised, "value": value, "holds": low <= value <= high})
    return out


def _coverage(scorer: Scorer, y: NDArray[np.generic], p: NDArray[np.float64]) -> dict[str, float] | None:
    """How often intervals, or sets of classes, of level 0.9 hold the truth; None for models that have none."""
    if scorer.manifest.conformal is None or scorer.conformal.highest < _COVERAGE:
        return None
    if scorer.classes:
        sets = scorer.conformal.sets(p.tolist(), _COVERAGE)
        return {"level": _COVERAGE, "share": float(np.mean([code in one for code, one in zip(y.tolist(), sets, strict=True)]))}
    low, high = scorer.conformal.bounds(p[:, 0].tolist(), _COVERAGE)
    values = y.astype(np.float64)
    return {"level": _COVERAGE, "share": float(((low <= values) & (values <= high)).mean())}


def _curves(scorer: Scorer, y: NDArray[np.generic], p: NDArray[np.float64], predicted: NDArray[np.int64]) -> dict[str, Any]:
    """The same curves as the model's own; of more than two classes the confusion alone, which is what stays small."""
    if not scorer.classes:
        return curves.regression(y.astype(np.float64), p)
    codes = y.astype(np.int64)
    if len(scorer.classes) == 2:
        return curves.classification(codes, p, scorer.classes, predicted)
    confusion = curves.confusion_matrix(codes, predicted, scorer.classes)
    return {"kind": "classification", "labels": list(scorer.classes), "confusion_matrix": confusion}
