"""How broken files are read or refused: files of the kinds that people upload, and each kind by itself."""

import contextlib
import csv
import io
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from coreplex.engines.tabular.read.interface import Limits, ReadTable
from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import ColumnType
from coreplex.errors.tree import BadInput, DomainError, Invalid
from tests.factories import dirty

HEADER = ["id", "city", "amount", "late", "signed_on"]


def rows(n: int = 200) -> list[list[Any]]:
    rng = random.Random(1)
    cities = ["Zürich", "Málaga", "São Paulo", "Reykjavík"]
    days = [f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}" for _ in range(n)]
    return [
        [i, rng.choice(cities), round(rng.uniform(10, 9000), 2), rng.random() < 0.3, day] for i, day in enumerate(days, start=1)
    ]


def text(body: list[list[Any]], header: list[str] | None = HEADER, **dialect: Any) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", **dialect)
    if header:
        writer.writerow(header)
    writer.writerows(body)
    return buffer.getvalue()


def take(tmp_path: Path, data: bytes | str, name: str = "table.csv", **more: Any) -> tuple[ReadTable, pl.DataFrame]:
    source = tmp_path / "upload"
    source.write_bytes(data.encode() if isinstance(data, str) else data)
    reading = read_table(source, name, tmp_path / "table.parquet", **more)
    frame = pl.read_parquet(reading.path)
    assert frame.columns == reading.schema.names
    assert frame.height == reading.row_count
    return reading, frame


def kinds(reading: ReadTable) -> set[str]:
    return {finding.kind for finding in reading.findings}


def types(reading: ReadTable) -> dict[str, str]:
    return {column.name: column.type.value for column in reading.schema}


USUAL = {"id": "id", "city": "categorical", "amount": "float", "late": "boolean", "signed_on": "datetime"}


@pytest.mark.parametrize("name", dirty.files())
def test_every_dirty_file_is_read_or_refused_as_expected(name: str, tmp_path: Path) -> None:
    expected = dirty.files()[name]
    if expected.status is None:
        with contextlib.suppress(DomainError):
            take(tmp_path, expected.content, name)
    elif expected.status == 201:
        reading, _ = take(tmp_path, expected.content, name)
        expected.check(201, reading.row_count, reading.schema.names)
    else:
        with pytest.raises(DomainError) as refused:
            take(tmp_path, expected.content, name)
        expected.check(refused.value.status)


def test_the_usual_columns_get_their_types(tmp_path: Path) -> None:
    reading, frame = take(tmp_path, text(rows()))
    assert types(reading) == USUAL
    assert not reading.findings
    assert frame.row(0)[0] == 1
    late = reading.schema.get("late")
    assert late is not None
    assert late.labels == {"true": "True", "false": "False"}


@pytest.mark.parametrize(
    ("data", "width"),
    [
        (b"\xef\xbb\xbf" + text(rows()).encode(), 5),
        (text(rows()).encode("utf-16"), 5),
        (text(rows()).encode("utf-16-le"), 5),
        (text(rows()).encode("utf-32"), 5),
        (text(rows(), delimiter="\t").encode(), 5),
        (text(rows(), delimiter="|").replace("\n", "\r\n").encode(), 5),
        (text(rows(), delimiter=";").replace("\n", "\r").encode(), 5),
        (("sep=;\n" + text(rows(), delimiter=";")).encode(), 5),
        (text(rows(), quoting=csv.QUOTE_ALL).encode(), 5),
        (text(rows(), quotechar="'", quoting=csv.QUOTE_ALL).encode(), 5),
        ((text(rows()) + "\n\n\n").encode(), 5),
        (text(rows()).rstrip("\n").encode(), 5),
    ],
)
def test_encodings_and_dialects(tmp_path: Path, data: bytes, width: int) -> None:
    reading, frame = take(tmp_path, data)
    assert types(reading) == USUAL
    assert frame.shape == (200, width)
    assert frame["city"].to_list() == [row[1] for row in rows()]
    assert frame["amount"].to_list() == [row[2] for row in rows()]


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("latin-1", ["Málaga", "Zürich", "São Paulo"]),
        ("cp1251", ["Москва", "Казань", "Новосибирск"]),
        ("cp1250", ["Łódź", "Kraków", "Gdańsk", "Wrocław", "gęślą jaźń"]),
        ("cp1250", ["Příbram", "Žďár nad Sázavou", "Plzeň", "Děčín", "Třebíč"]),
        ("cp1250", ["Győr", "Székesfehérvár", "Kőszeg", "Fűzfő"]),
        ("iso8859_2", ["Łódź", "Gdańsk", "Żagań", "Świdnica", "Dąbrowa"]),
        ("cp1254", ["İstanbul", "Iğdır", "Şanlıurfa", "Muğla", "Çankırı"]),
        ("cp1252", ["Tromsø", "Ålesund", "Bodø"]),
        ("cp1252", ["São João", "Guimarães", "Évora", "Setúbal"]),
        ("cp1252", ["Zürich", "Genève", "Málaga", "São Paulo", "Ærø"]),
        ("cp1252", ["Åre", "Malmö", "Gävle", "L'Haÿ-les-Roses"]),
        ("shift_jis", ["東京です", "大阪のまち", "田中さん"]),
    ],
)
def test_letters_of_old_encodings(tmp_path: Path, encoding: str, words: list[str]) -> None:
    body = [[i, words[i % len(words)]] for i in range(200)]
    reading, frame = take(tmp_path, text(body, ["id", "town"]).encode(encoding))
    assert frame["town"].to_list() == [row[1] for row in body]
    assert "encoding_guessed" in kinds(reading)


def test_one_wrong_byte_in_utf8_is_reported_with_its_line(tmp_path: Path) -> None:
    data = text(rows()).encode().replace("Málaga".encode(), b"M\xe1laga", 1)
    reading, frame = take(tmp_path, data)
    assert "encoding_errors" in kinds(reading)
    assert frame.height == 200


def test_decimal_comma(tmp_path: Path) -> None:
    body = [[a, b, str(c).replace(".", ","), d, e] for a, b, c, d, e in rows()]
    reading, frame = take(tmp_path, text(body, delimiter=";").encode("latin-1"))
    assert types(reading) == USUAL
    assert frame["amount"].to_list() == [row[2] for row in rows()]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["$ 1,234.50", "$ 20.00", "-$3.10"], [1234.5, 20.0, -3.1]),
        (["1.234,50 €", "3,10 €"], [1234.5, 3.1]),
        (["1'234.50", "7.25"], [1234.5, 7.25]),
        (["1 234,5", "2,5"], [1234.5, 2.5]),
        (["12 %", "3.5 %"], [12.0, 3.5]),
        (["(12.50)", "3.00"], [-12.5, 3.0]),
        (["1e5", "-inf", "2.5E-3"], [1e5, float("-inf"), 2.5e-3]),
        (["1,234,567", "1,234"], [1234567, 1234]),
    ],
)
def test_numbers_as_people_write_them(tmp_path: Path, cells: list[str], values: list[float]) -> None:
    body = [[f"row {i % 7} here", cells[i % len(cells)]] for i in range(60)]
    _, frame = take(tmp_path, text(body, ["label", "value"], delimiter="\t"))
    assert frame["value"].to_list() == [values[i % len(values)] for i in range(60)]


@pytest.mark.parametrize("code", ["007", "00123", "+41791234567", "12345678901234567890123"])
def test_codes_keep_their_zeros_and_digits(tmp_path: Path, code: str) -> None:
    body = [[i, code if i % 3 else f"{code[:-1]}8"] for i in range(60)]
    _, frame = take(tmp_path, text(body, ["n", "code"]))
    assert frame["code"].to_list() == [row[1] for row in body]


def test_a_code_far_down_the_file_makes_the_column_text(tmp_path: Path) -> None:
    body = [[i % 5, i % 1000] for i in range(60_000)] + [[1, "0042"]]
    reading, frame = take(tmp_path, text(body, ["a", "code"]))
    assert frame["code"].to_list() == [str(row[1]) for row in body]
    assert types(reading)["code"] == "categorical"


def test_a_float_far_down_the_file_makes_the_column_float(tmp_path: Path) -> None:
    body: list[list[Any]] = [[i % 5, i] for i in range(60_000)]
    _, frame = take(tmp_path, text([*body, [1, 0.5]], ["a", "value"]))
    assert frame["value"].dtype == pl.Float64
    assert frame["value"][-1] == 0.5


def test_missing_words(tmp_path: Path) -> None:
    words = ["NA", "n/a", "?", "-", " ", "NULL", "None", "", "#N/A", "nan"]
    body = [[i, words[i % 10] if i % 3 == 0 else i / 2] for i in range(1, 200)]
    _, frame = take(tmp_path, text(body, ["id", "amount"]))
    assert frame["amount"].dtype == pl.Float64
    assert frame["amount"].to_list() == [None if i % 3 == 0 else i / 2 for i in range(1, 200)]


@pytest.mark.parametrize(
    ("yes", "no"), [("yes", "no"), ("True", "False"), ("ja", "nein"), ("Y", "N"), ("sí", "no"), ("oui", "non"), ("T", "F")]
)
def test_booleans_remember_their_spelling(tmp_path: Path, yes: str, no: str) -> None:
    reading, frame = take(tmp_path, text([[i, yes if i % 3 else no] for i in range(50)], ["n", "flag"]))
    flag = reading.schema.get("flag")
    assert flag is not None
    assert flag.type is ColumnType.boolean
    assert flag.labels == {"true": yes, "false": no}
    assert frame["flag"].to_list() == [bool(i % 3) for i in range(50)]


def test_zero_and_one_stay_integers(tmp_path: Path) -> None:
    reading, _ = take(tmp_path, text([[f"t{i % 4}", i % 2] for i in range(50)], ["name", "target"]))
    assert types(reading)["target"] == "integer"


@pytest.mark.parametrize(
    ("pattern", "note"),
    [("%d/%m/%Y", False), ("%m/%d/%Y", False), ("%d.%m.%Y", False), ("%Y-%m-%dT%H:%M:%SZ", False), ("%d %b %Y", False)],
)
def test_dates(tmp_path: Path, pattern: str, note: bool) -> None:
    days = pl.datetime_range(pl.datetime(2023, 1, 1), pl.datetime(2024, 3, 1), "1d", eager=True).shuffle(seed=1)
    body = [[i, day] for i, day in enumerate(days.dt.strftime(pattern).to_list())]
    reading, frame = take(tmp_path, text(body, ["n", "when"]))
    assert frame["when"].cast(pl.Date).to_list() == days.dt.date().to_list()
    assert ("ambiguous_dates" in kinds(reading)) is note


@pytest.mark.parametrize(("offset", "note"), [("+02:00", True), ("-0530", True), ("+00:00", False), ("Z", False), ("", False)])
def test_a_local_clock_that_becomes_utc_is_said(tmp_path: Path, offset: str, note: bool) -> None:
    body = [[i % 9, f"2024-01-{i % 28 + 1:02d}T10:00:00{offset}"] for i in range(60)]
    reading, frame = take(tmp_path, text(body, ["n", "when"]))
    assert frame["when"].dtype == pl.Datetime("us")
    assert ("converted_type" in kinds(reading)) is note


def test_dates_that_can_be_read_both_ways_are_reported(tmp_path: Path) -> None:
    body = [[i, f"{i % 12 + 1:02d}/{(7 * i) % 12 + 1:02d}/2024"] for i in range(60)]
    reading, _ = take(tmp_path, text(body, ["n", "when"]))
    assert "ambiguous_dates" in kinds(reading)


def test_an_impossible_date_keeps_the_column_as_text(tmp_path: Path) -> None:
    body = [[i, "2024-02-30" if i == 150 else f"2024-03-{i % 28 + 1:02d}"] for i in range(200)]
    reading, frame = take(tmp_path, text(body, ["n", "when"]))
    assert frame["when"][150] == "2024-02-30"
    assert types(reading)["when"] == "categorical"


def test_no_names_loses_no_row(tmp_path: Path) -> None:
    reading, frame = take(tmp_path, text(rows(), header=None))
    assert frame.height == 200
    assert reading.schema.names == [f"column_{i}" for i in range(1, 6)]
    assert "header_missing" in kinds(reading)


def test_years_are_names(tmp_path: Path) -> None:
    body = [[f"land {i}", i / 7, i / 3, i / 9] for i in range(30)]
    reading, frame = take(tmp_path, text(body, ["country", "2019", "2020", "2021"]))
    assert reading.schema.names == ["country", "2019", "2020", "2021"]
    assert frame.height == 30


def test_names_are_made_unique_and_short(tmp_path: Path) -> None:
    reading, _ = take(tmp_path, text(rows(), header=["id", "amount", "amount", "", "i" * 400]))
    assert reading.schema.names == ["id", "amount", "amount_2", "column_4", "i" * 256]
    assert "renamed_columns" in kinds(reading)
    renamed = reading.schema.get("amount_2")
    assert renamed is not None
    assert renamed.original_name == "amount"


def test_no_name_is_a_pattern_of_names(tmp_path: Path) -> None:
    reading, frame = take(tmp_path, text(rows(), header=["id", "*", "^.*$", "^^i$$", "^a"]))
    assert reading.schema.names == frame.columns == ["id", "column_2", ".*", "i", "^a"]
    assert reading.findings[0].evidence["renamed"] == {"column_2": "*", ".*": "^.*$", "i": "^^i$$"}


def test_ragged_rows_are_reported_with_their_lines(tmp_path: Path) -> None:
    data = text(rows(100)) + "1,2\n1,2,3,4,5,6,7,8\n" + text(rows(100), header=None)
    reading, frame = take(tmp_path, data)
    evidence = {finding.kind: finding.evidence["lines"] for finding in reading.findings}
    assert evidence == {"short_lines": [102], "bad_lines": [103]}
    assert frame.height == 201


def test_a_wrong_width_everywhere_is_refused_with_the_line(tmp_path: Path) -> None:
    data = text(rows(100)) + "1,2,3,4,5,6,7,8\n" * 30
    with pytest.raises(BadInput, match="Line 102"):
        take(tmp_path, data)


def test_quotes_inside_cells(tmp_path: Path) -> None:
    lines = ["n,size,note"] + [f'{i},{i}" wide,it said "{i}" here' for i in range(100)]
    reading, frame = take(tmp_path, "\n".join(lines) + "\n")
    assert frame["size"].to_list() == [f'{i}" wide' for i in range(100)]
    assert "misplaced_quotes" in kinds(reading)


def test_quoted_line_ends_and_separators(tmp_path: Path) -> None:
    body = [[i, f'{i}\r\n"old",\n town'] for i in range(300)]
    _, frame = take(tmp_path, text(body, ["n", "where"]))
    assert frame["where"].to_list() == [row[1] for row in body]


def test_titles_above_the_table_are_skipped_and_reported(tmp_path: Path) -> None:
    reading, frame = take(tmp_path, "Report of March\n\n" + text(rows()))
    assert frame.height == 200
    assert types(reading) == USUAL
    assert "preamble_skipped" in kinds(reading)


def test_row_names_of_r(tmp_path: Path) -> None:
    body = [[f"r{i}", i, i / 2] for i in range(30)]
    reading, frame = take(tmp_path, text(body, ["a", "b"]))
    assert reading.schema.names == ["column_1", "a", "b"]
    assert frame.height == 30


def test_one_column_keeps_its_gaps(tmp_path: Path) -> None:
    _, frame = take(tmp_path, "only\n1\n\n2\n3\n\n\n")
    assert frame["only"].to_list() == [1, None, 2, 3]


@pytest.mark.parametrize("data", ["", "a,b,c\n", "a,b,c", "\n\n", "   \n", "\ufeff"])
def test_nothing_to_read_is_422(tmp_path: Path, data: str) -> None:
    with pytest.raises(Invalid):
        take(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (random.Random(3).randbytes(5000), "a.csv"),
        (bytes(b for b in random.Random(3).randbytes(5000) if b), "a.csv"),
        (text(rows()).encode()[:500] + b"\0" * 20 + text(rows()).encode()[500:], "a.csv"),
        (b"PK\x03\x04 not really", "a.csv"),
        (b"PK\x03\x04 not really", "a.xlsx"),
        (b"{}", "a.json"),
        (b"\x1f\x8b\x08\x00", "a.csv"),
        (b"PAR1" + b"garbage" * 50 + b"PAR1", "a.parquet"),
        (b"PAR1" + b"garbage" * 50 + b"PAR1", "a.csv"),
        (text(rows()).encode() + b'201,"never closed,1,True,2024-01-01\n', "a.csv"),
        (text(rows()).encode("utf-16")[:-1001], "a.csv"),
    ],
)
def test_what_is_no_table_is_400(tmp_path: Path, data: bytes, name: str) -> None:
    with pytest.raises(BadInput):
        take(tmp_path, data, name)


def test_limits(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="columns"):
        take(tmp_path, text([[1] * 30], [f"c{i}" for i in range(30)]), limits=Limits(columns=20))
    with pytest.raises(Invalid, match="rows"):
        take(tmp_path, text(rows()), limits=Limits(rows=100))
    with pytest.raises(BadInput, match="does not end"):
        take(tmp_path, 'a,b\n1,"' + "x" * 9_000_000, limits=Limits(line_bytes=1 << 20))


def test_ordered_types(tmp_path: Path) -> None:
    wanted = {
        "id": ColumnType.integer,
        "amount": ColumnType.categorical,
        "city": ColumnType.text,
        "late": ColumnType.categorical,
        "signed_on": ColumnType.text,
    }
    reading, frame = take(tmp_path, text(rows()), overrides=wanted)
    assert types(reading) == {name: kind.value for name, kind in wanted.items()}
    assert frame["amount"].to_list() == [str(row[2]) for row in rows()]
    assert frame["late"][0] in ("True", "False")


def test_a_type_that_does_not_fit_says_what_is_lost(tmp_path: Path) -> None:
    body = [[i, "see note" if i % 50 == 7 else i / 2] for i in range(200)]
    reading, frame = take(tmp_path, text(body, ["n", "value"]), overrides={"value": ColumnType.float})
    finding = next(finding for finding in reading.findings if finding.kind == "mixed_types")
    assert finding.affected_rows == 4
    assert frame["value"].null_count() == 4
    with pytest.raises(Invalid, match="no column"):
        take(tmp_path, text(body, ["n", "value"]), overrides={"nothing": ColumnType.float})


def test_a_thousand_columns(tmp_path: Path) -> None:
    body = [[i * j % 97 for j in range(1500)] for i in range(60)]
    reading, frame = take(tmp_path, text(body, [f"f{j}" for j in range(1500)]))
    assert frame.shape == (60, 1500)
    assert frame.rows() == [tuple(row) for row in body]
    assert types(reading)["f7"] == "integer"
