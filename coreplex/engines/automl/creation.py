"""Whether a training can come to anything, answered from the stored profile before one is queued: reads no table.

Refuses only what training would refuse for certain. What a profile does not hold (which values go missing together, the counts of
rare values among many) is settled in `task`, aloud.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from coreplex.engines.automl.families.family import families
from coreplex.engines.automl.options import checks, engine_registry
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.splits import folds
from coreplex.engines.encoding.steps import TaskKind
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.tree import Invalid

Facts = Mapping[str, Any]


def check_creation(
    profile: Facts,
    schema: TableSchema,
    target: str,
    problem_type: str,
    config: AutoMLConfig | None = None,
    engines: Sequence[str] = (engine_registry.DEFAULT,),
) -> TaskKind:
    """The kind of task the profile promises. Raises `Invalid` at `target_column`, `problem_type` or the option of `config` that
    cannot be had."""
    config = config or AutoMLConfig()
    column = checks.find(schema, target)
    features = checks.check_columns(schema, target, config)
    facts = {str(one.get("name")): one for one in profile.get("columns", [])}
    rows, known = int(profile.get("row_count") or 0), facts.get(target, {})
    missing = _count(known, "missing_count")
    labelled = rows - missing - _count(known, "infinite_count")
    distinct = int(known["unique_count"]) if known.get("unique_count") is not None else labelled
    kind = checks.check(column, labelled, distinct, problem_type, features=features, missing=missing)
    if kind == "regression":
        _check_numbers(column, known, config)
    else:
        _check_classes(column, known, labelled)
    _check_features(schema, facts, rows, {target, *config.special_columns})
    _check_folds(facts, config, lost=rows - labelled + (distinct if kind != "regression" else 0))
    _check_engines(engines, kind, config)
    return kind


def target_warnings(profile: Facts, schema: TableSchema, target: str) -> list[str]:
    """What to say of a target that is an identifier: it can be computed with, and still is no property of its row."""
    column = schema.get(target)
    if column is None or column.type is not ColumnType.id:
        return []
    known: Facts = next((one for one in profile.get("columns", []) if one.get("name") == target), {})
    why = known.get("reason") or column.reason or "it names rows"
    return [
        f"The target {target!r} is an identifier ({why}): it says which row it is and nothing of what the row is about. All that "
        "can be learned of it is the order of the file. Choose another target."
    ]


def idle(engines: Sequence[str], kind: TaskKind, config: AutoMLConfig) -> list[str]:
    """The engines that can train none of the algorithms asked for."""
    return [engine for engine in engines if not _trainable(engine, kind, config)]


def _trainable(engine: str, kind: TaskKind, config: AutoMLConfig) -> list[str]:
    known, distribution = engine_registry.ENGINES[engine], config.distribution if kind == "regression" else "AUTO"
    able = {one.name for family in families() if family.supports(kind, distribution) for one in family.algorithms}
    fit = able if kind != "regression" else able.difference(known.classification_only)
    return [algo for algo in known.algos if algo in config.algorithms and algo in fit]


def _check_engines(engines: Sequence[str], kind: TaskKind, config: AutoMLConfig) -> None:
    if len(idle(engines, kind, config)) < len(engines):
        return
    key = "include_algos" if config.include_algos is not None else "exclude_algos"
    everything = config.model_copy(update={"include_algos": None, "exclude_algos": None})
    could = sorted({algo for engine in engines for algo in _trainable(engine, kind, everything)})
    what = "classification" if kind != "regression" else f"regression with the distribution {config.distribution}"
    named = f"engine{'s' * (len(engines) > 1)} {' and '.join(engines)}"
    raise Invalid.field(f"leaves nothing that the {named} can train for {what}: allow one of {', '.join(could)}", "config", key)


def _check_numbers(column: Column, known: Facts, config: AutoMLConfig) -> None:
    if known.get("min") is not None and known.get("max") is not None:
        checks.check_range(column, float(known["min"]), float(known["max"]), config)


def _check_classes(column: Column, known: Facts, labelled: int) -> None:
    """Only where the profile has the count of every value, and none from a sample."""
    top = known.get("top_values") or ()
    if sum(int(one["count"]) for one in top) == labelled:
        rare = [str(one["value"]) for one in top if one["count"] < checks.MIN_CLASS_ROWS]
        checks.check_classes(column, len(top) - len(rare), labelled - len(rare), rare)


def _check_features(schema: TableSchema, facts: Mapping[str, Facts], rows: int, special: set[str]) -> None:
    useless = {}
    for column in schema:
        if column.name not in special:
            reason = _useless(column, facts.get(column.name, {}), rows)
            if reason is None:
                return
            useless[column.name] = reason
    why = "; ".join(f"{name}: {reason}" for name, reason in list(useless.items())[:10])
    raise Invalid.field(
        f"No column can be used as a feature ({why}). Add columns, or override their types.", "dataset_version_id"
    )


def _useless(column: Column, known: Facts, rows: int) -> str | None:
    """Why no encoder will use the column; None when one might."""
    if column.type is ColumnType.id:
        return "an identifier"
    missing = _count(known, "missing_count")
    if rows and missing >= rows:
        return "every value is missing"
    if known.get("unique_count") == 1 and not missing:
        return "every row has the same value"
    return None


def _check_folds(facts: Mapping[str, Facts], config: AutoMLConfig, lost: int) -> None:
    """`lost`: how many rows, and values with them, training may leave out."""
    found = facts.get(config.fold_column or "", {}).get("unique_count")
    if config.weights_column is None and found is not None and (found < folds.LEAST or found - lost > folds.MOST):
        raise folds.wrong_count(int(found))


def _count(known: Facts, key: str) -> int:
    return int(known.get(key) or 0)
