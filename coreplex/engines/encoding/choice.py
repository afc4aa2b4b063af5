"""Which step encodes which column, and which columns are left out and why.

Left out: what the caller excluded, identifiers, columns that never change, columns that are empty. Everything else is
encoded; a category whose values hardly ever repeat carries its meaning in its letters, so it is read as text.
"""

from collections.abc import Callable, Mapping

import polars as pl

from coreplex.engines.encoding import categories
from coreplex.engines.encoding.moments import Moment
from coreplex.engines.encoding.numbers import Amount, Raw, Scaled
from coreplex.engines.encoding.steps import Context, Step, StepType
from coreplex.engines.encoding.text import Text
from coreplex.engines.encoding.values import domain
from coreplex.engines.encoding.words import Words
from coreplex.engines.tabular.schema import Column, ColumnType

FEW_LEVELS = 24
"""Up to here a category gets codes (trees) or one column per level (dense); above, the mean of the target as well."""
REPEATS = 0.5
"""A category with more than this share of distinct values is read as text."""

KINDS: Mapping[str, StepType] = {
    "raw": Raw,
    "scaled": Scaled,
    "amount": Amount,
    "table": categories.Table,
    "moment": Moment,
    "text": Text,
    "words": Words,
}

Fit = Callable[[pl.Series, Context], Step]


def reason_to_drop(column: Column, series: pl.Series) -> str | None:
    """Why a column cannot help a model, in words for a person; None when it can."""
    if column.type is ColumnType.id:
        return f"identifier: {column.reason}" if column.reason else "identifier: it names rows and predicts nothing"
    present = series.drop_nulls()
    if not present.len():
        return "every value is missing"
    if present.n_unique() == 1 and present.len() == series.len():
        return "constant: every row has the same value"
    return None


def step_for(column: Column, series: pl.Series, context: Context) -> Fit:
    """The fitting function for a column that is not dropped."""
    dense = context.kind == "dense"
    match domain(column):
        case "number":
            return Raw.fit if not dense else Amount.fit if Amount.fits(series) else Scaled.fit
        case "moment":
            return Moment.fit
        case "text":
            return Text.fit
        case "category":
            return _for_category(series, dense)


def levels(column: Column, series: pl.Series) -> int:
    """How many levels a column has that is encoded as a category; 0 for any other."""
    category = domain(column) == "category" and reason_to_drop(column, series) is None
    return series.n_unique() if category and not _reads_as_text(series) else 0


def is_text(column: Column, series: pl.Series) -> bool:
    """Whether a column is encoded by its words."""
    text = domain(column) == "text" or (domain(column) == "category" and _reads_as_text(series))
    return text and reason_to_drop(column, series) is None


def _reads_as_text(series: pl.Series) -> bool:
    return series.n_unique() > max(50, REPEATS * series.len())


def _for_category(series: pl.Series, dense: bool) -> Fit:
    if _reads_as_text(series):
        return Text.fit
    if series.n_unique() > FEW_LEVELS:
        return categories.fit_target
    return categories.fit_onehot if dense else categories.fit_codes
