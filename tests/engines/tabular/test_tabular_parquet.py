"""Uploaded Parquet: types kept, made plain or refused; bombs; the same table read again with other types."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from coreplex.engines.tabular.frame import load, preview
from coreplex.engines.tabular.read.interface import Limits, ReadTable
from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.value_parser import parse_value
from coreplex.errors.tree import BadInput, Invalid


def take(tmp_path: Path, frame: pl.DataFrame, name: str = "t.parquet", **more: Any) -> tuple[ReadTable, pl.DataFrame]:
    frame.write_parquet(tmp_path / "upload")
    reading = read_table(tmp_path / "upload", name, tmp_path / "table.parquet", **more)
    return reading, pl.read_parquet(reading.path)


def test_no_name_is_a_pattern_of_names(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1], "*": ["x "], "^.*$": [Decimal("1.5")], "^b$": [{"*": 2, "c": 3}], "^l$": [[1]]})
    reading, table = take(tmp_path, frame)
    assert table.to_dicts() == [{"a": 1, "column_2": "x", ".*": 1.5, "^b$.*": 2, "^b$.c": 3, "l": "[1]"}]
    assert reading.schema.names == table.columns


def test_types_are_kept_or_made_plain(tmp_path: Path) -> None:
    moment = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "small": pl.Series([1, 2, None], dtype=pl.Int8),
            "big": pl.Series([1, 2**63, 5], dtype=pl.UInt64),
            "real": [1.5, float("nan"), float("inf")],
            "half": pl.Series([1.5, None, 2.5], dtype=pl.Float32),
            "money": pl.Series([Decimal("1.25"), None, Decimal("3")], dtype=pl.Decimal(10, 2)),
            "colour": pl.Series(["red", "blue", "red"], dtype=pl.Categorical),
            "size": pl.Series(["S", "M", "S"], dtype=pl.Enum(["S", "M"])),
            "flag": [True, None, False],
            "day": [dt.date(2024, 1, 1)] * 3,
            "when": pl.Series([moment] * 3, dtype=pl.Datetime("ns", "Europe/Zurich")),
            "took": [dt.timedelta(seconds=90)] * 3,
            "at": [dt.time(10, 30)] * 3,
            "nothing": pl.Series([None] * 3, dtype=pl.Null),
            "words": ["a", "", "NA"],
        }
    )
    reading, table = take(tmp_path, frame)
    dtypes = {column.name: column.dtype for column in reading.schema}
    assert dtypes == {
        "small": "int8", "big": "uint64", "real": "float64", "half": "float32", "money": "float64", "colour": "string",
        "size": "string", "flag": "bool", "day": "date", "when": "datetime", "took": "float64", "at": "float64",
        "nothing": "string", "words": "string",
    }  # fmt: skip
    assert table["real"].to_list() == [1.5, None, float("inf")]
    assert table["words"].to_list() == ["a", "", "NA"]
    assert table["when"][0] == moment.replace(tzinfo=None)
    assert table["took"][0] == 90.0
    assert reading.schema.get("small").nullable  # type: ignore[union-attr]
    assert load(reading.path, reading.schema, ["flag", "small"]).columns == ["flag", "small"]
    assert preview(reading.path, reading.schema, 2)[0]["when"] == "2024-01-01T12:00:00"
    with pytest.raises(Invalid):
        load(reading.path, reading.schema, ["no such"])


def test_what_is_nested_is_flattened_once_and_then_kept_as_json_text(tmp_path: Path) -> None:
    place = {"city": "Bern", "at": [46.9, 7.4], "more": {"zip": "3000"}}
    reading, table = take(tmp_path, pl.DataFrame({"tags": [["a", None], None, []], "place": [place, None, place]}))
    assert table.to_dict(as_series=False) == {
        "tags": ['["a",null]', None, "[]"], "place.city": ["Bern", None, "Bern"], "place.at": ["[46.9,7.4]", None, "[46.9,7.4]"],
        "place.more": ['{"zip":"3000"}', None, '{"zip":"3000"}'],
    }  # fmt: skip
    assert [finding.evidence["columns"] for finding in reading.findings] == [["tags", "place.at", "place.more"]]


def test_bytes_are_the_text_they_hold_or_hexadecimal_digits(tmp_path: Path) -> None:
    _, table = take(tmp_path, pl.DataFrame({"name": ["Müller ".encode(), None], "raw": [b"\xff\x00", b"ok"]}))
    assert table.to_dict(as_series=False) == {"name": ["Müller", None], "raw": ["ff00", "ok"]}


def test_times_of_day_are_seconds_as_in_text_unless_a_text_is_ordered(tmp_path: Path) -> None:
    frame = pl.DataFrame({"at": [dt.time(10, 30), None, dt.time(0, 0, 1, 500_000)]})
    reading, table = take(tmp_path, frame)
    assert table["at"].to_list() == [37_800.0, None, 1.5]
    column = reading.schema.columns[0]
    assert NumberFormat.of(column.format).unit == "s"
    assert parse_value(column, "10:30:00") == parse_value(column, 37_800) == 37_800.0
    reading, table = take(tmp_path, frame, overrides={"at": ColumnType.categorical})
    assert table["at"].to_list() == ["10:30:00", None, "00:00:01.500"]
    assert not reading.findings


def test_empty_tables_are_422(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        take(tmp_path, pl.DataFrame({"a": []}))
    with pytest.raises(Invalid):
        take(tmp_path, pl.DataFrame())


def test_damaged_files_are_400(tmp_path: Path) -> None:
    pl.DataFrame({"a": list(range(10_000)), "b": [f"text {i}" for i in range(10_000)]}).write_parquet(tmp_path / "good")
    good = (tmp_path / "good").read_bytes()
    damaged = [
        good[:-9],
        good[:100],
        good[: len(good) // 2] + good[-50:],
        b"PAR1",
        b"PAR1PAR1",
        good[:4] + b"\xff" * 3000 + good[3004:],
    ]
    for data in damaged:
        (tmp_path / "upload").write_bytes(data)
        with pytest.raises(BadInput):
            read_table(tmp_path / "upload", "t.parquet", tmp_path / "table.parquet")


def test_a_bomb_is_refused_by_its_footer(tmp_path: Path) -> None:
    """A few kilobytes that declare many rows."""
    frame = pl.DataFrame({"a": pl.repeat(1, 3_000_000, eager=True)})
    frame.write_parquet(tmp_path / "bomb")
    assert (tmp_path / "bomb").stat().st_size < 1_000_000
    with pytest.raises(Invalid, match="rows"):
        read_table(tmp_path / "bomb", "b.parquet", tmp_path / "table.parquet", limits=Limits(rows=1_000_000))
    with pytest.raises(Invalid, match="columns"):
        take(tmp_path, pl.DataFrame({f"c{i}": [1] for i in range(30)}), limits=Limits(columns=20))


def test_parquet_named_csv_and_without_extension(tmp_path: Path) -> None:
    for name in ("t.csv", "t", "T.PARQUET"):
        assert take(tmp_path, pl.DataFrame({"a": [1, 2], "b": ["x", "y"]}), name)[0].format == "parquet"


def test_a_stored_table_is_read_again_with_other_types(tmp_path: Path) -> None:
    lines = ["key,flag,score,day,mark"] + [
        f"k{i:03d},{'ja' if i % 3 else 'nein'},{i % 4},{i % 28 + 1:02d}.02.2024,{'x' if i == 7 else i / 2}" for i in range(100)
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    first = read_table(tmp_path / "a.csv", "a.csv", tmp_path / "a.parquet")
    wanted = {
        "flag": ColumnType.categorical,
        "score": ColumnType.categorical,
        "day": ColumnType.text,
        "mark": ColumnType.float,
        "key": ColumnType.text,
    }
    second = read_table(first.path, "a.parquet", tmp_path / "b.parquet", overrides=wanted, previous=first.schema)
    table = pl.read_parquet(second.path)
    assert {column.name: column.type for column in second.schema} == wanted
    assert table["flag"].to_list()[:2] == ["nein", "ja"]
    assert table["score"].to_list()[:3] == ["0", "1", "2"]
    assert table["day"][0] == "01.02.2024"
    assert table["mark"].null_count() == 1
    assert [finding.affected_rows for finding in second.findings] == [1]
    back = {"flag": ColumnType.boolean, "day": ColumnType.datetime, "score": ColumnType.integer}
    third = read_table(second.path, "b.parquet", tmp_path / "c.parquet", overrides=back, previous=second.schema)
    table = pl.read_parquet(third.path)
    assert table["flag"].to_list()[:2] == [False, True]
    assert table["day"][0] == dt.date(2024, 2, 1)
    assert table["score"].dtype == pl.Int64
    unchanged = read_table(first.path, "a.parquet", tmp_path / "d.parquet", previous=first.schema)
    assert unchanged.schema == first.schema


def test_zero_and_one_can_be_ordered_to_be_booleans(tmp_path: Path) -> None:
    reading, table = take(
        tmp_path, pl.DataFrame({"n": range(50), "t": [i % 2 for i in range(50)]}), overrides={"t": ColumnType.boolean}
    )
    assert table["t"].dtype == pl.Boolean
    assert table["t"].null_count() == 0
    assert not reading.findings


def test_what_a_plainer_type_changes_is_said(tmp_path: Path) -> None:
    moment = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "there": pl.Series([moment] * 2, dtype=pl.Datetime("us", "Europe/Zurich")),
            "here": pl.Series([moment] * 2, dtype=pl.Datetime("us", "UTC")),
            "clock": pl.Series([moment.replace(tzinfo=None)] * 2, dtype=pl.Datetime("us")),
            "price": pl.Series([Decimal("1.1"), Decimal("2.675")], dtype=pl.Decimal(38, 30)),
            "key": pl.Series([Decimal("12345678901234567.89"), Decimal("3.00")], dtype=pl.Decimal(38, 2)),
            "huge": pl.Series([2**100 + 1, 2**100], dtype=pl.Int128),
            "took": [dt.timedelta(seconds=90)] * 2,
            "at": [dt.time(10, 30)] * 2,
        }
    )
    reading, table = take(tmp_path, frame)
    assert {finding.kind for finding in reading.findings} == {"converted_type"}
    assert {finding.column: finding.affected_rows for finding in reading.findings} == {
        "there": 0,
        "key": 1,
        "huge": 1,
        "took": 0,
        "at": 0,
    }
    assert "Europe/Zurich" in reading.findings[0].message
    assert table["there"].to_list() == table["here"].to_list() == table["clock"].to_list()


def test_days_and_moments_beyond_the_calendar_are_missing_and_told(tmp_path: Path) -> None:
    day = pl.Series([5_000_000, -5_000_000, 0, None], dtype=pl.Int32).cast(pl.Date)
    moment = pl.Series([2**62, 0, 0, 0]).cast(pl.Datetime("ms", "UTC"))
    reading, table = take(tmp_path, pl.DataFrame({"day": day, "moment": moment, "half": pl.Series([1.5] * 4, dtype=pl.Float16)}))
    assert table["day"].to_list() == [None, None, dt.date(1970, 1, 1), None]
    assert table["moment"].null_count() == 1
    assert table["half"].to_list() == [1.5] * 4
    assert [one.message for one in reading.findings if one.kind == "converted_type"] == [
        "Times of 'day' outside the years 1 to 9999 were read as missing: 2.",
        "Times of 'moment' outside the years 1 to 9999 were read as missing: 1.",
    ]
