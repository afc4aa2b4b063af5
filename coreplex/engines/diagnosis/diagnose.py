"""Diagnoses a target before training: leaks, class imbalance, usefulness of the columns, dependence between rows.

Reads a sample of rows chosen beforehand, keeps a deadline, and says what it did not get to. The answer is plain
JSON and the same for the same table, request and seed, where the deadline ends nothing.

python -m coreplex.engines.child coreplex.engines.diagnosis.diagnose:run
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreplex.engines.diagnosis import target_issues
from coreplex.engines.diagnosis.leakage import algebraic_identity, column_pairs, exact_relations, near_copies, target_proxies
from coreplex.engines.diagnosis.leakage.detector import DetectorInput, Leak
from coreplex.engines.diagnosis.leakage.univariate import UnivariateScore
from coreplex.engines.diagnosis.request import WALL_PER_CPU, ColumnRoles, CpuDeadline, DiagnosisRequest
from coreplex.engines.diagnosis.row_dependence import recommendation
from coreplex.engines.tabular.schema import ColumnType, TableSchema, no_column
from coreplex.errors.tree import Invalid, Message

if TYPE_CHECKING:
    from coreplex.engines.child import Report

COLUMNS_SHARE_OF_TIME = 0.6
LEAST_SECONDS_FOR_ROWS = 3.0
"""Processor time for the dependence between rows, however long the columns took."""
USELESS = 0.001
"""A column that explains a smaller fraction of the target's variance alone tells nothing."""
DETECTORS = (
    exact_relations.exact_relations,
    exact_relations.indicators,
    target_proxies.missingness,
    target_proxies.mean_encodings,
    target_proxies.texts,
    exact_relations.lookup_keys,
    algebraic_identity.sums_and_products,
    column_pairs.determining_pairs,
    near_copies.near_copies,
    exact_relations.row_counters,
)
"""Of target leakage, the surest first: copies of the target, what was computed from it, what is known only afterwards.

None of them is "predicts well": honest strong features (carat for price, petals for iris) come in company, have exceptions among
a hundred rows and gaps between their classes.
"""


def run(request: dict[str, Any], report: "Report") -> dict[str, Any]:
    """`diagnose` in a child process, JSON in, JSON out. request: `table`, `schema`, `target`, `problem_type`, `roles`, `seed`,
    `seconds` (of processor time), `patience` (seconds by the clock for each). Returns what `diagnose` does."""
    report.progress(0.05, "looking at the target before training")
    asked = DiagnosisRequest(request["target"], request["problem_type"], ColumnRoles.of(request["roles"]))
    schema = TableSchema.from_json(request["schema"])
    limits = {"seed": request["seed"], "seconds": request["seconds"], "wall_per_cpu": request["patience"]}
    return diagnose(Path(request["table"]), schema, asked, **limits)


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
        said = Message("splits_not_all_tried", "Not every way to split the rows was tried: the time was over.")
        found["unfinished"].append(said.to_json())
    return {**found, "dependence": dependence, "rushed": first.rushed or second.rushed}


def examine(
    table: Path, schema: TableSchema, request: DiagnosisRequest, *, seed: int = 0, deadline: CpuDeadline
) -> dict[str, Any]:
    """What the columns tell of the target, from a sample of rows, as JSON. Raises `Invalid` when there is no such column.

    Returns `target`, `problem_type`, `rows`, `sampled_rows`, `metric`, `leaks`, `scores` (with the leaks and without),
    `imbalance` (of classes), `usefulness`, `step` (by which a target that counts the rows rises, else None), `issues` (for a
    report of quality), `unfinished` (messages).
    """
    column = schema.get(request.target)
    if column is None:
        raise Invalid.field(no_column(request.target), "target")
    data = DetectorInput.of(table, schema, request, column, seed=seed, deadline=deadline)
    flagged = find_leaks(data) if data.univariate else []
    # Of an identifier more is said without looking at rows (`automl.data.feasibility`).
    step = None if column.type is ColumnType.id else target_issues.row_step(data.frame.get_column(column.name))
    classes = target_issues.class_counts(table, column) if request.classification else None
    return {
        "target": column.name,
        "problem_type": request.problem_type,
        "rows": data.rows,
        "sampled_rows": data.frame.height,
        "metric": data.target.metric,
        "leaks": [leak.to_json() for leak in flagged],
        "scores": _scores(data, flagged),
        "imbalance": classes,
        "usefulness": usefulness(data.univariate),
        "step": step,
        "issues": target_issues.issues(column.name, flagged, classes, step),
        "unfinished": [one.to_json() for one in data.unfinished],
    }


def find_leaks(data: DetectorInput) -> list[Leak]:
    """All leaks, severity high first (those an experiment is warned of), then by the score of the columns alone, highest first.

    A column that one detector has flagged is left out of the later ones.
    """
    found: list[Leak] = []
    for detector in DETECTORS:
        found += detector(data, _settled(found))
    flagged = _settled(found)
    found = [leak for leak in found if leak.severity == "high" or leak.kind == "lookup" or not flagged & set(leak.columns)]
    ordered = sorted(found, key=lambda leak: (leak.severity != "high", -leak.alone))
    return [_with_next_best(data, leak, ordered) for leak in ordered]


def _settled(found: list[Leak]) -> set[str]:
    """Columns that later detectors skip: those of high leaks, and lookup keys, of which nothing else is to be said."""
    return {name for leak in found if leak.severity == "high" or leak.kind == "lookup" for name in leak.columns}


def _with_next_best(data: DetectorInput, leak: Leak, leaks: list[Leak]) -> Leak:
    """The leak with the score of the best column that no leak names."""
    flagged = {name for one in leaks for name in one.columns}
    others = [one.score for name, one in data.univariate.items() if name not in flagged]
    return replace(leak, next_best=round(max(others, default=0.0), 4), alone=round(leak.alone, 4))


def _scores(data: DetectorInput, flagged: list[Leak]) -> dict[str, Any] | None:
    """Cross-validated scores `with` the columns of high leaks and `without` them; None when there are none."""
    gone = {name for leak in flagged for name in leak.leave_out}
    if not gone:
        return None
    if data.deadline.over:
        data.unfinished.append(
            Message("leaks_not_measured", "What a model promises without the accused columns was not measured.")
        )
        return None
    with_all, without = (near_copies.cross_validate(data, data.ranked(names)) for names in (set(), gone))
    return {"metric": data.target.metric, "with": round(with_all.score, 4), "without": round(without.score, 4)}


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
