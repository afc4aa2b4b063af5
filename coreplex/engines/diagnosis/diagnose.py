"""Diagnoses a target before training: leaks, class imbalance, usefulness of the columns, dependence between rows.

Reads a sample of rows chosen beforehand (`row_sample`), keeps a deadline, and says what it did not get to. The answer is plain
JSON and the same for the same table, request and seed, where the deadline ends nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.diagnosis import imbalance, quality_issues, row_counter, row_sample
from coreplex.engines.diagnosis.cpu_deadline import WALL_PER_CPU, CpuDeadline
from coreplex.engines.diagnosis.leakage import cross_validated_model, detection, univariate
from coreplex.engines.diagnosis.leakage.detector_input import DetectorInput
from coreplex.engines.diagnosis.leakage.leak import Leak
from coreplex.engines.diagnosis.leakage.univariate import EncodedTarget, UnivariateScore
from coreplex.engines.diagnosis.request import DiagnosisRequest
from coreplex.engines.diagnosis.row_dependence import recommendation
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.tree import Invalid

LEAST_ROWS = 30
"""Fewer rows tell nothing apart from chance."""
COLUMNS_SHARE_OF_TIME = 0.6
LEAST_SECONDS_FOR_ROWS = 3.0
"""Processor time for the dependence between rows, however long the columns took."""


def diagnose(
    table: Path,
    schema: TableSchema,
    request: DiagnosisRequest,
    *,
    seed: int = 0,
    seconds: float = 8.0,
    wall_per_cpu: float = WALL_PER_CPU,
) -> dict[str, Any]:
    """The diagnosis of one target of a Parquet table, as JSON. Raises `Invalid` when there is no such column.

    Returns what `examine` does, `dependence`: what `recommend_split` says of the rows without the leaking columns, and `rushed`:
    whether a busy machine cut it short. `seconds` of processor time, and `wall_per_cpu` seconds by the clock for each.
    """
    started = time.process_time()
    first = CpuDeadline(COLUMNS_SHARE_OF_TIME * seconds, wall_per_cpu)
    found = examine(table, schema, request, seed=seed, deadline=first)
    left = max(seconds - (time.process_time() - started), LEAST_SECONDS_FOR_ROWS)
    second = CpuDeadline(left, wall_per_cpu)
    roles = request.roles
    dependence = recommendation.recommend_split(
        table,
        schema,
        request.target,
        classification=request.classification,
        ignored={roles.weights_column, roles.fold_column, *roles.ignored_columns},
        leaks={name for leak in found["leaks"] for name in leak["leave_out"]},
        deadline=second,
        seed=seed,
    )
    if dependence["unfinished"]:
        found["unfinished"].append("Not every way to split the rows was tried: the time was over.")
    return {**found, "dependence": dependence, "rushed": first.rushed or second.rushed}


def examine(
    table: Path, schema: TableSchema, request: DiagnosisRequest, *, seed: int = 0, deadline: CpuDeadline
) -> dict[str, Any]:
    """What the columns tell of the target, from a sample of rows, as JSON. Raises `Invalid` when there is no such column.

    Returns `target`, `problem_type`, `rows`, `sampled_rows`, `metric`, `leaks`, `scores` (with the leaks and without),
    `imbalance` (of classes), `usefulness`, `step` (by which a target that counts the rows rises, else None), `issues` (for a
    report of quality), `unfinished` (sentences).
    """
    column = schema.get(request.target)
    if column is None:
        raise Invalid.field(f"There is no column {request.target!r} in this table.", "target")
    seen = row_sample.read(table, schema, column)
    target = EncodedTarget.of(seen.frame.get_column(column.name), classification=request.classification, seed=seed)
    data = _detector_input(table, schema, request, column, seen, target, deadline)
    flagged = detection.find_leaks(data) if data.univariate else []
    # Of an identifier more is said without looking at rows (`automl.creation`).
    step = None if column.type is ColumnType.id else row_counter.row_step(seen.frame.get_column(column.name))
    classes = imbalance.class_counts(table, column) if request.classification else None
    return {
        "target": column.name,
        "problem_type": request.problem_type,
        "rows": seen.rows,
        "sampled_rows": seen.frame.height,
        "metric": target.metric,
        "leaks": [asdict(leak) for leak in flagged],
        "scores": _scores(data, flagged),
        "imbalance": classes,
        "usefulness": usefulness(data.univariate),
        "step": step,
        "issues": quality_issues.issues(column.name, flagged, classes, step),
        "unfinished": data.unfinished,
    }


def _detector_input(
    table: Path,
    schema: TableSchema,
    request: DiagnosisRequest,
    column: Column,
    seen: row_sample.RowSample,
    target: EncodedTarget,
    deadline: CpuDeadline,
) -> DetectorInput:
    open_columns = [one for one in schema if one.name != column.name and one.name not in request.roles.no_features]
    features = tuple(one for one in open_columns if one.type is not ColumnType.id)
    ids = tuple(one for one in open_columns if one.type is ColumnType.id)
    unfinished: list[str] = []
    enough = seen.frame.height >= LEAST_ROWS and bool(target.responses)
    found = _probed(seen.frame, features, target, deadline, unfinished) if enough else {}
    return DetectorInput(table, seen.frame, column, target, features, ids, found, deadline, seen.whole, unfinished)


def _scores(data: DetectorInput, flagged: list[Leak]) -> dict[str, Any] | None:
    """Cross-validated scores `with` the columns of high leaks and `without` them; None when there are none."""
    gone = {name for leak in flagged for name in leak.leave_out}
    if not gone:
        return None
    if data.deadline.over:
        data.unfinished.append("What a model promises without the accused columns was not measured.")
        return None
    with_all, without = (cross_validated_model.cross_validate(data, data.ranked(names)) for names in (set(), gone))
    return {"metric": data.target.metric, "with": round(with_all.score, 4), "without": round(without.score, 4)}


def _probed(
    frame: pl.DataFrame, features: Sequence[Column], target: EncodedTarget, deadline: CpuDeadline, unfinished: list[str]
) -> dict[str, UnivariateScore]:
    found: dict[str, UnivariateScore] = {}
    for number, column in enumerate(features):
        if deadline.over:
            unfinished.append(f"{len(features) - number} of {len(features)} columns were not looked at: the time was over.")
            break
        result = univariate.score_column(column, frame.get_column(column.name), target)
        if result is not None:
            found[column.name] = result
    return found


USELESS = 0.001
"""A column that explains a smaller fraction of the target's variance alone tells nothing."""


def usefulness(found: dict[str, UnivariateScore]) -> list[dict[str, Any]]:
    """How much each column alone tells of the target, the most first.

    `share`: fraction (0..1) of its variance explained out of fold; `score`: in the metric; `useless`: share below 0.001.
    """
    entries = [
        {
            "column": name,
            "share": round(max(one.skill, 0.0), 4),
            "score": round(one.score, 4),
            "useless": one.skill < USELESS,
        }
        for name, one in found.items()
    ]
    return sorted(entries, key=lambda entry: -entry["share"])
