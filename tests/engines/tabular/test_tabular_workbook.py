"""Excel workbooks: sheets, dates, texts, merged names, and what no program that writes workbooks would write."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
import xlsxwriter

from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.workbook import shows
from coreplex.engines.tabular.read.worksheet import moment
from coreplex.engines.tabular.schema import ColumnType
from coreplex.errors.tree import BadInput, DomainError, Invalid, TooLarge
from tests.engines.tabular.files import SMALL, bare_book, book, kinds, take

DAY = dt.datetime(2024, 1, 30)  # noqa: DTZ001
ROWS: list[list[Any]] = [
    ["code", "n", "x", "flag", "day", "when", "word"],
    *(
        [f"{number:03d}", number, number + 0.1, number % 2 == 0, DAY + dt.timedelta(number), None, f"ü & <{number % 3}>"]
        for number in range(40)
    ),
]


def openpyxl_book(change: Any = None) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    for row in ROWS:
        sheet.append(row)
    for number in range(2, len(ROWS) + 1):
        cell = sheet.cell(number, 6, DAY + dt.timedelta(hours=5 * number, seconds=7))
        cell.number_format = "dd/mm/yyyy hh:mm:ss"
    if change is not None:
        change(made, sheet)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_a_workbook_of_another_program_is_read(tmp_path: Path) -> None:
    reading, frame = take(tmp_path, openpyxl_book(), "t.xlsx")
    assert (reading.format, reading.sheet) == ("xlsx", "Sheet")
    assert frame["code"].to_list()[:3] == ["000", "001", "002"]
    assert frame["n"].to_list() == list(range(40))
    assert frame["x"].to_list() == [number + 0.1 for number in range(40)]
    assert frame.schema["flag"] == pl.Boolean
    assert frame["day"].to_list()[:2] == [DAY, DAY + dt.timedelta(1)]
    assert frame["when"].to_list()[0] == DAY + dt.timedelta(hours=10, seconds=7)
    assert frame["word"].to_list()[:3] == ["ü & <0>", "ü & <1>", "ü & <2>"]


def test_dates_of_1904_are_the_same_days(tmp_path: Path) -> None:
    def since_1904(made: Any, _: Any) -> None:
        made.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904

    _, frame = take(tmp_path, openpyxl_book(since_1904), "t.xlsx")
    assert frame["day"].to_list()[:2] == [DAY, DAY + dt.timedelta(1)]


def test_what_surrounds_a_table_is_left_out(tmp_path: Path) -> None:
    """A title over all columns, blank lines and columns, hidden rows, formulas, errors, numbers kept as text."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as made:
        sheet = made.add_worksheet("Data")
        sheet.merge_range("C2:F2", "Sales of the year")
        sheet.write_row("C5", ["region", "amount", "twice", "stored"])
        for number in range(5, 45):
            sheet.write_row(number, 2, ["north" if number % 2 else "south", number])
            sheet.write_formula(number, 4, f"=D{number + 1}*2", None, 2 * number)
            sheet.write_string(number, 5, str(number))
        sheet.write_formula(44, 4, "=1/0", None, "#DIV/0!")
        sheet.set_row(10, None, None, {"hidden": True})
        sheet.write_blank("XFD1", None, made.add_format({"bold": True}))
    reading, frame = take(tmp_path, out.getvalue(), "t.xlsx")
    assert frame.columns == ["region", "amount", "twice", "stored"]
    assert frame["amount"].to_list() == list(range(5, 45))
    assert frame["twice"].to_list() == [2 * number for number in range(5, 44)] + [None]
    assert frame["stored"].to_list() == list(range(5, 45))
    assert {"error_cells", "preamble_skipped"} <= kinds(reading)


def test_merged_names_become_part_of_the_names(tmp_path: Path) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as made:
        sheet = made.add_worksheet()
        sheet.merge_range("A1:A2", "region")
        sheet.merge_range("B1:C1", "2023")
        sheet.merge_range("D1:E1", "2024")
        sheet.write_row("B2", ["Q1", "Q2", "Q1", "Q2"])
        for number in range(2, 20):
            sheet.write_row(number, 1, [number, number + 1, number + 2, number + 3])
        sheet.merge_range("A3:A10", "north")
        sheet.merge_range("A11:A20", "south")
    _, frame = take(tmp_path, out.getvalue(), "t.xlsx")
    assert frame.columns == ["region", "2023 / Q1", "2023 / Q2", "2024 / Q1", "2024 / Q2"]
    assert frame["region"].to_list() == ["north"] * 8 + ["south"] * 10
    assert frame["2024 / Q2"].to_list() == list(range(5, 23))


def test_days_and_moments_in_one_column_are_moments(tmp_path: Path) -> None:
    rows = [["when", "n"], *([DAY + dt.timedelta(hours=12 * number), number] for number in range(30))]
    _, frame = take(tmp_path, book(S=rows), "t.xlsx")
    assert frame["when"].to_list() == [DAY + dt.timedelta(hours=12 * number) for number in range(30)]


TWO = [["a", "b"], [1, 2], [3, 4]]
OTHER = [["c", "d"], ["x", "y"], ["z", "y"]]


def test_a_sheet_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    data = book(Empty=[], Prices=TWO, Clients=OTHER)
    reading, frame = take(tmp_path, data, "t.xlsx")
    assert (reading.sheet, frame.columns) == ("Prices", ["a", "b"])
    (finding,) = [finding for finding in reading.findings if finding.kind == "sheet_chosen"]
    assert "'Clients'" in finding.message
    for wanted in ("Clients", " clients ", "3"):
        reading, frame = take(tmp_path, data, "t.xlsx", sheet=wanted)
        assert (reading.sheet, frame.columns) == ("Clients", ["c", "d"])
        assert "sheet_chosen" not in kinds(reading)
    with pytest.raises(Invalid, match=r"Did you mean 'Clients'\?.*'Empty', 'Prices', 'Clients'"):
        take(tmp_path, data, "t.xlsx", sheet="Client")
    with pytest.raises(Invalid, match="no sheet '4'"):
        take(tmp_path, data, "t.xlsx", sheet="4")
    with pytest.raises(Invalid, match="'Empty' is empty"):
        take(tmp_path, data, "t.xlsx", sheet="Empty")
    with pytest.raises(Invalid, match="no sheet with a value"):
        take(tmp_path, book(Empty=[], Blank=[]), "t.xlsx")


def test_hidden_sheets_come_last_and_types_can_be_set(tmp_path: Path) -> None:
    def hidden(made: Any, sheet: Any) -> None:
        sheet.sheet_state = "hidden"
        made.create_sheet("Shown").append(["a"])
        for number in range(5):
            made["Shown"].append([number])

    data = openpyxl_book(hidden)
    assert take(tmp_path, data, "t.xlsx")[0].sheet == "Shown"
    reading, frame = take(tmp_path, data, "t.xlsx", sheet="Sheet", overrides={"n": ColumnType.text})
    assert frame["n"].to_list()[:3] == ["0", "1", "2"]
    assert reading.schema.names[0] == "code"


CELLS = '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c>{}</row></sheetData>'


def test_xml_that_programs_write_in_their_own_ways(tmp_path: Path) -> None:
    """No references, runs of rich text, readings of Japanese words, escaped characters."""
    sheet = (
        '<sheetData><row><c t="inlineStr"><is><r><t>na</t></r><r><t>me</t></r><rPh sb="0"><t>x</t></rPh></is></c>'
        '<c t="str"><v>b_x0031_</v></c></row><row><c t="s"><v>0</v></c><c><f>1+1</f></c></row>'
        '<row><c t="s"><v>1</v></c><c><v>2</v></c></row></sheetData>'
    )
    texts = "<sst><si><r><rPr/><t>x </t></r><r><t>y</t></r></si><si><t>日本</t><rPh><t>にほん</t></rPh></si></sst>"
    reading, frame = take(tmp_path, bare_book(sheet, texts), "t.xlsx")
    assert frame.columns == ["name", "b1"]
    assert frame.rows() == [("x y", None), ("日本", 2)]
    assert "formulas_without_result" in kinds(reading)


BROKEN = {
    "entities": bare_book(CELLS.format(""), head='<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'),
    "a file outside": bare_book(CELLS.format(""), head='<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
    "no end": bare_book("<sheetData><row><c><v>1"),
    "unknown text": bare_book(CELLS.format('<c r="B1" t="s"><v>7</v></c>')),
    "a negative text": bare_book(CELLS.format('<c r="B1" t="s"><v>-1</v></c>')),
    "columns backwards": bare_book(CELLS.format('<c r="A1"><v>7</v></c>')),
    "no column": bare_book(CELLS.format('<c r="1"><v>7</v></c>')),
    "a long column": bare_book(CELLS.format('<c r="ABCDEFGH1"><v>7</v></c>')),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_sound_workbook_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        take(tmp_path, BROKEN[what], "t.xlsx")
    assert "save it again" in caught.value.message.lower()


def test_every_cut_of_a_workbook_is_refused(tmp_path: Path) -> None:
    data = book(S=TWO)
    for end in range(5, len(data) - 1, 97):
        with pytest.raises(DomainError):
            take(tmp_path, data[:end], "t.xlsx")


def test_sheets_that_are_mostly_blank_stay_small(tmp_path: Path) -> None:
    stray = book(S=[["a", "b"], [1, 2], [3, 4], [*[None] * 16_000, 5]])
    _, frame = take(tmp_path, stray, "t.xlsx")
    assert frame.shape == (3, 3)
    far = "".join(f'<row><c r="A{number}"><v>1</v></c><c r="XFD{number}"><v>1</v></c></row>' for number in range(1, 4_000))
    with pytest.raises((Invalid, TooLarge)):
        take(tmp_path, bare_book(f"<sheetData>{far}</sheetData>"), "t.xlsx", limits=SMALL)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("General", None),
        ("0.00E+00", None),
        ('"day" 0', None),
        ("[Red]#,##0;[Blue]-#,##0", None),
        ("[$-409]d mmm yyyy", "date"),
        ("yyyy\\-mm\\-dd", "date"),
        ("mmm", "date"),
        ("m/d/yy h:mm", "datetime"),
        ("yyyy-mm-dd hh:mm:ss.000", "fraction"),
        ("h:mm AM/PM", "time"),
        ("mm:ss", "time"),
        ("[h]:mm:ss", "elapsed"),
        ("@", None),
    ],
)
def test_formats_that_show_dates(code: str, expected: str | None) -> None:
    assert shows(code) == expected


@pytest.mark.parametrize(
    ("raw", "style", "expected"),
    [
        ("1", "date", "1900-01-01"),
        ("59", "date", "1900-02-28"),
        ("61", "date", "1900-03-01"),
        ("45321", "date", "2024-01-30"),
        ("45321.5", "date", "2024-01-30 12:00:00"),
        ("45321", "datetime", "2024-01-30 00:00:00"),
        ("45321.99999999", "datetime", "2024-01-31 00:00:00"),
        ("45321.5000001", "fraction", "2024-01-30 12:00:00.009"),
        ("0.75", "time", "18:00:00"),
        ("0.9999999", "time", "23:59:59"),
        ("-1", "date", "-1"),
        ("99999999", "date", "99999999"),
        ("x", "date", "x"),
    ],
)
def test_serial_numbers_are_days(raw: str, style: Any, expected: str) -> None:
    assert moment(raw, style) == expected


TABLE = [["n", "place", "x"], *([number, f"city {number % 5}", number / 4] for number in range(60))]
COVERS: dict[str, list[list[Any]]] = {
    "title": [["Sales of 2024"], [], ["Made by the office of statistics"]],
    "entries": [["Title:", "Sales"], ["Author:", "Ann"], ["Date", DAY], ["Rows", 60]],
    "words": [["Company", "ACME"], ["Contact", "Ann"], ["Purpose", "planning"], ["State", "final"], ["See", "next"]],
    "picture": [["", "", "", "ACME"], ["", "Report"], ["", "", "confidential"], ["2024"]],
}


@pytest.mark.parametrize("cover", COVERS)
def test_a_cover_page_is_passed_over_and_said(tmp_path: Path, cover: str) -> None:
    data = book(Cover=COVERS[cover], Data=TABLE, More=TABLE[:30])
    reading, frame = take(tmp_path, data, "t.xlsx")
    assert (reading.sheet, frame.height) == ("Data", 60)
    said = next(finding for finding in reading.findings if finding.kind == "sheet_chosen")
    assert said.evidence["others"] == ["Cover", "More"]
    assert take(tmp_path, data, "t.xlsx", sheet="More")[1].height == 29


def test_the_first_sheet_is_read_where_it_may_be_the_table(tmp_path: Path) -> None:
    short = [["n", "place", "x"], [1, "a", 0.5], [2, "b", 1.5], [3, "a", 2.5]]
    narrow = [["n", "place"], *([number, "ab"[number % 2]] for number in range(30))]
    prices, numbers = [["item", "price"], ["a", 1.5], ["b", 2], ["c", 4]], [["a", "b"], [1, 2.5], [3, 4.5]]
    for first in (short, narrow, TABLE, prices, numbers):
        assert take(tmp_path, book(First=first, Second=TABLE), "t.xlsx")[0].sheet == "First"
    assert take(tmp_path, book(First=COVERS["words"], Second=COVERS["entries"]), "t.xlsx")[0].sheet == "First", (
        "no table for sure"
    )


def test_a_sheet_of_blank_texts_is_an_empty_one(tmp_path: Path) -> None:
    for blank in ([[" "]], [[" ", " "]], [[" "]] * 50):
        reading, frame = take(tmp_path, book(Blank=blank, Words=COVERS["words"], Data=TABLE), "t.xlsx")
        assert (reading.sheet, frame.height) == ("Data", len(TABLE) - 1)
        assert take(tmp_path, book(Blank=blank, Words=COVERS["words"]), "t.xlsx")[0].sheet == "Words"
        with pytest.raises(Invalid, match="no sheet with a value"):
            take(tmp_path, book(Blank=blank), "t.xlsx")


def test_a_refused_table_is_not_replaced_by_its_cover_page(tmp_path: Path) -> None:
    cover = [["Report", "x"], ["Author:", "Ann"], ["Made:", "Bob"]]
    data = book(Cover=cover, Data=[list("abcde"), *([number] * 5 for number in range(60))])
    with pytest.raises((Invalid, TooLarge), match="columns"):
        take(tmp_path, data, "t.xlsx", limits=Limits(columns=3))
    assert take(tmp_path, data, "t.xlsx", limits=Limits(columns=3), sheet="Cover")[0].sheet == "Cover"
