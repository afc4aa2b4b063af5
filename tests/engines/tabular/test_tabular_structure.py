"""The lines of a file that are no rows, and lines that do not agree: said once, or refused with the line."""

from pathlib import Path

import pytest

from coreplex.engines.encoding.values import reader
from coreplex.engines.tabular.read import footers
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.types.value_parser import parse_value
from coreplex.errors.tree import BadInput
from tests.engines.tabular.judged import judge, take

BODY = "".join(f"{3 * i % 100},{i * 1.5},city {i % 5}\n" for i in range(60))
TYPES = ["integer", "float", "categorical"]


@pytest.mark.parametrize("line", ["kg,km/h,", "(kg),[km/h],-", "KG,km/h,text"])
def test_a_line_of_units_gives_the_columns_their_unit(tmp_path: Path, line: str) -> None:
    facts, issues = judge(tmp_path, f"weight,speed,place\n{line}\n{BODY}")
    assert [facts[name]["type"] for name in ("weight", "speed", "place")] == TYPES
    assert (facts["weight"]["unit"].lower(), facts["speed"]["unit"], facts["place"]["unit"]) == ("kg", "km/h", None)
    assert ("units_line", None) in issues
    assert not any(kind == "mixed_units" for kind, _ in issues)
    reading, frame = take(tmp_path, f"weight,speed,place\n{line}\n{BODY}")
    assert frame.height == 60
    assert [parse_value(reading.schema.columns[1], raw) for raw in (12.5, "12.5", "12.5 km/h")] == [12.5] * 3


def test_a_line_of_formats_counts_as_one_of_units(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-{i % 28 + 1:02},{i / 3:.2f},{i % 11}\n" for i in range(60))
    facts, issues = judge(tmp_path, f"date,temp,rain\nyyyy-mm-dd,°C,mm\n{rows}")
    assert [facts[name]["type"] for name in ("date", "temp", "rain")] == ["datetime", "float", "integer"]
    assert issues["units_line", None]["evidence"] == {"units": {"temp": "°C", "rain": "mm"}}


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("a,b,c\nAmount,Mean,Place", ["a", "b", "c"]),
        ("Sales,,Town\nn,mean,city", ["Sales / n", "Sales / mean", "Town / city"]),
        ("A,A,B\nlow,mean,of", ["A / low", "A / mean", "B / of"]),
        ("a,b,c\nAmount,Mean,Place\nkg,m,", ["a", "b", "c"]),
    ],
)
def test_a_second_line_of_names_is_no_row(tmp_path: Path, above: str, names: list[str]) -> None:
    reading, frame = take(tmp_path, f"{above}\n{BODY}")
    assert reading.schema.names == names
    assert [column.type.value for column in reading.schema] == TYPES
    assert frame.height == 60
    assert "second_header" in {finding.kind for finding in reading.findings}
    assert ("units_line" in {finding.kind for finding in reading.findings}) is above.endswith("kg,m,")


WIDE = "".join(f"city {i % 5},{i * 1.5},{3 * i % 100},{i * 2},{i % 7}\n" for i in range(40))


@pytest.mark.parametrize(
    "above",
    [
        "region,Sales,,Costs,\n,2019,2020,2019,2020\n",
        "region,Sales,Sales,Costs,Costs\n,2019,2020,2019,2020\n",
        ",Sales,,Costs,\nregion,2019,2020,2019,2020\n",
        ",Sales,Sales,Costs,Costs\n,2019,2020,2019,2020\nregion,,,,\n",
    ],
)
def test_names_below_groups_are_joined_and_said(tmp_path: Path, above: str) -> None:
    """As spreadsheets write them, and pandas for an index of two levels."""
    reading, frame = take(tmp_path, above + WIDE)
    assert reading.schema.names == ["region", "Sales / 2019", "Sales / 2020", "Costs / 2019", "Costs / 2020"]
    assert frame.height == 40
    assert {finding.kind for finding in reading.findings} == {"second_header"}
    words = take(tmp_path, above.replace("2019", "plan").replace("2020", "done") + WIDE)[0]
    assert words.schema.names == ["region", "Sales / plan", "Sales / done", "Costs / plan", "Costs / done"]


@pytest.mark.parametrize("row", ["r1,2019,2020,2021,2022", "r1,1,2,1,2", "r1,2019,2020,2019,2021"])
def test_numbers_below_repeated_names_are_a_row(tmp_path: Path, row: str) -> None:
    assert take(tmp_path, f",a,a,b,b\n{row}\n{WIDE}")[1].height == 41


@pytest.mark.parametrize(
    ("line", "units"),
    [
        (",km/h,kg", ["km/h", "kg"]),
        ("where it was,km/h,kg", ["km/h", "kg"]),
        (",km/h,", ["km/h", None]),
        ("-,km/h,-", ["km/h", None]),
        ("text,[furlongs],kg", ["furlongs", "kg"]),
    ],
)
def test_a_line_of_units_may_have_a_gap_or_a_text(tmp_path: Path, line: str, units: list[str | None]) -> None:
    rows = "".join(f"city {i % 5},{i * 1.5},{3 * i % 100}\n" for i in range(60))
    facts, issues = judge(tmp_path, f"place,speed,weight\n{line}\n{rows}")
    assert [facts[name]["unit"] for name in ("speed", "weight")] == units
    assert ("units_line", None) in issues
    mostly = judge(tmp_path, f"place,speed,weight,long\n,km/h,kg,how long\n{rows.replace(chr(10), f',1{chr(10)}')}")
    assert [mostly[0][name]["unit"] for name in ("speed", "weight", "long")] == ["km/h", "kg", None]


@pytest.mark.parametrize("row", ["unknown,2.5,city 9", "?,-,city 9", "n/a,n/a,city 1", "many,2.5,town", "none,none,none"])
def test_an_odd_first_row_is_a_row(tmp_path: Path, row: str) -> None:
    reading, frame = take(tmp_path, f"a,b,c\n{row}\n{BODY}")
    assert frame.height == 61
    assert not {"second_header", "units_line"} & {finding.kind for finding in reading.findings}


@pytest.mark.parametrize("block", [50, 1 << 22])
def test_blank_lines_are_one_note(tmp_path: Path, block: int) -> None:
    data = "a,b,c\n" + "\n \n".join(BODY.splitlines()) + "\n" * 500
    reading, frame = take(tmp_path, data, limits=Limits(block_bytes=block))
    assert frame.height == 60
    assert [(finding.kind, finding.evidence) for finding in reading.findings] == [("blank_lines", {"lines": 59})]


@pytest.mark.parametrize("blank", ["\n" * 70_000, " \n" * 40_000, "\r\n" * 1_200_000])
def test_a_table_below_many_blank_lines_is_found(tmp_path: Path, blank: str) -> None:
    reading, frame = take(tmp_path, blank + "a,b,c\n" + BODY)
    assert (reading.schema.names, frame.height) == (["a", "b", "c"], 60)
    with pytest.raises(BadInput, match=f"Line {blank.count(chr(10)) + 62}: a quote"):
        take(tmp_path, blank + "a,b,c\n" + BODY + '1,2,"c\n')


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("a,b,c\n1,2\n1,2,3,4\n", 3),
        ("x;y\n1;2;3\n4\n", 2),
        ("a,b,c\n1,2,3,4\n", 2),
        ("a,b,c\n" + "1,2,3\n1,2\n1,2,3,4\n" * 4, 4),
    ],
)
def test_a_short_file_whose_lines_disagree_is_refused_with_the_line(tmp_path: Path, data: str, line: int) -> None:
    with pytest.raises(BadInput, match=f"Line {line} has more cells"):
        take(tmp_path, data)


def test_lines_that_disagree_cost_quality(tmp_path: Path) -> None:
    even = "a,b,c\n" + BODY
    lines = even.splitlines(keepends=True)
    uneven = "".join(line.rpartition(",")[0] + "\n" if i % 4 == 2 else line for i, line in enumerate(lines))
    assert judge(tmp_path, uneven)[1]["short_lines", None]["severity"] == "high"
    few = "a,b,c\n1,2\n3\n4,5,6\n"
    reading, frame = take(tmp_path, few)
    assert frame.shape == (3, 3)
    assert "short_lines" in {finding.kind for finding in reading.findings}
    single = "what was said, in words\n" + "".join(f"one{', two' * (i % 4)}\n" for i in range(40))
    assert judge(tmp_path, single)[1]["separator_unclear", None]["severity"] == "high"
    assert judge(tmp_path, "review\n" + "".join(f"good{', but slow' * (i % 4)} {i}\n" for i in range(40)))[1].keys() == set()


@pytest.mark.parametrize(
    "title",
    [
        "Exported,2024-01-05,\nCustomer:,ACME,\n", "Exported,2024-01-05\nRows,40\n\n", "Sales,,\nExported:,Friday,\n,,\n",
    ],
)  # fmt: skip
def test_a_block_of_titles_above_the_names_is_left_out(tmp_path: Path, title: str) -> None:
    reading, frame = take(tmp_path, f"{title}amount,mean,place\n{BODY}")
    assert (reading.schema.names, frame.height) == (["amount", "mean", "place"], 60)
    assert "preamble_skipped" in {finding.kind for finding in reading.findings}


@pytest.mark.parametrize("first", ["a,5,", "2023,2024,"])
def test_a_row_with_gaps_is_no_title(tmp_path: Path, first: str) -> None:
    assert take(tmp_path, f"{first}\n" + "".join(f"{'bcd'[i % 3]},{i},{i * 3}\n" for i in range(60)))[1].height >= 60


def total(*cells: str) -> str:
    return ",".join(cells) + "\n"


SUMS = (str(sum(3 * i % 100 for i in range(60))), str(sum(i * 1.5 for i in range(60))))
DATED = "".join(f"2024-01-{i % 28 + 1:02},{i * 1.5},city {i % 5}\n" for i in range(60))


@pytest.mark.parametrize("block", [40, 1 << 22])
@pytest.mark.parametrize(
    ("names", "rows", "end", "lines"),
    [
        ("place,n,x\n", "".join(f"city {i % 5},{3 * i % 100},{i * 1.5}\n" for i in range(60)), total("Total", *SUMS), [62]),
        ("n,x,place\n", BODY, "\nSource: Office of statistics, Bern\n", [63]),
        ("n,x,place\n", BODY, "* preliminary,,\n", [62]),
        ("n,x,place\n", BODY, "Summe,90.5,\n", [62]),
        ("day,x,place\n", DATED, "Gesamt:,17,\n\n\nQuelle: Amt\nStand: 2024\n", [62, 65, 66]),
        ("day,x,place\n", DATED, "\nAll values are estimates\n", [63]),
        ("place,n\n", "".join(f"city {i % 5},{3 * i % 100}\n" for i in range(60)), f"Sum,{SUMS[0]}\n", [62]),
    ],
)
def test_totals_and_notes_below_a_table_are_no_rows(
    tmp_path: Path, names: str, rows: str, end: str, lines: list[int], block: int
) -> None:
    for line_end, encoding in (("\n", "utf-8"), ("\r\n", "utf-16"), ("\r", "utf-8")):
        data = (names + rows + end).replace("\n", line_end).encode(encoding)
        reading, frame = take(tmp_path, data, limits=Limits(block_bytes=block))
        said = next(finding for finding in reading.findings if finding.kind == "footer_lines")
        assert (said.evidence["lines"], said.affected_rows) == (lines, len(lines))
        alone = take(tmp_path, (names + rows).replace("\n", line_end).encode(encoding))
        assert frame.equals(alone[1])
        assert reading.schema == alone[0].schema


@pytest.mark.parametrize("line_end", ["\n", "\r"])
def test_notes_are_found_where_only_the_end_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line_end: str) -> None:
    monkeypatch.setattr(footers, "BYTES", 600)
    reading, frame = take(tmp_path, f"n,x,place\n{BODY}Summe,90.5,\n".replace("\n", line_end))
    assert (frame.height, [finding.kind for finding in reading.findings]) == (60, ["footer_lines"])


@pytest.mark.parametrize(
    "end", ["7,5,Total\n", "Totals Inc,5,city 1\n", "7,5,\n", "\n7,5,city 1\n", "7,,\n", "city 2,5,7\n", "many,,\n"]
)
def test_what_may_be_a_row_is_kept(tmp_path: Path, end: str) -> None:
    reading, frame = take(tmp_path, f"n,x,place\n{BODY}{end}")
    assert frame.height == 61
    assert {finding.kind for finding in reading.findings} & {"footer_lines", "total_row"} == set()


def test_a_total_that_does_not_add_up_is_kept_and_said(tmp_path: Path) -> None:
    rows = "place,n,x\n" + "".join(f"city {i % 5},{3 * i % 100},{i * 1.5}\n" for i in range(60))
    reading, frame = take(tmp_path, rows + "Total,5,7\n")
    assert frame.height == 61
    assert [(finding.kind, finding.evidence["line"]) for finding in reading.findings] == [("total_row", 62)]
    assert take(tmp_path, rows.replace("city 3", "Total") + "Total,5,7\n")[0].findings == [], "a level like any other"


@pytest.mark.parametrize("title", ["Quarterly report,,\n,,\n", ",,\n", "Sales of 2024,,\nby region,,\n,,\n\n"])
def test_titles_padded_to_the_width_of_the_table_are_no_names(tmp_path: Path, title: str) -> None:
    reading, frame = take(tmp_path, f"{title}amount,mean,place\n{BODY}")
    assert reading.schema.names == ["amount", "mean", "place"]
    assert [column.type.value for column in reading.schema] == TYPES
    assert frame.height == 60


PARTED = "".join(f"{i}{' ' * (i % 3 + 1)}{20 + i % 7}.5   {'a b' if i % 2 else 'c'!r} {40 + i % 5}\n" for i in range(60)).replace(
    "'", '"'
)


@pytest.mark.parametrize("block", [40, 1 << 22])
@pytest.mark.parametrize(
    ("names", "columns"),
    [("n temp place  hum", ["n", "temp", "place", "hum"]), ("temp place hum", ["column_1", "temp", "place", "hum"])],
)
def test_columns_kept_apart_by_blanks_are_split(tmp_path: Path, names: str, columns: list[str], block: int) -> None:
    for data in (PARTED, PARTED.replace("\n", "  \r\n"), "".join(f"   {line}\n" for line in PARTED.splitlines())):
        reading, frame = take(tmp_path, f"{names}\n{data}", limits=Limits(block_bytes=block))
        assert reading.schema.names == columns
        assert frame.row(1) == (1, 21.5, "a b", 41)
        assert (frame.height, reading.format) == (60, "csv")
        assert "parted_by_blanks" in {finding.kind for finding in reading.findings}


def test_a_tab_before_the_one_text_of_a_row_is_a_blank_like_others(tmp_path: Path) -> None:
    """As in the table of cars and their consumption that many courses use."""
    data = "".join(
        f'{18 + i % 9}.0   {4 + i % 5}   307.{i % 10}  130.0      {3000 + i}.\t"chevrolet no {i % 7}"\n' for i in range(60)
    )
    _, frame = take(tmp_path, data)
    assert frame.shape == (60, 6)
    assert frame.row(3) == (21.0, 7, 307.3, 130, 3003, "chevrolet no 3")


@pytest.mark.parametrize(
    "lines",
    [
        ["note", *[f"{['all is', 'none was'][i % 2]} well {i % 3}" for i in range(60)]],
        ["amount", *[f"{i % 9 + 1} {500 + i}" for i in range(60)]],
        ["amount in francs", *[f"{i % 9 + 1} {500 + i}" for i in range(60)]],
        ["point", *[f"{40 + i / 7:.3f} {7 + i / 9:.3f}" for i in range(60)]],
        ["when", *[f"2024-01-{i % 28 + 1:02} 10:{i:02}:00" for i in range(60)]],
    ],
)
def test_blanks_within_one_column_do_not_part_it(tmp_path: Path, lines: list[str]) -> None:
    reading, frame = take(tmp_path, "\n".join(lines) + "\n")
    assert reading.schema.names == [lines[0]]
    assert frame.height == 60


def test_columns_that_blanks_part_unevenly_are_said(tmp_path: Path) -> None:
    numbers = "time temp hum\n" + "".join(f"{i}   {20 + i % 7}.1 {'' if i == 50 else 40 + i % 5}\n" for i in range(60))
    assert judge(tmp_path, numbers)[1]["separator_unclear", None]["severity"] == "high"
    words = "note\n" + "".join(f"{['all is', 'none was'][i % 2]} well {i % 3}\n" for i in range(60))
    assert ("separator_unclear", None) not in judge(tmp_path, words)[1]


def test_blanks_around_a_class_are_no_part_of_it(tmp_path: Path) -> None:
    """As in the census table: every text after the first column begins with a blank, in rows as in inputs."""
    data = "age, work, income\n" + "".join(
        f"{20 + i % 40}, {('Private', 'Own')[i % 2]}, {('<=50K', '>50K')[i % 3 == 0]}\n" for i in range(90)
    )
    reading, frame = take(tmp_path, data)
    assert reading.schema.names == ["age", "work", "income"]
    assert set(frame["income"]) == {"<=50K", ">50K"}
    assert [(finding.kind, finding.affected_rows, set(finding.evidence["cells"])) for finding in reading.findings] == [
        ("trimmed_blanks", 90, {"work", "income"})
    ]
    income = reader(reading.schema.columns[2])
    assert income(" >50K") == income(">50K ") == income(">50K") == ">50K"
    parquet = take(tmp_path, frame.with_columns(income=" " + frame["income"]))
    assert set(parquet[1]["income"]) == {"<=50K", ">50K"}
    assert "trimmed_blanks" in {finding.kind for finding in parquet[0].findings}


def test_a_short_row_above_a_line_of_units_is_kept(tmp_path: Path) -> None:
    _, frame = take(tmp_path, "a,b,c\n1,2\nkg,m,s\n" + "1,2,3\n4,5,6\n" * 5)
    assert frame.rows()[:3] == [("1", "2", None), ("kg", "m", "s"), ("1", "2", "3")]
    assert frame.height == 12
    reading, frame = take(tmp_path, "a,b,c\nkg,m,s\n1,2\n" + "1,2,3\n4,5,6\n" * 5)
    assert (frame.height, "units_line" in {finding.kind for finding in reading.findings}) == (11, True), (
        "below it, it changes nothing"
    )


@pytest.mark.parametrize("names", ["1940,1945,1950", "16.5,16.75,17.25", "0"])
def test_numbers_are_names_where_the_corner_is_blank(tmp_path: Path, names: str) -> None:
    count = names.count(",") + 1
    lines = [f"item {i}" + "".join(f",{(i + 1) / (j + 2)}" for j in range(count)) for i in range(20)]
    reading, frame = take(tmp_path, "\n".join([f",{names}", *lines]))
    assert reading.schema.names == ["column_1", *names.split(",")]
    assert frame.height == 20
    _, frame = take(tmp_path, "\n".join([f",{names}", *lines, lines[0]]))
    assert frame.height == 22, "rows of one name are no names of rows"


def test_numbered_names_are_names_though_codes_below_look_like_them(tmp_path: Path) -> None:
    lines = [",".join([*(f"{(i * 7 + j * 13) % 256:02x}" for j in range(4)), "yes" if i % 3 else "no"]) for i in range(300)]
    assert any(line.startswith("c0,") for line in lines)
    reading, frame = take(tmp_path, "\n".join(["c0,c1,c2,c3,y", *lines]))
    assert reading.schema.names == ["c0", "c1", "c2", "c3", "y"]
    assert frame.height == 300
