"""Finds columns that may say which rows belong together (groups) and in which order they were made (time).

By name, by form and by where their values stand in the file; whether they matter is measured (`recommendation`). An ordinary
category is no group: new rows will bring the same countries again, but other patients.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.splits.folds import Index
from coreplex.engines.tabular.schema import Column, ColumnType


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEW_GROUP_WORDS = _words(
    "subject subj patient pat pid person people participant respondent individual user usr uid userid customer cust client "
    "member student pupil player employee worker driver speaker writer author donor child mother household hh family session "
    "visit encounter admission stay trip animal mouse rat litter account acct visitor applicant case"
)
"""Names of groups that come and go: new ones must be expected among new rows."""
RECURRING_GROUP_WORDS = _words(
    "store shop branch school hospital clinic site station sensor device machine engine unit vehicle truck plot batch lot sample "
    "specimen well wafer group cluster entity firm company hotel farm experiment trial id nr no key number county route"
)
"""Names of what may come again: groups only where the rows of each were collected together."""
CATEGORY_WORDS = _words(
    "product item sku category cat type kind class country state city zip postal location loc region area zone color colour "
    "brand model make status level grade code language"
)
_TIME_WORDS = _words(
    "date time datetime timestamp ts t year yr month day week when at epoch period step tick quarter hour minute second elapsed "
    "moment created recorded measured observed"
)
_ATTRIBUTE_DATE_WORDS = _words(
    "birth born dob model built build made construction founded renovated renov release hired hire expiry expires due last first "
    "age tenure since graduation"
)
"""A date or year that belongs to what a row is about, not to the row."""
_HASH = r"^([0-9a-fA-F]{8,}|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27})$"
_CODE = r"^[A-Za-z]{0,4}[-_ ]?\d{2,}$"
_MOST_GROUPS, _MOST_TIMES = 4, 3
_MIN_DATES, _MIN_NUMBERED, _MIN_PERIODS = 20, 30, 10
"""Moments a date, a number that rises along the file, the periods of groups need: twelve years of cars are a trait."""
_SORTED = 0.98
_BY_CHANCE = 0.9
"""Where more of all pairs of a number and a group occur once by chance already, that none occurs twice says nothing."""


@dataclass(frozen=True)
class GroupCandidate:
    """A column whose values group the rows. `codes`: (n,) of the values; `new_expected`: its name says new groups will come."""

    column: str
    codes: Index
    new_expected: bool


@dataclass(frozen=True)
class TimeCandidate:
    """An order of the rows. `moments`: (n,), of dates seconds since 1970, NaN where unknown. `column` is None for file order."""

    column: str | None
    moments: NDArray[np.float64]


def name_words(name: str) -> set[str]:
    """The words of a column's name, in lower case, split at capitals, digits and signs."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[\W_\d]+", " ", name)
    return set(spaced.lower().split())


def may_group(column: Column) -> bool:
    """Whether a column is worth reading as a group: by its type and name alone."""
    return column.type not in (ColumnType.text, ColumnType.datetime, ColumnType.boolean)


def may_order(column: Column) -> bool:
    """Whether a column is worth reading as a time: by its type and name alone."""
    return column.type is ColumnType.datetime or (
        column.dtype.startswith(("int", "uint", "float")) and bool(name_words(column.name) & _TIME_WORDS)
    )


def group_candidates(frame: pl.DataFrame, columns: Sequence[Column]) -> list[GroupCandidate]:
    """The columns that may group the rows of `frame` (n rows in file order), four at most, those with new groups first."""
    found = [group for column in columns if may_group(column) and (group := _group(frame[column.name], column)) is not None]
    return sorted(found, key=lambda group: not group.new_expected)[:_MOST_GROUPS]


def _group(values: pl.Series, column: Column) -> GroupCandidate | None:
    words = name_words(column.name)
    number = values.dtype.is_numeric()
    if number and values.dtype.is_float() and not (values.drop_nulls() % 1 == 0).all():
        return None
    new_expected = bool(words & NEW_GROUP_WORDS)
    recurring = bool(words & RECURRING_GROUP_WORDS) and not words & CATEGORY_WORDS
    form = _form(values) if not number and not words & CATEGORY_WORDS else ""
    if not (new_expected or recurring or form or column.type is ColumnType.id):
        return None
    codes = values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
    sizes = np.bincount(codes)
    sizes = sizes[sizes > 0]
    if values.null_count() > 0.05 * len(codes) or len(sizes) < (5 if new_expected else 10 if form == "hash" else 20):
        return None
    if sizes[sizes > 1].sum() < 0.5 * len(codes):
        return None
    if not new_expected and form != "hash" and not (_clustered(codes, len(sizes)) or _even(sizes)):
        return None
    return GroupCandidate(column.name, codes, new_expected)


def _form(values: pl.Series) -> str:
    head = values.drop_nulls().unique(maintain_order=True).head(200).cast(pl.String)
    if head.is_empty():
        return ""
    if head.str.contains(_HASH).all() and head.str.contains(r"[a-fA-F]").any():
        return "hash"
    return "code" if head.str.contains(_CODE).all() else ""


def _clustered(codes: Index, count: int) -> bool:
    """Whether rows of one value stand together in the file, more than chance has it."""
    together = float((codes[1:] == codes[:-1]).mean())
    shares = np.bincount(codes) / len(codes)
    return together >= 0.5 * (len(codes) - count) / len(codes) and together > 3 * float(np.square(shares).sum())


def _even(sizes: Index) -> bool:
    """Whether the groups are about equally large, as a plan has it, and not some common and most rare, as chance has it."""
    mean = float(sizes.mean())
    return float(sizes.var()) / mean**2 - 1 / mean < 0.25


def panel_entities(frame: pl.DataFrame, columns: Sequence[Column]) -> list[Index]:
    """Value codes (n,) of string columns that repeat, whatever their names: the entities a panel may follow over its periods.

    Countries are no group, for new rows bring the same ones; their years are an order all the same.
    """
    words = [frame[c.name] for c in columns if may_group(c) and frame[c.name].dtype == pl.String]
    found = (values.rank("dense").fill_null(0).to_numpy().astype(np.int64) for values in words)
    return [codes for codes in found if 20 <= len(np.unique(codes)) <= len(codes) / 3][:_MOST_GROUPS]


def time_candidates(frame: pl.DataFrame, columns: Sequence[Column], codes: Sequence[Index] = ()) -> list[TimeCandidate]:
    """The columns that may say when a row was made, three at most.

    `frame`: n rows in file order; `codes`: (n,) groups each, within which a number may count the periods.
    """
    found = [order for column in columns if (order := _time(frame[column.name], column, codes)) is not None]
    return found[:_MOST_TIMES]


def _time(values: pl.Series, column: Column, codes: Sequence[Index]) -> TimeCandidate | None:
    words, dated = name_words(column.name), values.dtype.is_temporal()
    if words & _ATTRIBUTE_DATE_WORDS or not (dated or (values.dtype.is_numeric() and words & _TIME_WORDS)):
        return None
    moments = values.cast(pl.Datetime("ms")).dt.epoch("ms") / 1_000 if dated else values.cast(pl.Float64)
    distinct = moments.n_unique()
    if values.null_count() > 0.2 * len(values) or distinct < _MIN_PERIODS:
        return None
    numbers = moments.fill_null(float("nan")).to_numpy()
    enough = distinct >= _MIN_DATES if dated else distinct >= _MIN_NUMBERED and monotone_in_file(numbers)
    return TimeCandidate(column.name, numbers) if enough or any(_periods(numbers, one) for one in codes) else None


def _periods(moments: NDArray[np.float64], codes: Index) -> bool:
    """Whether a number counts the periods of groups: hardly a pair of group and number occurs twice, and by chance many would."""
    known = ~np.isnan(moments)
    moments, codes = moments[known], codes[known]
    n, shuffled = len(moments), np.random.default_rng(0).permutation(moments)
    seen, chance = (len(np.unique(np.column_stack([numbers, codes]), axis=0)) for numbers in (moments, shuffled))
    return seen > 0.98 * n and chance < _BY_CHANCE * n and len(np.unique(codes)) < 0.5 * n


def monotone_in_file(values: NDArray[np.float64]) -> bool:
    """Whether at least 98 % of the steps of (n,) numbers in file order are ≥ 0, or ≤ 0, NaN apart; False for a constant."""
    steps = np.diff(values[~np.isnan(values)])
    if not len(steps) or not steps.any():
        return False
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) >= _SORTED)


def sorted_by_any(frame: pl.DataFrame) -> bool:
    """Whether the file is sorted by one of these columns: then neighbouring rows resemble each other for that."""
    return any(_sorted_by(frame[name]) for name in frame.columns)


def _sorted_by(values: pl.Series) -> bool:
    """By order, by blocks of equal values, or with all rows of its commonest value together."""
    codes = values.rank("dense").drop_nulls().to_numpy().astype(np.float64)
    distinct = len(np.unique(codes))
    if distinct < 2 or len(codes) < 10:
        return False
    blocks = int((np.diff(codes) != 0).sum()) + 1
    common = codes == np.bincount(codes.astype(np.int64)).argmax()
    together = 0.05 < common.mean() < 0.95 and int(np.diff(common).sum()) <= 2
    return monotone_in_file(codes) or together or (blocks <= 1.5 * distinct and distinct <= len(codes) / 5)


def autocorrelated(y: NDArray[np.float64]) -> bool:
    """Whether a column of y (n, outputs) has a lag-1 autocorrelation above 0.1, and above four standard errors."""
    least = max(0.1, 4 / np.sqrt(len(y)))
    return any(np.ptp(column) > 0 and float(np.corrcoef(column[1:], column[:-1])[0, 1]) > least for column in y.T)
