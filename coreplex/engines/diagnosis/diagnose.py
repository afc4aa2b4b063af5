"""What is known of a target before anything is trained: leaks, imbalance, usefulness of the columns.

Looks at a sample of rows chosen beforehand (`sample`), keeps a deadline, and says what it did not get to. The answer is plain
JSON and the same for the same table, question and seed, where the deadline ends nothing.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.diagnosis import dependence, findings, imbalance, leaks, probes, sample
from coreplex.engines.diagnosis.probes import Probe, Target
from coreplex.engines.diagnosis.question import Question
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors import Invalid

LEAST_ROWS = 30
"""Fewer rows tell nothing apart from chance."""
LEAST_SECONDS = 3.0
"""For the question whether rows depend on each other, however long the columns took."""


class Deadline:
    """`over` once the seconds are gone."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return self.left <= 0

    @property
    def left(self) -> float:
        return self._end - time.monotonic()


def diagnose(table: Path, schema: TableSchema, question: Question, *, seed: int = 0, seconds: float = 8.0) -> dict[str, Any]:
    """The diagnosis of one target of a stored table. Raises `Invalid` when there is no such column.

    Returns `target`, `problem_type`, `rows`, `sampled_rows`, `leaks`, `imbalance` (of classes), `usefulness`, `dependence`,
    `issues` (for a report of quality), `unfinished` (sentences).
    """
    column = schema.get(question.target)
    if column is None:
        raise Invalid.field(f"There is no column {question.target!r} in this table.", "target")
    deadline = Deadline(seconds)
    seen = sample.read(table, schema, column)
    target = Target.of(seen.frame.get_column(column.name), classification=question.classification, seed=seed)
    features = [one for one in schema if one.name != column.name and one.name not in question.roles.no_features]
    unfinished: list[str] = []
    found: dict[str, Probe] = {}
    if seen.frame.height >= LEAST_ROWS and target.looks:
        found = _probed(seen.frame, features, target, deadline, unfinished)
    trainable = {name: one for name, one in found.items() if _type(schema, name) is not ColumnType.id}
    accused = leaks.alone(trainable, column.name, classification=question.classification)
    classes = imbalance.count(table, column) if question.classification else None
    roles = question.roles
    together = dependence.find(
        table,
        schema,
        column.name,
        classification=question.classification,
        ignored={roles.weights_column, roles.fold_column, *roles.ignored_columns},
        leaks={name for leak in accused if leak.severity == "high" for name in leak.leave_out},
        seconds=max(deadline.left, LEAST_SECONDS),
        seed=seed,
    )
    if together["unfinished"]:
        unfinished.append("Not every way to split the rows was tried: the time was over.")
    return {
        "target": column.name,
        "problem_type": question.problem_type,
        "rows": seen.rows,
        "sampled_rows": seen.frame.height,
        "metric": target.metric,
        "leaks": [asdict(leak) for leak in accused],
        "imbalance": classes,
        "usefulness": usefulness(found),
        "dependence": together,
        "issues": findings.issues(column.name, accused, classes),
        "unfinished": unfinished,
    }


def _type(schema: TableSchema, name: str) -> ColumnType:
    column = schema.get(name)
    assert column is not None
    return column.type


def _probed(
    frame: pl.DataFrame, features: list[Column], target: Target, deadline: Deadline, unfinished: list[str]
) -> dict[str, Probe]:
    found: dict[str, Probe] = {}
    for number, column in enumerate(features):
        if deadline.over:
            unfinished.append(f"{len(features) - number} of {len(features)} columns were not looked at: the time was over.")
            break
        result = probes.probe(column, frame.get_column(column.name), target)
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
