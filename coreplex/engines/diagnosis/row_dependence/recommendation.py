"""Recommends a validation split where rows are not independent: where a random split's score is optimistic for new rows.

Columns that may group or order the rows (`group_time_candidates`) and near duplicates (`near_duplicate_search`) are tried one by
one (`split_trials`): a cheap model is judged by a random split and by the honest one, on the same rows and with equally many rows
to train on (`split_comparison`). Only where the random split promises more than its error is another one proposed. Groups that
are there all the time, whose future is asked for, call for a forward split alone: they are known by then.

Roberts et al., "Cross-validation strategies for data with temporal, spatial, hierarchical, or phylogenetic structure",
Ecography 40 (2017).
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from coreplex.engines.diagnosis.cpu_deadline import CpuDeadline
from coreplex.engines.diagnosis.row_dependence.row_selection import LabelledTable
from coreplex.engines.diagnosis.row_dependence.split_trials import SplitSearch, SplitTrial
from coreplex.engines.tabular.schema import TableSchema

_MIN_ROWS = 60


def recommend_split(
    table: Path,
    schema: TableSchema,
    target: str,
    *,
    classification: bool,
    ignored: Collection[str | None] = (),
    leaks: Collection[str] = (),
    deadline: CpuDeadline,
    seed: int = 0,
) -> dict[str, Any]:
    """The split to use, with what was measured, as JSON: `strategy` (None: rows seem independent), its columns, `near`
    duplicates, the scores by the random and by the honest split, and a `reason`.

    `leaks` give the target away, and would hide what else does. Everything is JSON. No trial is begun after `deadline`;
    `unfinished` says whether one was left out for that.
    """
    search = SplitSearch(LabelledTable(table, schema, target, ignored, leaks), classification, seed, deadline)
    found = search.run() if search.table.rows >= _MIN_ROWS else None
    tried = [_to_json(trial) for trial in search.trials]
    chosen = _to_json(found) if found else {"strategy": None}
    return {"rows": search.table.rows, **chosen, "tried": tried, "unfinished": search.unfinished}


def _to_json(trial: SplitTrial) -> dict[str, Any]:
    one = trial.comparison
    return {
        "strategy": trial.strategy,
        "group_column": trial.group.column if trial.group else None,
        "time_column": trial.order.column if trial.order else None,
        "near": trial.near.to_json() if trial.near else None,
        "metric": one.metric,
        "random_score": one.random,
        "honest_score": one.honest,
        "excess": one.excess,
        "error": one.error,
        "certain": one.certain,
        "reason": _reason(trial),
    }


def _reason(trial: SplitTrial) -> str:
    one, names = trial.comparison, [f"'{name}'" for name in trial.columns]
    if trial.strategy == "group":
        what, judged = f"Rows of one {names[0]} resemble each other", "rows of new ones"
    elif trial.strategy == "group_time":
        what, judged = f"Rows of one {names[0]} resemble each other and drift", "later rows of new ones"
    elif trial.strategy == "time":
        what = f"Rows drift over {names[0]}" if names else "Rows resemble those before them in the file, as readings in order do"
        judged = "rows of another time"
    else:
        what, judged = "Many rows are nearly copies of others", "rows that are no copies"
    said = (
        f"{what}: a quick model promises {one.metric} {one.random:.4g} by a random split and gets {one.honest:.4g} on {judged}."
    )
    if trial.recurring is None:
        return said
    name = trial.recurring.column
    return f"{said} The same '{name}' go on; for new ones send validation 'group_time' with group_column '{name}'."
