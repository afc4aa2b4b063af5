"""Whether a column can be learned at all, and what kind of task it is: answered at creation, from the stored profile
alone.

Refuses, with a sentence that says what to do: a target that is not there, nothing known of it, too few rows, a single
class, names or free text, numbers as classes, classes as numbers. What only the rows can tell (rare classes) is
settled in `task`, with a warning.
"""

from collections.abc import Mapping
from typing import Any, Literal, NoReturn, cast

from coreplex.engines.automl.config import AutoMLConfig
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors import Invalid

Kind = Literal["binary", "multiclass", "regression"]

MIN_ROWS = 10
MAX_CLASSES = 1_000
_FEW = 50
PROBLEM_TYPES = ("classification", "regression", "binary", "multiclass")


def check_creation(
    profile: Mapping[str, Any], schema: TableSchema, target: str, problem_type: str, config: AutoMLConfig | None = None
) -> Kind:
    """The kind of task the profile promises. Raises `Invalid` at `target_column`, `problem_type` or the option of `config` that
    names a column in vain; reads no table."""
    column = find(schema, target)
    features = check_columns(schema, target, config or AutoMLConfig())
    facts: Mapping[str, Any] = next((c for c in profile.get("columns", []) if c.get("name") == target), {})
    rows = int(profile.get("row_count") or 0)
    labelled = rows - int(facts.get("missing_count") or 0)
    distinct = facts.get("unique_count")
    return check(column, labelled, labelled if distinct is None else int(distinct), problem_type, features=features)


def check_columns(schema: TableSchema, target: str, config: AutoMLConfig) -> int:
    """How many columns are left to learn from. Raises `Invalid` at the option whose column is missing or of the wrong kind."""
    for key in ("fold_column", "group_column", "time_column", "weights_column"):
        name = getattr(config, key)
        if name is None:
            continue
        column = schema.get(name)
        if column is None or name == target:
            reason = "is the target" if name == target else "is not a column of this dataset version"
            raise Invalid.field(f"'{name}' {reason}", "config", key)
        if key == "weights_column" and not numeric(column):
            raise Invalid.field(f"'{name}' must hold numbers", "config", key)
        if key == "time_column" and not (numeric(column) or column.type == ColumnType.datetime):
            raise Invalid.field(f"'{name}' must hold dates or numbers", "config", key)
    left = sum(column.name != target and column.name not in config.special_columns for column in schema)
    if not left and config.ignored_columns and len(schema) > 1:
        raise Invalid.field("leaves no column to learn from", "config", "ignored_columns")
    return left


def find(schema: TableSchema, target: str) -> Column:
    """The target column, or `Invalid` naming what there is."""
    column = schema.get(target)
    if column is None:
        names = ", ".join(schema.names[:20]) + (", …" if len(schema) > 20 else "")
        _refuse(f"The column '{target}' is not in this dataset version. It has: {names}.")
    return column


def check(column: Column, labelled: int, distinct: int, problem_type: str, *, features: int) -> Kind:
    """The kind of task for `labelled` rows with a known target of `distinct` values. Raises `Invalid`."""
    if problem_type not in PROBLEM_TYPES:
        raise Invalid.field(f"must be one of {', '.join(PROBLEM_TYPES)}", "problem_type")
    if features < 1:
        _refuse(f"There is no column besides '{column.name}' to learn from. Upload a table with features.")
    if labelled == 0:
        _refuse(f"Every value of '{column.name}' is missing: there is nothing to learn. Choose another target.")
    if labelled < MIN_ROWS:
        _refuse(f"Only {labelled} rows have a value in '{column.name}'; training needs at least {MIN_ROWS}.")
    if distinct < 2:
        _refuse(f"All values of '{column.name}' are the same: there is nothing to tell apart. Choose another target.")
    if problem_type == "regression":
        return _regression(column)
    return _classification(column, labelled, distinct, problem_type)


def numeric(column: Column) -> bool:
    """Stored as a number, whatever it means."""
    return column.dtype.lower().startswith(("int", "uint", "float", "decimal"))


def _regression(column: Column) -> Kind:
    if not numeric(column):
        _refuse(
            f"'{column.name}' is {_a(column.type)} column, not a number, so regression cannot predict it. "
            "Choose problem_type 'classification', or a numeric target."
        )
    return "regression"


def _classification(column: Column, labelled: int, distinct: int, problem_type: str) -> Kind:
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
