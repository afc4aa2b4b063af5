"""Columns of a table and what the profile knows of each, in the public contract."""

from collections.abc import Mapping
from typing import Any

import strawberry

from coreplex.dataset.versions import Documents
from coreplex.engines.tabular.schema import ColumnType
from schema.common import key, named_enum
from schema.cost import INSIDE
from schema.curve import HistogramBin, Quantile
from schema.document_fields import at, bins, number, pairs, real
from schema.enums import enum
from schema.scalars import Long, Value

enum(
    ColumnType,
    "What a column is, as a person would say it.",
    {
        "integer": "Whole numbers.",
        "float": "Numbers.",
        "boolean": "True or false.",
        "categorical": "One of a limited number of words.",
        "datetime": "A date, or a moment.",
        "text": "Free text.",
        "id": "Names each row; tells nothing else.",
    },
)
TextForm: Any = named_enum("TextForm", ("url", "email", "wkt", "point", "uuid", "iban", "hash"))
enum(
    TextForm,
    "What all texts of a column are.",
    {
        "url": "Addresses of the web.",
        "email": "Addresses of mail.",
        "wkt": "Geometries in well-known text.",
        "point": "Pairs of coordinates.",
        "uuid": "UUIDs.",
        "iban": "Bank accounts.",
        "hash": "Hashes in hexadecimal digits.",
    },
)
NearType: Any = named_enum("NearType", ("number", "date", "boolean", "units", "formats"))
enum(
    NearType,
    "What the texts of a column nearly are.",
    {
        "number": "Numbers, but for some cells.",
        "date": "Dates, but for some cells.",
        "boolean": "Yes and no, but for some cells.",
        "units": "Numbers with several units.",
        "formats": "Dates written in several ways.",
    },
)
Facts = Mapping[str, Any]
Row = tuple[Facts, Facts]
"""What a version's schema says of a column, and what its profile says."""
OF_ENDS = "min", "max", "median"


def columns(documents: Documents) -> list[Row]:
    """The columns of a version, in file order."""
    facts = {entry["name"]: entry for entry in documents.profile["columns"]}
    return [(column, facts.get(column["name"], {})) for column in documents.table_schema["columns"]]


@strawberry.type(description="A frequent value of a column.")
class TopValue:
    value: Value | None = key("value", "The value, spelled as in the file; a long text is cut.", Value | None)
    count: Long = key("count", "Rows that have it.", Long)
    percent: float = real("pct", "Share of the present values, in percent.")


@strawberry.type(description="A value that may stand for a missing one, such as -999 or 9999-12-31.")
class Sentinel:
    value: str = key("value", "The value.", str)
    count: Long = key("count", "Rows that have it.", Long)
    is_certain: bool = key("sure", "Whether this column alone is proof; else it is proven in another.", bool)
    min: str = key("low", "The lowest of the other values.", str)
    max: str = key("high", "The highest of the other values.", str)


@strawberry.type(description="Values far outside the usual range: beyond three times the distance of the quartiles.")
class Outliers:
    count: Long = key("count", "How many.", Long)
    lower_fence: float | None = real("low", "From here down a value is one; null where there is no such range.", float | None)
    upper_fence: float | None = real("high", "From here up a value is one.", float | None)
    min: float | None = real("min", "The smallest value, sentinels left out.", float | None)
    max: float | None = real("max", "The largest value, sentinels left out.", float | None)


def _bars(root: strawberry.Parent[Any]) -> Any:
    return bins(root.get("histogram"))


def _quantiles(root: strawberry.Parent[Any]) -> Any:
    found = root.get("quantiles")
    return found and [(float(share), number(value)) for share, value in pairs(found)]


@strawberry.type(description="How the numbers of a column are spread. Infinite ones are counted, and are in nothing else.")
class NumberStatistics:
    infinite_count: Long = key("infinite_count", "Infinite values.", Long)
    zero_count: Long | None = key("zeros", "Values that are 0.", Long | None)
    negative_count: Long | None = key("negatives", "Values below 0.", Long | None)
    skew: float | None = real("skew", "Skewness: above 0 with a few very large values, below with very small ones.", float | None)
    quantiles: list[Quantile] | None = strawberry.field(
        resolver=_quantiles,
        graphql_type=list[Quantile] | None,
        metadata=INSIDE,
        description="The 1, 5, 25, 50, 75, 95 and 99 % quantiles.",
    )
    histogram: list[HistogramBin] | None = strawberry.field(
        resolver=_bars,
        graphql_type=list[HistogramBin] | None,
        metadata=INSIDE,
        description="Twenty bars of equal width; null where the range is too wide for numbers.",
    )
    outliers: Outliers | None = key("outliers", "Values far outside the usual range.", Outliers | None)
    sentinels: list[Sentinel] | None = strawberry.field(
        resolver=lambda root: root.get("sentinels"),
        graphql_type=list[Sentinel] | None,
        metadata=INSIDE,
        description="Values that may stand for missing ones.",
    )


@strawberry.type(description="A bar of a histogram of times.")
class TimeBin:
    lower: str = at(0, "Its lower end, ISO 8601.", str)
    upper: str = at(1, "Its upper end, ISO 8601.", str)
    count: Long = at(2, "Values in it: the lower end included, the upper one in the last bar only.", Long)


@strawberry.type(description="How the dates or times of a column are spread.")
class TimeStatistics:
    range_days: float = real("range_days", "Days from the earliest to the latest.")
    histogram: list[TimeBin] | None = strawberry.field(
        resolver=_bars,
        graphql_type=list[TimeBin] | None,
        metadata=INSIDE,
        description="Twenty bars of equal width.",
    )
    sentinels: list[Sentinel] | None = strawberry.field(
        resolver=lambda root: root.get("sentinels"),
        graphql_type=list[Sentinel] | None,
        metadata=INSIDE,
        description="Values that may stand for missing ones.",
    )


def _formats(root: strawberry.Parent[Any]) -> list[str]:
    found = root["format"]
    return found if isinstance(found, list) else [] if found is None else [found]


@strawberry.type(description="What the texts of a column nearly are.")
class NearlyTyped:
    kind: str = key("kind", "What they nearly are.", NearType)
    cell_count: Long = key("cells", "Cells that stand in the way.", Long)
    examples: list[str] = key("examples", "Some of them.", list[str])
    formats: list[str] = strawberry.field(
        resolver=_formats, graphql_type=list[str], description="How the others are written; none where plainly."
    )


@strawberry.type(description="A word and how often it stands in a column.")
class WordCount:
    word: str = at(0, "The word.", str)
    count: Long = at(1, "Rows that have it.", Long)


def _length(part: str) -> Any:
    def read(root: strawberry.Parent[Any]) -> Any:
        return root["length"][part]

    return read


def _texture(part: str) -> Any:
    def read(root: strawberry.Parent[Any]) -> Any:
        return (root.get("texture") or {}).get(part)

    return read


def _words(root: strawberry.Parent[Any]) -> Any:
    found = root.get("words_for_nothing")
    return None if found is None else pairs(found)


@strawberry.type(description="What the texts and words of a column are like.")
class TextStatistics:
    min_length: Long = strawberry.field(resolver=_length("min"), graphql_type=Long, description="Characters of the shortest.")
    max_length: Long = strawberry.field(resolver=_length("max"), graphql_type=Long, description="Characters of the longest.")
    mean_length: float | None = strawberry.field(
        resolver=_length("mean"), graphql_type=float | None, description="Characters on average."
    )
    mean_words: float | None = real("words_mean", "Words on average, of free text.", float | None)
    nearly: NearlyTyped | None = strawberry.field(
        resolver=_texture("almost"), graphql_type=NearlyTyped | None, description="Another type that most of them have."
    )
    variants: list[list[str]] | None = strawberry.field(
        resolver=_texture("variants"),
        graphql_type=list[list[str]] | None,
        description="Groups of spellings that differ in case or blanks only.",
    )
    words_for_nothing: list[WordCount] | None = strawberry.field(
        resolver=_words,
        graphql_type=list[WordCount] | None,
        metadata=INSIDE,
        description="Categories such as None, kept as such, that may mean a missing value; null where it was said what does.",
    )


def _said(name: str, kind: Any, description: str) -> Any:
    """What the schema says of a column."""

    def read(root: strawberry.Parent[Row]) -> Any:
        return root[0].get(name)

    return strawberry.field(resolver=read, graphql_type=kind, description=description)


def _known(name: str, kind: Any, description: str, missing: Any = None, **more: Any) -> Any:
    """What the profile says of a column."""

    def read(root: strawberry.Parent[Row]) -> Any:
        found = root[1].get(name, missing)
        return found if kind not in (float, float | None) else number(found)

    return strawberry.field(resolver=read, graphql_type=kind, description=description, **more)


def _part(mark: str, kind: Any, description: str) -> Any:
    """A part of the profile, of columns whose profile has `mark`."""

    def read(root: strawberry.Parent[Row]) -> Any:
        return root[1] if mark in root[1] else None

    return strawberry.field(resolver=read, graphql_type=kind, description=description)


@strawberry.type(description="A column of a version.")
class Column:
    name: str = _said("name", str, "Name.")
    original_name: str | None = _said("original_name", str | None, "Name in the file, where it had to be changed.")
    type: ColumnType = _said("type", ColumnType, "What it is.")
    dtype: str = _said("dtype", str, "How it is stored; times with a zone are kept in UTC.")
    reason: str | None = _said("reason", str | None, "Why it has its type, where that was a judgement.")
    unit: str | None = _known("unit", str | None, "The unit of its numbers as written: kg, km/h, %, $. Inputs may leave it out.")
    form: str | None = _known("form", TextForm | None, "What its texts are, if of one form.")
    is_nullable: bool = _said("nullable", bool, "Whether values are missing.")
    missing_values: list[str] | None = _said(
        "missing",
        list[str] | None,
        "Words and values read as missing, in the file and in rows to predict; null: the usual ones of its type.",
    )
    missing_count: Long = _known("missing_count", Long, "Rows without a value.", 0)
    missing_percent: float = _known("missing_pct", float, "Share of rows without a value, in percent.", 0.0)
    unique_count: Long = _known("unique_count", Long, "Different values.", 0)
    sample_values: list[Value | None] = _known("sample_values", list[Value | None], "A few values.", [])
    min: Value | None = _known("min", Value | None, "Smallest number, or earliest time.")
    max: Value | None = _known("max", Value | None, "Largest number, or latest time.")
    mean: float | None = _known("mean", float | None, "Mean of numbers.")
    std: float | None = _known("std", float | None, "Standard deviation of numbers.")
    median: Value | None = _known("median", Value | None, "Median of numbers or times.")
    top_values: list[TopValue] | None = _known(
        "top_values",
        list[TopValue] | None,
        "The most frequent values, at most 20; null for numbers of many values.",
        metadata=INSIDE,
    )
    numbers: NumberStatistics | None = _part(
        "infinite_count", NumberStatistics | None, "How its numbers are spread, if it holds any."
    )
    times: TimeStatistics | None = _part(
        "range_days", TimeStatistics | None, "How its dates or times are spread, if it holds any."
    )
    texts: TextStatistics | None = _part("length", TextStatistics | None, "What its texts or words are like, if it holds any.")
