"""Whether a column can be learned at all, and what kind of task it is: asked of the stored profile by `creation`, and of the rows
by `task`.

Refuses, with a sentence that says what to do: a target that is not there, nothing known of it, too few rows, a single
class, names or free text, numbers as classes, classes as numbers, numbers that cannot be computed with.
"""

from collections.abc import Sequence
from typing import NoReturn, cast

from coreplex.engines.automl.options.config import AutoMLConfig
from coreplex.engines.encoding.steps import TaskKind
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.nearest import by_nearness, hint
from coreplex.errors.tree import Invalid

MIN_ROWS = 10
MIN_CLASS_ROWS = 2
"""A class of a single row can be learned or judged, never both."""
MAX_CLASSES = 1_000
_FEW = 50
_LARGEST = 1e18
"""The boosters hold a target in float32, and its square must fit as well."""
PROBLEM_TYPES = ("classification", "regression", "binary", "multiclass")


def check_columns(schema: TableSchema, target: str, config: AutoMLConfig) -> int:
    """How many columns are left to learn from. Raises `Invalid` at the option whose column is missing or of the wrong kind."""
    for key, name in _named(config):
        column = schema.get(name)
        if column is None or name == target:
            unknown = f"is not a column of this dataset version.{hint(name, schema.names)}"
            raise Invalid.field(f"'{name}' {'is the target' if name == target else unknown}", "config", key)
        if key == "weights_column" and not numeric(column):
            raise Invalid.field(f"'{name}' must hold numbers", "config", key)
        if key == "time_column" and not (numeric(column) or column.type == ColumnType.datetime):
            raise Invalid.field(f"'{name}' must hold dates or numbers", "config", key)
    left = sum(column.name != target and column.name not in config.special_columns for column in schema)
    if not left and config.ignored_columns and len(schema) > 1:
        raise Invalid.field("leaves no column to learn from", "config", "ignored_columns")
    return left


def _named(config: AutoMLConfig) -> list[tuple[str, str]]:
    """Every column an option names, with the option."""
    roles = [(key, getattr(config, key)) for key in ("fold_column", "group_column", "time_column", "weights_column")]
    return [*((key, name) for key, name in roles if name is not None), *(("ignored_columns", n) for n in config.ignored_columns)]


def find(schema: TableSchema, target: str) -> Column:
    """The target column, or `Invalid` naming what there is."""
    column = schema.get(target)
    if column is None:
        names = ", ".join(by_nearness(target, schema.names)[:20]) + (", …" if len(schema) > 20 else "")
        meant = hint(target, schema.names)
        _refuse(f"The column '{target[:100]}' is not in this dataset version.{meant} It has (nearest first): {names}.")
    return column


def check(column: Column, labelled: int, distinct: int, problem_type: str, *, features: int, missing: int = 0) -> TaskKind:
    """The kind of task for `labelled` rows with a known target of `distinct` values beside `missing` ones. Raises `Invalid`."""
    if problem_type not in PROBLEM_TYPES:
        raise Invalid.field(f"must be one of {', '.join(PROBLEM_TYPES)}", "problem_type")
    if features < 1:
        _refuse(f"There is no column besides '{column.name}' to learn from. Upload a table with features.")
    if labelled == 0:
        _refuse(f"Every value of '{column.name}' is missing: there is nothing to learn. Choose another target.")
    if labelled < MIN_ROWS:
        least = f"training needs at least {MIN_ROWS}"
        _refuse(f"Only {labelled} rows have a value in '{column.name}'; {least}.{_read_as_missing(missing)}")
    if distinct < 2:
        same = f"All values of '{column.name}' are the same: there is nothing to tell apart. Choose another target."
        _refuse(same + _read_as_missing(missing))
    if problem_type == "regression":
        return _regression(column)
    return _classification(column, labelled, distinct, problem_type)


def _read_as_missing(count: int) -> str:
    if not count:
        return ""
    return f" {count} were read as missing: empty, or a word such as NA; override its missing values where it means a class."


def check_classes(column: Column, classes: int, rows: int, rare: Sequence[str]) -> None:
    """Whether enough is left without the classes of a single row, named in `rare`. Raises `Invalid`."""
    if rare and (classes < 2 or rows < MIN_ROWS):
        left = f"{_number(classes, 'class', 'classes')} in {_number(rows, 'row', 'rows')}"
        _refuse(
            f"'{column.name}' has {left} without {single_rows(rare)}, which can be learned or judged, never both; training needs "
            f"two classes in {MIN_ROWS} rows. Add rows of the rare ones, or choose another target."
        )


def single_rows(rare: Sequence[str]) -> str:
    """Classes of a single row in words: `1 class with a single row (Maybe)`."""
    return f"{_number(len(rare), 'class', 'classes')} with a single row ({', '.join(rare[:10])}{', …' * (len(rare) > 10)})"


def _number(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def check_range(column: Column, low: float, high: float, config: AutoMLConfig) -> None:
    """Whether numbers from `low` to `high` can be learned, and judged by the metric asked for. Raises `Invalid`."""
    if max(-low, high) > _LARGEST:
        _refuse(f"'{column.name}' has values beyond ±{_LARGEST:g}: rescale it first")
    if config.sort_metric == "rmsle" and low < 0:
        raise Invalid.field(f"RMSLE has no meaning here: '{column.name}' goes below zero", "config", "sort_metric")


def numeric(column: Column) -> bool:
    """Stored as a number, whatever it means."""
    return column.dtype.lower().startswith(("int", "uint", "float", "decimal"))


def _regression(column: Column) -> TaskKind:
    if not numeric(column):
        _refuse(
            f"'{column.name}' is {_a(column.type)} column, not a number, so regression cannot predict it. "
            "Choose problem_type 'classification', or a numeric target."
        )
    return "regression"


def _classification(column: Column, labelled: int, distinct: int, problem_type: str) -> TaskKind:
    if column.type == ColumnType.datetime:
        _refuse(f"'{column.name}' is a point in time, not a class. Choose another target.")
    if distinct > MAX_CLASSES or distinct > max(labelled // 2, 2):
        _refuse(_too_many(column, labelled, distinct))
    if column.dtype.lower().startswith("float") and distinct > _FEW and distinct > labelled // 20:
        _refuse(_too_many(column, labelled, distinct))
    if problem_type == "binary" and distinct > 2:
        _refuse(f"'{column.name}' has {distinct} values; 'binary' needs two. Choose problem_type 'classification'.")
    return "binary" if distinct == 2 else "multiclass"


def _too_many(column: Column, labelled: int, distinct: int) -> str:
    start = f"'{column.name}' has {distinct} different values in {labelled} rows, too many to be classes. "
    if numeric(column):
        return start + "It looks like a quantity: choose problem_type 'regression'."
    return start + "It looks like a name or free text: choose another target, or group its values first."


def _a(kind: ColumnType) -> str:
    return f"an {kind}" if kind.value[0] in "aeiou" else f"a {kind}"


def _refuse(message: str) -> NoReturn:
    raise cast(Exception, Invalid.field(message, "target_column"))
