"""Random tables in random dialects come back equal, and no row is ever lost; scalar and column reading agree."""

import csv
import datetime as dt
import io
import math
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema, canonical, spell
from coreplex.engines.tabular.types import numbers, vocabulary
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.parse_rule import ParseRule
from coreplex.engines.tabular.types.value_parser import parse_value
from coreplex.errors.tree import BadInput, DomainError, Invalid

LETTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def texts() -> st.SearchStrategy[str]:
    """Cells that are text whatever the reader thinks: they begin with a letter and mean no date, number or absence."""
    free = st.text(LETTERS | st.sampled_from(list(",;\t|\"'\n \r")), max_size=15)
    return free.map(lambda text: f"w{text}x")


def missing_or(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy, strategy, strategy)


COLUMNS = st.sampled_from(
    [
        st.integers(-(10**12), 10**12),
        st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: round(value, 3) + 0.0),
        texts(),
        st.dates(dt.date(1950, 1, 1), dt.date(2050, 1, 1)),
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[Any]]:
    columns = draw(st.lists(COLUMNS, min_size=2, max_size=5))
    return [[draw(missing_or(column)) for column in columns] for _ in range(draw(st.integers(2, 25)))]


def through(data: bytes) -> tuple[TableSchema, pl.DataFrame]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload"
        source.write_bytes(data)
        reading = read_table(source, "table.csv", Path(folder) / "table.parquet")
        return reading.schema, pl.read_parquet(reading.path)


def same(written: Any, got: Any) -> bool:
    if written is None or got is None:
        return written is None and got is None
    if isinstance(written, (int, float)) and isinstance(got, (int, float)):
        return math.isclose(written, got, rel_tol=1e-12, abs_tol=1e-12)
    return str(got) == str(written)


@QUICK
@given(
    table=tables(),
    separator=st.sampled_from(",;\t|"),
    ending=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_random_tables_come_back(table: list[list[Any]], separator: str, ending: str, quoting: Any, encoding: str) -> None:
    names = [f"name {index}" for index in range(len(table[0]))]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator=ending, quoting=quoting)
    writer.writerows([names, *table])
    schema, frame = through(buffer.getvalue().encode(encoding))
    assert schema.names == names
    assert frame.height == len(table)
    for written, got in zip(table, frame.rows(), strict=True):
        assert all(map(same, written, got)), (written, got)


@QUICK
@given(data=st.binary(max_size=400) | st.text(LETTERS | st.sampled_from(list(',;"\n\r\t')), max_size=300).map(str.encode))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        schema, frame = through(data)
    except (BadInput, Invalid):
        return
    assert frame.height >= 1
    assert len(set(schema.names)) == len(schema.names)


@QUICK
@given(
    lines=st.lists(
        st.lists(st.sampled_from(["1", "2.5", "ab", '"q"', '"a,b"', 'x"y', "", '"", ""']), min_size=1, max_size=4).map(",".join),
        min_size=1,
        max_size=30,
    )
)
@example(lines=['"", ""', "ab"])
def test_every_line_is_a_row_or_is_reported(lines: list[str]) -> None:
    """Rows + lines reported as left out + blank lines + the names = lines of the file (no cell here spans lines)."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload"
        source.write_text("\n".join(["h1,h2,h3", *["1,2,3"] * 100, *lines]) + "\n")
        try:
            reading = read_table(source, "table.csv", Path(folder) / "table.parquet")
        except DomainError:
            return
    out = sum(finding.affected_rows for finding in reading.findings if finding.kind in ("bad_lines", "footer_lines"))
    above = sum(len(finding.evidence["lines"]) for finding in reading.findings if finding.kind == "preamble_skipped")
    unnamed = any(finding.kind == "header_missing" for finding in reading.findings)
    blank = sum(not line.strip() for line in lines)
    assert reading.row_count + out + above + (not unnamed) + blank == len(lines) + 101


FORMATS = [
    NumberFormat(decimal, thousands, decorated, chosen)
    for decimal, thousands in [(".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (".", "'")]
    for decorated in (False, True)
    for chosen in (False, True)
] + [NumberFormat(",", ".", decorated=True, unit=unit) for unit in ("€", "%", "kg", "km/h", "m2", "years")]
FORMATS += [numbers.CLOCK, *(NumberFormat(".", ",", decorated=True, scaled=True, unit=unit) for unit in ("", "$", "USD"))]
NUMBERISH = (
    st.text("0123456789.,'+-eE %$€()xinf ", max_size=12)
    | st.builds("{}{}".format, st.text("0123456789.,-( ", max_size=6), st.sampled_from(["€", "%", "KG", "km/h", "m2", "Years)"]))
    | st.builds(
        "{}{}{}".format, st.sampled_from(["", "−", "$", "("]), st.floats(0, 10**6), st.sampled_from(["K", " bn", "M-", ")"])
    )
    | st.from_regex(r"-?(1 day, )?[0-9]{1,3}:[0-6][0-9]:[0-6][0-9](\.[0-9]+)?", fullmatch=True)
    | st.floats().map(str)
    | st.integers().map(str)
    | st.integers().map("00{}.0".format)
)


@settings(max_examples=300, deadline=None)
@given(text=NUMBERISH, written=st.sampled_from(FORMATS))
def test_one_cell_reads_as_its_column_does(text: str, written: NumberFormat) -> None:
    series = pl.Series([text.strip()], dtype=pl.String)
    assert numbers.integers(series, written).item() == numbers.integer(text.strip(), written)
    assert numbers.reals(series, written).item() == numbers.real(text.strip(), written)


@settings(max_examples=300, deadline=None)
@given(
    text=NUMBERISH | st.sampled_from(sorted(vocabulary.MISSING | vocabulary.YES | vocabulary.NO)),
    rule=st.sampled_from(
        [ParseRule("integer"), ParseRule("float"), ParseRule("integer", "._!"), ParseRule("float", "._!"), ParseRule("string")]
    ),
)
def test_the_quick_way_and_the_careful_way_agree(text: str, rule: ParseRule) -> None:
    """Whenever `quick` is trusted (no doubt, no null too many) it says what `read` says."""
    frame = pl.DataFrame({"raw": [text]})
    quick, doubt = frame.select(rule.quick(pl.col("raw")).alias("q"), rule.doubt(pl.col("raw")).alias("d")).row(0)
    careful = rule.read(frame["raw"])[0].item()
    if not doubt and quick is not None:
        assert quick == careful


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_exactly(value: float) -> None:
    assert numbers.reals(pl.Series([repr(value)]), NumberFormat()).item() == value
    assert numbers.real(repr(value), NumberFormat()) == value


COLUMN_KINDS = [
    Column("c", ColumnType.integer, "int64"),
    Column("c", ColumnType.integer, "int64", format=".,*$"),
    Column("c", ColumnType.float, "float64", format=",."),
    Column("c", ColumnType.boolean, "bool"),
    Column("c", ColumnType.datetime, "date", format="%d/%m/%Y"),
    Column("c", ColumnType.datetime, "datetime", format="%Y-%m-%d %H:%M:%S"),
    Column("c", ColumnType.categorical, "string"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=300, deadline=None)
@given(column=st.sampled_from(COLUMN_KINDS), raw=JSON)
def test_no_json_value_breaks_parse_value(column: Column, raw: Any) -> None:
    value = parse_value(column, raw)
    wanted = {"int64": int, "float64": float, "bool": bool, "date": dt.date, "datetime": dt.datetime, "string": str}
    assert value is None or isinstance(value, wanted[column.dtype])
    spell(column, value)


@pytest.mark.parametrize(
    ("column", "raw", "value"),
    [
        (COLUMN_KINDS[2], "1.234,5", 1234.5),
        (COLUMN_KINDS[2], 1234.5, 1234.5),
        (COLUMN_KINDS[2], "n/a", None),
        (COLUMN_KINDS[1], "$ 1,234", 1234),
        (COLUMN_KINDS[0], "12.0", 12),
        (COLUMN_KINDS[0], 12.0, 12),
        (COLUMN_KINDS[0], 12.5, None),
        (COLUMN_KINDS[3], "Ja", True),
        (COLUMN_KINDS[3], 0, False),
        (COLUMN_KINDS[4], "31/12/2023", dt.date(2023, 12, 31)),
        (COLUMN_KINDS[4], "2023-12-31", dt.date(2023, 12, 31)),
        (COLUMN_KINDS[5], "2023-12-31T10:00:00+02:00", dt.datetime(2023, 12, 31, 8)),  # noqa: DTZ001
        (COLUMN_KINDS[6], 5, "5"),
        (COLUMN_KINDS[6], " - ", None),
    ],
)
def test_values_from_json(column: Column, raw: Any, value: Any) -> None:
    assert parse_value(column, raw) == value


def test_spelling_comes_back_as_uploaded() -> None:
    lines = [f"{i},{'yes' if i % 2 else 'no'},{i % 3}.0,0{i % 9 + 1}/1{i % 3}/2024" for i in range(60)]
    schema, frame = through("\n".join(["n,late,score,day", *lines]).encode())
    late, score, day = (schema.get(name) for name in ("late", "score", "day"))
    assert late is not None
    assert score is not None
    assert day is not None
    assert spell(late, frame["late"][1]) == "yes"
    assert spell(score, 2.0) == 2.0
    assert spell(day, frame["day"][1]) == "02/11/2024"
    assert TableSchema.from_json(schema.to_json()) == schema
    assert canonical(2.0) == "2.0"
