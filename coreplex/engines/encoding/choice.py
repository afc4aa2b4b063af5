"""Which step encodes which column, and which columns are left out and why.

Left out: what the caller excluded, identifiers, columns that never change, columns that are empty. Everything else is
encoded; a category whose values hardly ever repeat in the whole table carries its meaning in its letters, so it is read as text.
Texts of a form of their own (`tabular.forms`) are read by what the form says: an URL by host and words, a geometry by its
coordinates.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import polars as pl

from coreplex.engines.encoding import categories
from coreplex.engines.encoding.address import Url, hosts
from coreplex.engines.encoding.datetime_features import DatetimeFeatures
from coreplex.engines.encoding.geometry import Geometry
from coreplex.engines.encoding.numbers import Amount, Raw, Scaled
from coreplex.engines.encoding.steps import Context, Step, StepType
from coreplex.engines.encoding.text import Text
from coreplex.engines.encoding.values import Canonical, domain
from coreplex.engines.encoding.vocabulary import Vocabulary
from coreplex.engines.tabular.schema import GEOMETRIES, Column, ColumnType
from coreplex.errors.tree import Message

FEW_LEVELS = 24
"""Up to here a category gets codes (trees) or one column per level (dense); above, the mean of the target as well."""
REPEATS = 0.5
"""A category with more than this share of distinct values in the whole table is read as text."""

KINDS: Mapping[str, StepType] = {
    "raw": Raw,
    "scaled": Scaled,
    "amount": Amount,
    "table": categories.Table,
    "moment": DatetimeFeatures,
    "text": Text,
    "words": Vocabulary,
    "geometry": Geometry,
    "url": Url,
}

_WORDY = "its values hardly ever repeat, so it is read by its words"

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


def wordy_as_text(columns: Sequence[Column], frame: pl.DataFrame) -> tuple[Column, ...]:
    """The columns with categories that hardly ever repeat turned into texts.

    Once, by all rows there are: of any category of many levels a sample is small enough that hardly a level repeats in it.
    """
    seen = Canonical(frame)
    return tuple(column.with_type(ColumnType.text, _WORDY) if _is_wordy(column, seen) else column for column in columns)


def _is_wordy(column: Column, seen: Canonical) -> bool:
    if domain(column) != "category":
        return False
    values = seen.series(column)
    return reason_to_drop(column, values) is None and _hardly_repeats(values)


def step_for(column: Column, series: pl.Series, context: Context) -> Fit:
    """The fitting function for a column that is not dropped."""
    dense = context.kind == "dense"
    match domain(column):
        case "number":
            return Raw.fit if not dense else Amount.fit if Amount.fits(series) else Scaled.fit
        case "moment":
            return DatetimeFeatures.fit
        case "text":
            return _for_text(column, series, dense)
        case "category":
            return _for_levels(series, dense)


def levels(column: Column, series: pl.Series) -> int:
    """How many levels a column has that is encoded as a category; 0 for any other."""
    category = domain(column) == "category" and reason_to_drop(column, series) is None
    return series.n_unique() if category else 0


def is_text(column: Column, series: pl.Series) -> bool:
    """Whether a column is encoded by its words."""
    return domain(column) == "text" and column.format not in GEOMETRIES and reason_to_drop(column, series) is None


def texts(columns: Sequence[Column], seen: Canonical) -> tuple[Column, ...]:
    """The columns that are encoded by their words."""
    return tuple(column for column in columns if is_text(column, seen.series(column)))


def _hardly_repeats(series: pl.Series) -> bool:
    return series.n_unique() > max(50, REPEATS * series.len())


def _for_text(column: Column, series: pl.Series, dense: bool) -> Fit:
    if column.format in GEOMETRIES:
        return Geometry.fit
    if column.format == "url" and not _hardly_repeats(known := hosts(series)):
        return partial(Url.fit, fit_host=_for_levels(known, dense))
    return Text.fit


def _for_levels(series: pl.Series, dense: bool) -> Callable[[pl.Series, Context], categories.Table]:
    if series.n_unique() > FEW_LEVELS:
        return categories.fit_target
    return categories.fit_onehot if dense else categories.fit_codes


def no_features(dropped: Mapping[str, str]) -> Message:
    """That no column is of use, with the reason for each."""
    why = "; ".join(f"{name}: {reason}" for name, reason in list(dropped.items())[:10])
    return Message("no_features", "No column can be used as a feature ({why}). Add columns, or override their types.", why=why)
