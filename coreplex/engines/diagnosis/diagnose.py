"""What is known of a target before anything is trained: leaks, imbalance, usefulness of the columns.

Looks at a sample of rows chosen beforehand (`sample`), keeps a deadline, and says what it did not get to. The answer is plain
JSON and the same for the same table, question and seed, where the deadline ends nothing.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.diagnosis import imbalance, quality_issues, row_counter, row_sample
from coreplex.engines.diagnosis.cpu_deadline import PATIENCE, Deadline
from coreplex.engines.diagnosis.leakage import cross_validated_model, detection, univariate
from coreplex.engines.diagnosis.leakage.detector_input import Case
from coreplex.engines.diagnosis.leakage.leak import Leak
from coreplex.engines.diagnosis.leakage.univariate import Probe, Target
from coreplex.engines.diagnosis.request import Question
from coreplex.engines.diagnosis.row_dependence import recommendation
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.tree import Invalid

LEAST_ROWS = 30
"""Fewer rows tell nothing apart from chance."""
SHARE_OF_COLUMNS = 0.6
LEAST_SECONDS = 3.0
"""For the question whether rows depend on each other, however long the columns took."""


def diagnose(
    table: Path, schema: TableSchema, question: Question, *, seed: int = 0, seconds: float = 8.0, patience: float = PATIENCE
) -> dict[str, Any]:
    """The diagnosis of one target of a stored table. Raises `Invalid` when there is no such column.

    Returns what `examine` does, `dependence`: whether rows depend on each other, the accused columns left out, and `rushed`:
    whether a busy machine cut it short. `seconds` and `patience`: see `Deadline`.
    """
    started = time.process_time()
    first = Deadline(SHARE_OF_COLUMNS * seconds, patience)
    found = examine(table, schema, question, seed=seed, deadline=first)
    left = max(seconds - (time.process_time() - started), LEAST_SECONDS)
    second = Deadline(left, patience)
    roles = question.roles
    together = recommendation.find(
        table,
        schema,
        question.target,
        classification=question.classification,
        ignored={roles.weights_column, roles.fold_column, *roles.ignored_columns},
        leaks={name for leak in found["leaks"] for name in leak["leave_out"]},
        deadline=second,
        seed=seed,
    )
    if together["unfinished"]:
        found["unfinished"].append("Not every way to split the rows was tried: the time was over.")
    return {**found, "dependence": together, "rushed": first.rushed or second.rushed}


def examine(table: Path, schema: TableSchema, question: Question, *, seed: int = 0, deadline: Deadline) -> dict[str, Any]:
    """What the columns tell of the target. Raises `Invalid` when there is no such column.

    Returns `target`, `problem_type`, `rows`, `sampled_rows`, `metric`, `leaks`, `scores` (with the leaks and without),
    `imbalance` (of classes), `usefulness`, `step` (by which a target that counts the rows rises, else None), `issues` (for a
    report of quality), `unfinished` (sentences).
    """
    column = schema.get(question.target)
    if column is None:
        raise Invalid.field(f"There is no column {question.target!r} in this table.", "target")
    seen = row_sample.read(table, schema, column)
    target = Target.of(seen.frame.get_column(column.name), classification=question.classification, seed=seed)
    case = _case(table, schema, question, column, seen, target, deadline)
    accused = detection.find(case) if case.probes else []
    # Of an identifier more is said without looking at rows (`automl.creation`).
    step = None if column.type is ColumnType.id else row_counter.step(seen.frame.get_column(column.name))
    classes = imbalance.count(table, column) if question.classification else None
    return {
        "target": column.name,
        "problem_type": question.problem_type,
        "rows": seen.rows,
        "sampled_rows": seen.frame.height,
        "metric": target.metric,
        "leaks": [asdict(leak) for leak in accused],
        "scores": _scores(case, accused),
        "imbalance": classes,
        "usefulness": usefulness(case.probes),
        "step": step,
        "issues": quality_issues.issues(column.name, accused, classes, step),
        "unfinished": case.unfinished,
    }


def _case(
    table: Path,
    schema: TableSchema,
    question: Question,
    column: Column,
    seen: row_sample.Sample,
    target: Target,
    deadline: Deadline,
) -> Case:
    open_columns = [one for one in schema if one.name != column.name and one.name not in question.roles.no_features]
    features = tuple(one for one in open_columns if one.type is not ColumnType.id)
    ids = tuple(one for one in open_columns if one.type is ColumnType.id)
    unfinished: list[str] = []
    enough = seen.frame.height >= LEAST_ROWS and bool(target.looks)
    found = _probed(seen.frame, features, target, deadline, unfinished) if enough else {}
    return Case(table, seen.frame, column, target, features, ids, found, deadline, seen.whole, unfinished)


def _scores(case: Case, accused: list[Leak]) -> dict[str, Any] | None:
    """What a quick model promises `with` the columns of high leaks and `without` them; None when there are none."""
    gone = {name for leak in accused for name in leak.leave_out}
    if not gone:
        return None
    if case.deadline.over:
        case.unfinished.append("What a model promises without the accused columns was not measured.")
        return None
    with_all, without = (cross_validated_model.model(case, case.best(names)) for names in (set(), gone))
    return {"metric": case.target.metric, "with": round(with_all.score, 4), "without": round(without.score, 4)}


def _probed(
    frame: pl.DataFrame, features: Sequence[Column], target: Target, deadline: Deadline, unfinished: list[str]
) -> dict[str, Probe]:
    found: dict[str, Probe] = {}
    for number, column in enumerate(features):
        if deadline.over:
            unfinished.append(f"{len(features) - number} of {len(features)} columns were not looked at: the time was over.")
            break
        result = univariate.probe(column, frame.get_column(column.name), target)
        if result is not None:
            found[column.name] = result
    return found


USELESS = 0.001
"""Less of the target's spread explained alone tells nothing."""


def usefulness(found: dict[str, Probe]) -> list[dict[str, Any]]:
    """How much each column alone tells of the target, the most first: `share` of its spread, `score` in the metric, `useless`."""
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
