"""Suggests which column a person most likely wants to predict, and how. A suggestion, never a decision."""

from typing import Any

from coreplex.engines.tabular.schema import ColumnType

_FIRST = frozenset(["target", "label", "labels", "outcome", "response", "dependent", "y"])
_USUAL_TEXT = """
    churn churned survived default defaulted fraud is_fraud price species diagnosis saleprice sale_price medv mpg income
    salary revenue sales cost charges converted conversion clicked purchased approved rating quality risk readmitted
    cancelled canceled attrition exited result grade score value demand consumption mortality died deposit
"""
_USUAL = frozenset(_USUAL_TEXT.split())
_LATER = frozenset(["class", "category", "status", "type"])
_FEW_CLASSES = 20


def suggest(columns: list[dict[str, Any]], rows: int) -> tuple[str | None, str | None]:
    """(name, `classification` or `regression`), or (None, None) when no column can be predicted.

    `columns`: the entries of a profile, in file order; `rows`: of the table.
    """
    # Beside an x, y is a coordinate.
    axes = {"y"} if any(column["name"].lower() == "x" for column in columns) else set()
    able = [
        (score, -index, column) for index, column in enumerate(columns) if (score := _score(column, index, len(columns), axes))
    ]
    if not able or len(columns) < 2:
        return None, None
    best = max(able, key=lambda entry: entry[:2])[2]
    return best["name"], problem_type(best, rows)


def ranked(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of a profile, those a person most likely wants to predict first; what can be no target comes last."""
    axes = {"y"} if any(column["name"].lower() == "x" for column in columns) else set()
    scored = [(_score(column, index, len(columns), axes), -index, column) for index, column in enumerate(columns)]
    return [column for *_, column in sorted(scored, key=lambda entry: entry[:2], reverse=True)]


def _score(column: dict[str, Any], index: int, count: int, axes: set[str]) -> float:
    """0 for columns that cannot be a target."""
    if column["type"] in (ColumnType.id, ColumnType.text, ColumnType.datetime) or column["unique_count"] < 2:
        return 0.0
    if column["type"] == ColumnType.categorical and column["unique_count"] > 100:
        return 0.0
    name = column["name"].strip().lower().replace(" ", "_")
    named = 10.0 * (name in _FIRST - axes) + 8.0 * (name in _USUAL) + 4.0 * (name in _LATER)
    place = 3.0 * (index == count - 1) + 2.0 * (index == 0)
    few = 1.0 if column["unique_count"] == 2 else 0.5 * (column["type"] == ColumnType.categorical)
    return named + place + few + 0.1 - min(column["missing_pct"], 50.0) / 100


def problem_type(column: dict[str, Any], rows: int) -> str:
    """`classification` for categories, booleans and integers of few values, else `regression`; `column`: its entry of a
    profile.
    """
    if column["type"] in (ColumnType.categorical, ColumnType.boolean, ColumnType.text, ColumnType.id):
        return "classification"
    few = column["unique_count"] <= min(_FEW_CLASSES, max(2, rows // 10))
    return "classification" if column["type"] == ColumnType.integer and few else "regression"
