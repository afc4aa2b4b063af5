"""Exports: harmless in a spreadsheet, spelled as uploaded, numbers untouched."""

import csv
from pathlib import Path

import polars as pl
import pytest
from openpyxl import load_workbook

from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.engines.tabular.write import export as writer
from coreplex.engines.tabular.write.export import export
from coreplex.engines.tabular.write.formula_escape import escaped
from coreplex.errors.tree import Invalid

SIGNS = ["=", "+", "-", "@", "＝", "＋", "－", "＠"]
BEFORE = ["", " ", "\t", "\r", "\n", "\r\n", "\u00a0", "  \t"]
PAYLOADS = [f"{before}{sign}SUM(1+1)*cmd|' /C calc'!A0" for sign in SIGNS for before in BEFORE] + [
    '=HYPERLINK("http://127.0.0.1/x","go")',
    "@SUM(1)",
    "-2+3+cmd",
    "=1",
    "\tplain",
    "\rplain",
    "http://127.0.0.1/",
    "=",
]
RUNS = tuple("=+-@＝＋－＠")


def runs(cell: str) -> bool:
    return cell.strip("\u00a0 \t\r\n").startswith(RUNS) or cell.startswith(("\t", "\r", "\n"))


@pytest.fixture
def table(tmp_path: Path) -> tuple[Path, TableSchema, pl.DataFrame]:
    n = len(PAYLOADS)
    frame = pl.DataFrame(
        {
            "=payload": PAYLOADS,
            "number": [(-1) ** i * i / 7 for i in range(n)],
            "count": [(-1) ** i * 10**i % 2**62 for i in range(n)],
            "flag": [None if i == 3 else i % 2 == 0 for i in range(n)],
            "day": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 12, 31), "1d", eager=True).head(n),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    schema = TableSchema(
        (
            Column("=payload", ColumnType.text, "string"),
            Column("number", ColumnType.float, "float64"),
            Column("count", ColumnType.integer, "int64"),
            Column("flag", ColumnType.boolean, "bool", labels={"true": "Yes", "false": "-no"}),
            Column("day", ColumnType.datetime, "date", format="%d/%m/%Y"),
        )
    )
    return tmp_path / "t.parquet", schema, frame


def test_csv_is_harmless_and_spelled_as_uploaded(table: tuple[Path, TableSchema, pl.DataFrame], tmp_path: Path) -> None:
    path, schema, frame = table
    export(path, schema, "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header[0] == "'=payload"
    assert len(rows) == frame.height
    assert not [row[0] for row in rows if runs(row[0])]
    assert [row[0].removeprefix("'") for row in rows] == PAYLOADS
    assert [float(row[1]) for row in rows] == frame["number"].to_list()
    assert [int(row[2]) for row in rows] == frame["count"].to_list()
    assert [row[3] for row in rows][:4] == ["Yes", "'-no", "Yes", ""]
    assert rows[0][4] == "01/01/2024"


def test_xlsx_holds_no_formula_and_no_link(table: tuple[Path, TableSchema, pl.DataFrame], tmp_path: Path) -> None:
    path, schema, frame = table
    export(path, schema, "xlsx", tmp_path / "out.xlsx")
    sheet = load_workbook(tmp_path / "out.xlsx").active
    assert sheet is not None
    rows = list(sheet.iter_rows())
    assert len(rows) == frame.height + 1
    assert not [cell for row in rows for cell in row if cell.data_type == "f" or cell.hyperlink]
    assert not [cell for row in rows[1:] for cell in row if isinstance(cell.value, str) and runs(cell.value)]
    assert [row[1].value for row in rows[1:]] == frame["number"].to_list()


def test_parquet_is_unchanged(table: tuple[Path, TableSchema, pl.DataFrame], tmp_path: Path) -> None:
    path, schema, frame = table
    export(path, schema, "parquet", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(frame)


def test_a_sheet_too_small_says_take_csv(
    table: tuple[Path, TableSchema, pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SHEET_ROWS", 10)
    with pytest.raises(Invalid, match="csv"):
        export(table[0], table[1], "xlsx", tmp_path / "out.xlsx")
    with pytest.raises(Invalid, match="format"):
        export(table[0], table[1], "pdf", tmp_path / "out")  # type: ignore[arg-type]


def test_ordinary_text_is_untouched() -> None:
    assert [escaped(text) for text in ("a=b", "1-2", "x@y.z", "", "'quoted")] == ["a=b", "1-2", "x@y.z", "", "'quoted"]


def test_an_export_reads_back_as_the_same_table(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_text(
        "k,late,amount,when\n"
        + "".join(f"v{i % 4},{'ja' if i % 3 else 'nein'},{i}.5,{i % 28 + 1:02d}.03.2024\n" for i in range(90))
    )
    first = read_table(source, "a.csv", tmp_path / "a.parquet")
    export(first.path, first.schema, "csv", tmp_path / "b.csv")
    second = read_table(tmp_path / "b.csv", "b.csv", tmp_path / "b.parquet")
    assert second.schema == first.schema
    assert pl.read_parquet(first.path).equals(pl.read_parquet(second.path))
