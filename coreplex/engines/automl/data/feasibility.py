"""Whether a training can come to anything: refuses what cannot be learned, with a sentence that says what to do.

The same rules are asked twice. Before a training is queued `check_creation` answers from the stored profile, reads no table, and
refuses only what training would refuse for certain. What a profile does not hold (which values go missing together, the counts of
rare values among many) is settled by the rows, in `task`, aloud.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from coreplex.engines.automl.families.family import families
from coreplex.engines.automl.options import engine_registry
from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.automl.splits import folds
from coreplex.engines.encoding.choice import no_features
from coreplex.engines.encoding.steps import TaskKind
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.nearest import by_nearness, hint, nearest_first, none_of
from coreplex.errors.tree import Invalid, Message

Facts = Mapping[str, Any]
MIN_ROWS = 10
MIN_CLASS_ROWS = 2
"""A class of a single row can be learned or judged, never both."""
MAX_CLASSES = 1_000
_FEW = 50
_LARGEST = 1e18
"""The boosters hold a target in float32, and its square must fit as well."""
PROBLEM_TYPES = ("classification", "regression", "binary", "multiclass")


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
    column = target_column(schema, target)
    features = check_columns(schema, target, config)
    facts = {str(one.get("name")): one for one in profile.get("columns", [])}
    rows, known = int(profile.get("row_count") or 0), facts.get(target, {})
    missing = _count(known, "missing_count")
    labelled = rows - missing - _count(known, "infinite_count")
    distinct = int(known["unique_count"]) if known.get("unique_count") is not None else labelled
    kind = task_kind(column, labelled, distinct, problem_type, features=features, missing=missing)
    if kind == "regression":
        _check_numbers(column, known, config)
    else:
        _check_classes(column, known, labelled)
    _check_features(schema, facts, rows, {target, *config.special_columns})
    _check_folds(facts, config, lost=rows - labelled + (distinct if kind != "regression" else 0))
    _check_engines(engines, kind, config)
    return kind


def target_warnings(profile: Facts, schema: TableSchema, target: str) -> list[Message]:
    """What to say of a target that is an identifier: it can be computed with, and still is no property of its row."""
    column = schema.get(target)
    if column is None or column.type is not ColumnType.id:
        return []
    known: Facts = next((one for one in profile.get("columns", []) if one.get("name") == target), {})
    why = known.get("reason") or column.reason or "it names rows"
    return [
        Message(
            "target_is_identifier",
            "The target {column!r} is an identifier ({why}): it says which row it is and nothing of what the row is about. All "
            "that can be learned of it is the order of the file. Choose another target.",
            column=target,
            why=why,
        )
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
    raise Invalid.field(
        Message(
            "engines_cannot_train",
            "leaves nothing that the {engines} can train for {task}: allow one of {choices}",
            engines=named,
            task=what,
            choices=could,
        ),
        "config",
        key,
    )


def _check_numbers(column: Column, known: Facts, config: AutoMLConfig) -> None:
    if known.get("min") is not None and known.get("max") is not None:
        check_range(column, float(known["min"]), float(known["max"]), config)


def _check_classes(column: Column, known: Facts, labelled: int) -> None:
    """Only where the profile has the count of every value, and none from a sample."""
    top = known.get("top_values") or ()
    if sum(int(one["count"]) for one in top) == labelled:
        rare = [str(one["value"]) for one in top if one["count"] < MIN_CLASS_ROWS]
        check_classes(column, len(top) - len(rare), labelled - len(rare), rare)


def _check_features(schema: TableSchema, facts: Mapping[str, Facts], rows: int, special: set[str]) -> None:
    useless = {}
    for column in schema:
        if column.name not in special:
            reason = _useless(column, facts.get(column.name, {}), rows)
            if reason is None:
                return
            useless[column.name] = reason
    raise Invalid.field(no_features(useless), "dataset_version_id")


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


def check_columns(schema: TableSchema, target: str, config: AutoMLConfig) -> int:
    """How many columns are left to learn from. Raises `Invalid` at the option whose column is missing or of the wrong kind."""
    for key, name in _named(config):
        column = schema.get(name)
        if column is None or name == target:
            raise Invalid.field(_no_feature(name, schema, target), "config", key)
        if key == "weights_column" and not numeric(column):
            raise Invalid.field(Message("column_holds_no_numbers", "'{column}' must hold numbers", column=name), "config", key)
        if key == "time_column" and not (numeric(column) or column.type == ColumnType.datetime):
            raise Invalid.field(
                Message("column_holds_no_moments", "'{column}' must hold dates or numbers", column=name), "config", key
            )
    left = sum(column.name != target and column.name not in config.special_columns for column in schema)
    if not left and config.ignored_columns and len(schema) > 1:
        raise Invalid.field(Message("nothing_to_learn_from", "leaves no column to learn from"), "config", "ignored_columns")
    return left


def _no_feature(name: str, schema: TableSchema, target: str) -> Message:
    if name == target:
        return Message("column_is_target", "'{column}' is the target", column=name)
    told = Message("not_of_version", "'{column}' is not a column of this dataset version.", column=name)
    return told.then(hint(name, schema.names))


def _named(config: AutoMLConfig) -> list[tuple[str, str]]:
    """Every column an option names, with the option."""
    roles = [(key, getattr(config, key)) for key in ("fold_column", "group_column", "time_column", "weights_column")]
    return [*((key, name) for key, name in roles if name is not None), *(("ignored_columns", n) for n in config.ignored_columns)]


def target_column(schema: TableSchema, target: str) -> Column:
    """The target column, or `Invalid` naming what there is."""
    column = schema.get(target)
    if column is None:
        told = Message("no_target_column", "The column '{column}' is not in this dataset version.", column=target[:100])
        _refuse(told.then(hint(target, schema.names)).then(nearest_first(by_nearness(target, schema.names))))
    return column


def task_kind(column: Column, labelled: int, distinct: int, problem_type: str, *, features: int, missing: int = 0) -> TaskKind:
    """The kind of task for `labelled` rows with a known target of `distinct` values beside `missing` ones. Raises `Invalid`."""
    if problem_type not in PROBLEM_TYPES:
        raise Invalid.field(none_of(PROBLEM_TYPES), "problem_type")
    if features < 1:
        _refuse(
            Message(
                "only_the_target",
                "There is no column besides '{column}' to learn from. Upload a table with features.",
                column=column.name,
            )
        )
    if labelled == 0:
        _refuse(
            Message(
                "target_all_missing",
                "Every value of '{column}' is missing: there is nothing to learn. Choose another target.",
                column=column.name,
            )
        )
    if labelled < MIN_ROWS:
        few = Message(
            "too_few_labelled_rows",
            "Only {rows} rows have a value in '{column}'; training needs at least {least}.",
            rows=labelled,
            column=column.name,
            least=MIN_ROWS,
        )
        _refuse(few.then(_read_as_missing(missing)))
    if distinct < 2:
        same = Message(
            "target_all_the_same",
            "All values of '{column}' are the same: there is nothing to tell apart. Choose another target.",
            column=column.name,
        )
        _refuse(same.then(_read_as_missing(missing)))
    if problem_type == "regression":
        return _regression(column)
    return _classification(column, labelled, distinct, problem_type)


def _read_as_missing(count: int) -> Message | None:
    if not count:
        return None
    return Message(
        "read_as_missing",
        "{missing} were read as missing: empty, or a word such as NA; override its missing values where it means a class.",
        missing=count,
    )


def check_classes(column: Column, classes: int, rows: int, rare: Sequence[str]) -> None:
    """Whether enough is left without the classes of a single row, named in `rare`. Raises `Invalid`."""
    if rare and (classes < 2 or rows < MIN_ROWS):
        left = f"{_number(classes, 'class', 'classes')} in {_number(rows, 'row', 'rows')}"
        _refuse(
            Message(
                "classes_too_rare",
                "'{column}' has {left} without {rare}, which can be learned or judged, never both; training needs two classes in "
                "{least} rows. Add rows of the rare ones, or choose another target.",
                column=column.name,
                left=left,
                rare=single_rows(rare),
                least=MIN_ROWS,
            )
        )


def single_rows(rare: Sequence[str]) -> str:
    """Classes of a single row in words: `1 class with a single row (Maybe)`."""
    return f"{_number(len(rare), 'class', 'classes')} with a single row ({', '.join(rare[:10])}{', …' * (len(rare) > 10)})"


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def check_range(column: Column, low: float, high: float, config: AutoMLConfig) -> None:
    """Whether numbers from `low` to `high` can be learned, and judged by the metric asked for. Raises `Invalid`."""
    if max(-low, high) > _LARGEST:
        _refuse(
            Message(
                "target_too_large", "'{column}' has values beyond ±{most:g}: rescale it first", column=column.name, most=_LARGEST
            )
        )
    if config.sort_metric == "rmsle" and low < 0:
        raise Invalid.field(
            Message("rmsle_below_zero", "RMSLE has no meaning here: '{column}' goes below zero", column=column.name),
            "config",
            "sort_metric",
        )


def numeric(column: Column) -> bool:
    """Stored as a number, whatever it means."""
    return column.dtype.lower().startswith(("int", "uint", "float", "decimal"))


def _regression(column: Column) -> TaskKind:
    if not numeric(column):
        _refuse(
            Message(
                "target_no_number",
                "'{column}' is {kind} column, not a number, so regression cannot predict it. Choose problem_type "
                "'classification', or a numeric target.",
                column=column.name,
                kind=_a(column.type),
            )
        )
    return "regression"


def _classification(column: Column, labelled: int, distinct: int, problem_type: str) -> TaskKind:
    if column.type == ColumnType.datetime:
        _refuse(
            Message(
                "target_is_a_moment", "'{column}' is a point in time, not a class. Choose another target.", column=column.name
            )
        )
    if distinct > MAX_CLASSES or distinct > max(labelled // 2, 2):
        _refuse(_too_many(column, labelled, distinct))
    if column.dtype.lower().startswith("float") and distinct > _FEW and distinct > labelled // 20:
        _refuse(_too_many(column, labelled, distinct))
    if problem_type == "binary" and distinct > 2:
        _refuse(
            Message(
                "not_binary",
                "'{column}' has {values} values; 'binary' needs two. Choose problem_type 'classification'.",
                column=column.name,
                values=distinct,
            )
        )
    return "binary" if distinct == 2 else "multiclass"


def _too_many(column: Column, labelled: int, distinct: int) -> Message:
    start = Message(
        "too_many_classes",
        "'{column}' has {values} different values in {rows} rows, too many to be classes.",
        column=column.name,
        values=distinct,
        rows=labelled,
    )
    if numeric(column):
        return start.then(Message("looks_like_a_quantity", "It looks like a quantity: choose problem_type 'regression'."))
    return start.then(
        Message(
            "looks_like_free_text",
            "It looks like a name or free text: choose another target, or group its values first.",
        )
    )


def _a(kind: ColumnType) -> str:
    return f"an {kind}" if kind.value[0] in "aeiou" else f"a {kind}"


def _refuse(message: Message) -> NoReturn:
    raise cast(Exception, Invalid.field(message, "target_column"))
