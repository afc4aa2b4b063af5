"""Tables as programs of many kinds write them: databases, shops, banks, loggers, spreadsheets."""

import datetime as dt
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from coreplex.engines.tabular.types.numbers import NumberFormat
from tests.engines.tabular.files import book, kinds
from tests.engines.tabular.files import take as take_file
from tests.engines.tabular.judged import judge, take

START = dt.datetime(2024, 1, 9, 8, 5, 59)  # noqa: DTZ001
MOMENTS = [START + dt.timedelta(days=11 * i, seconds=4321 * i) for i in range(40)]


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("%Y-%m-%d %H:%M:%S+02", 2),  # PostgreSQL
        ("%Y-%m-%d %H:%M:%S.%f-05", -5),
        ("%a, %d %b %Y %H:%M:%S GMT", 0),  # HTTP, mail
        ("%a %b %d %H:%M:%S +0000 %Y", 0),  # X
        ("%a %b %d %H:%M:%S UTC %Y", 0),  # date(1)
    ],
)
def test_moments_with_an_offset_are_read_as_servers_write_them(tmp_path: Path, written: str, hours: int) -> None:
    _, table = take(tmp_path, "value\n" + "".join(f'"{when:{written}}"\n' for when in MOMENTS))
    assert table["value"].to_list() == [when - dt.timedelta(hours=hours) for when in MOMENTS]


@pytest.mark.parametrize("written", ["%Y-%m-%d|%H:%M:%S", "%d.%m.%Y|%H:%M", "%m/%d/%Y|%I:%M %p", "%Y-%m-%d|%H:%M:%S+00"])
@pytest.mark.parametrize("first", [0, 1, 30])
def test_a_day_beside_moments_is_its_midnight(tmp_path: Path, written: str, first: int) -> None:
    day, time = written.split("|")
    alone = [index % 3 == first % 2 if first < 30 else index >= first for index in range(40)]
    when = [f"{moment:{day if bare else f'{day} {time}'}}" for moment, bare in zip(MOMENTS, alone, strict=True)]
    _, table = take(tmp_path, "when,v\n" + "".join(f"{text},{i % 7}\n" for i, text in enumerate(when)))
    seconds = "%S" in time
    expected = [
        moment.replace(hour=0, minute=0, second=0) if bare else moment if seconds else moment.replace(second=0)
        for moment, bare in zip(MOMENTS, alone, strict=True)
    ]
    assert table["when"].to_list() == expected


def test_spans_of_hours_are_no_offsets(tmp_path: Path) -> None:
    _, table = take(tmp_path, "shift\n" + "".join(f"2024-01-{i + 1:02} 10:00-{i % 9 + 11}\n" for i in range(20)))
    assert table["shift"][0] == "2024-01-01 10:00-11"


def test_money_of_many_lands_is_numbers(tmp_path: Path) -> None:
    rows = "".join(f'"{i + 1},{i % 90 + 10},{i + 100}",US${i}.50,"Rs. {i},{i + 100}",{i} Ft\n' for i in range(1, 40))
    facts, _ = judge(tmp_path, f"lakh,dollars,rupees,forint\n{rows}")
    assert [facts[name]["type"] for name in facts] == ["integer", "float", "integer", "integer"]
    assert [facts[name]["unit"] for name in facts] == [None, "US$", "Rs.", "Ft"]
    assert facts["lakh"]["min"] == 2_11_101


@pytest.mark.parametrize("street", ["Broadway", "Street", "Weg", "Ave"])
def test_a_number_before_a_street_is_no_measure(tmp_path: Path, street: str) -> None:
    facts, _ = judge(tmp_path, "where,v\n" + "".join(f"{i % 30} {street},{i % 7}\n" for i in range(60)))
    assert facts["where"]["type"] == "categorical"
    assert facts["where"]["unit"] is None


def test_yes_and_no_in_any_capitals_beside_several_words_for_nothing(tmp_path: Path) -> None:
    said = ["Yes", "yes", "YES", "no", "No", "unknown", "N/A"]
    facts, issues = judge(tmp_path, "flag,v\n" + "".join(f"{said[i % 7]},{i % 5}\n" for i in range(70)))
    assert facts["flag"]["type"] == "boolean"
    assert facts["flag"]["missing_count"] == 20
    assert issues["missing_words", "flag"]["evidence"]["words"] == {"N/A": 10, "unknown": 10}


def test_plates_and_article_numbers_are_ids(tmp_path: Path) -> None:
    rows = "".join(f"B-{'ABC'[i % 3]}W {1000 + 7 * i},{4_006_381_333_900 + 17 * i * i},{i + 1} KG\n" for i in range(60))
    facts, _ = judge(tmp_path, f"plate,ean,weight\n{rows}")
    assert {name: facts[name]["type"] for name in facts} == {"plate": "id", "ean": "id", "weight": "integer"}


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman"])
def test_western_letters_are_told_from_central_european_ones(tmp_path: Path, encoding: str) -> None:
    rows = [f"Orléans,Besançon {i},“très bien” – {i},50 €" for i in range(30)]
    reading, table = take(tmp_path, b"ville,lieu,avis,prix\n" + "\n".join(rows).encode(encoding))
    assert table.row(3) == ("Orléans", "Besançon 3", "“très bien” – 3", 50)
    assert [finding.evidence for finding in reading.findings if finding.kind == "encoding_guessed"] == [{"encoding": encoding}]


def test_columns_of_fixed_width_are_not_one_column_in_silence(tmp_path: Path) -> None:
    rows = "".join(f"{f'n{i}':<10}{20 + i:<4}{('New York', 'Rome')[i % 2]}\n" for i in range(30))
    _, issues = judge(tmp_path, f"NAME      AGE CITY\n{rows}")
    assert issues["separator_unclear", None]["severity"] == "high"
    _, issues = judge(tmp_path, "remark\n" + "".join(f"they said  so {i}\n" for i in range(30)))
    assert ("separator_unclear", None) not in issues


def test_durations_of_a_sheet_are_seconds(tmp_path: Path) -> None:
    out = BytesIO()
    with xlsxwriter.Workbook(out) as made:
        sheet, shown = made.add_worksheet(), made.add_format({"num_format": "[h]:mm:ss"})
        sheet.write_row(0, 0, ["took", "v"])
        for i in range(1, 30):
            sheet.write_datetime(i, 0, dt.timedelta(hours=20 + i, seconds=5), shown)
            sheet.write_number(i, 1, i % 4)
    reading, table = take_file(tmp_path, out.getvalue(), "t.xlsx")
    assert table["took"].to_list() == [(20 + i) * 3600 + 5 for i in range(1, 30)]
    assert NumberFormat.of(reading.schema.columns[0].format).unit == "s"


def test_a_damaged_later_sheet_leaves_the_first_one_readable(tmp_path: Path) -> None:
    entries: list[list[Any]] = [["Author", "Ann"], ["Town", "Bern"], ["Street", "Weg"]]
    sound = book(First=entries, Second=[["a", "b"], *([i, i] for i in range(300))])
    damaged = BytesIO()
    with zipfile.ZipFile(BytesIO(sound)) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[: len(content) // 2] if name.endswith("sheet2.xml") else content)
    assert take_file(tmp_path, sound, "t.xlsx")[0].sheet == "Second"
    reading, table = take_file(tmp_path, damaged.getvalue(), "t.xlsx")
    assert (reading.sheet, table.height) == ("First", 2)
    assert "damaged_sheet" in kinds(reading)
