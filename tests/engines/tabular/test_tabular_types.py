"""What columns are: numbers with a unit, days written as eight digits, addresses and geometries, keys and counters."""

import random
import uuid
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha1
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.engines.tabular.types.inference import Conventions, infer
from coreplex.engines.tabular.types.numbers import NumberFormat, real
from coreplex.engines.tabular.types.value_parser import parse_value
from tests.engines.scoring_samples import encode_row
from tests.engines.tabular.judged import judge, take

ROWS = 120
RANDOM = random.Random(7)


def lines(name: str, cells: Sequence[Any]) -> str:
    quoted = (f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in cells)
    return f"group;{name}\n" + "".join(f"g{i % 7};{cell}\n" for i, cell in enumerate(quoted))


def column(tmp_path: Path, cells: Sequence[Any], name: str = "value", **more: Any) -> tuple[Column, list[Any]]:
    reading, frame = take(tmp_path, lines(name, cells), **more)
    return reading.schema.columns[1], frame.get_column(name).to_list()


def spread(*cells: Any) -> list[Any]:
    return [cells[i % len(cells)] for i in range(ROWS)]


@pytest.mark.parametrize(
    ("cells", "values", "unit"),
    [
        (["0 kg", "12 kg", "7.5 kg"], [0, 12, 7.5], "kg"),
        (["12 km/h", "7 km/h"], [12, 7], "km/h"),
        (["5%", "7.5%"], [5, 7.5], "%"),
        (["$3.50", "$1,204.00", "-$2.25"], [3.5, 1204, -2.25], "$"),
        (["12 500 €", "7,50 €"], [12500, 7.5], "€"),
        (["1 year", "2 years", "10 years"], [1, 2, 10], "years"),
        (["36 months", "60 months"], [36, 60], "months"),
        (["25°C", "-3°C"], [25, -3], "°C"),
        (["9.5 L/100km", "11 L/100km"], [9.5, 11], "L/100km"),
        (["0", "55 m2", "70 m2"], [0, 55, 70], "m2"),
        (["1.5M", "2M"], [1.5, 2], "M"),
        (["$345K", "$1.2M", "$900"], [345_000, 1_200_000, 900], "$"),
        (["€110,5 Mio.", "€1.565 Tsd.", "€0"], [110_500_000, 1_565_000, 0], "€"),
        (["1.2 bn USD", "-300K USD"], [1_200_000_000, -300_000], "USD"),
        (["€−5.00", "€7.10"], [-5, 7.1], "€"),
        (["€ 1.234,50-", "€ 12,00"], [-1234.5, 12], "€"),
        (["3 bedrooms", "5 bedrooms", "1 bedroom"], [3, 5, 1], "bedrooms"),
    ],
)
def test_numbers_with_a_unit(tmp_path: Path, cells: list[str], values: list[float], unit: str) -> None:
    facts, issues = judge(tmp_path, lines("value", spread(*cells)))
    assert facts["value"]["unit"] == unit
    assert facts["value"]["type"] in ("integer", "float")
    assert not issues.keys() - {("high_correlation", "value"), ("missing_values", "value"), ("duplicate_rows", None)}
    found, read = column(tmp_path, spread(*cells))
    assert read == spread(*values)
    # Inputs may be written as the file is, or plainly; another unit is no value of this column.
    assert [parse_value(found, cell) for cell in (*cells, 12, "12")] == [*values, 12, 12]
    assert parse_value(found, "5 furlongs") is None


def test_several_units_are_not_merged_and_said(tmp_path: Path) -> None:
    for cells in (["5 kg", "500 g", "7 kg"], ["$3", "€4", "$5"], ["15k", "300m", "25k"]):
        facts, issues = judge(tmp_path, lines("value", spread(*cells)))
        assert (facts["value"]["type"], facts["value"]["unit"]) == ("categorical", None)
        issue = issues["mixed_units", "value"]
        assert issue["severity"] == "medium"
        assert len(issue["evidence"]["format"]) == 2
    reading, frame = take(tmp_path, lines("value", spread("5 kg", "500 g", "7 kg")), overrides={"value": ColumnType.float})
    assert frame["value"].to_list() == spread(5, None, 7), "ordered as a number: the commonest unit"
    assert "mixed_types" in {finding.kind for finding in reading.findings}


def test_a_number_without_its_unit_is_taken_and_said(tmp_path: Path) -> None:
    facts, issues = judge(tmp_path, lines("value", [*spread("5 kg", "7 kg", "0"), "9"]))
    assert facts["value"]["unit"] == "kg"
    assert issues["mixed_units", "value"]["affected_rows"] == 1, "zero is zero in every unit"


@pytest.mark.parametrize(
    "cells",
    [
        ["1st", "2nd", "3rd"],
        ["3 PM", "11 AM"],
        ["12 Main St", "7 Park Ave"],
        ["12 Main St", "7 Main St", "130 Main St"],
        ["(1)", "(2)", "(3)"],
        ["1-", "2", "3-"],
        ["10,000+", "5,000+"],
        ["3–5", "4–6"],
        ["12A", "12B"],
        ["1", "2", "3 or more"],
        ["4WD", "x"],
    ],
)
def test_what_only_begins_with_a_number_stays_text(tmp_path: Path, cells: list[str]) -> None:
    facts, issues = judge(tmp_path, lines("value", spread(*cells)))
    assert facts["value"]["type"] == "categorical"
    assert ("mixed_units", "value") not in issues


def test_what_follows_a_house_number_is_no_unit(tmp_path: Path) -> None:
    assert column(tmp_path, spread("12 Broadway", "7 Broadway"), "address")[0].dtype == "string"


@pytest.mark.parametrize("minus", ["−{}", "–{}", "-{}", "({})", "{}-", "{}−"])
@settings(max_examples=25, deadline=None)
@given(st.lists(st.decimals(-(10**9), 10**9, places=2), min_size=2, max_size=20).filter(lambda found: len(set(found)) > 1))
def test_a_number_is_below_zero_however_its_minus_is_written(minus: str, values: list[Decimal]) -> None:
    cells = [minus.format(f"{abs(value):,}") if value < 0 else f"{value:,}" for value in [*values, Decimal("12.50")]]
    texts = pl.Series(cells, dtype=pl.String)
    rule = infer("value", texts.unique(maintain_order=True), Conventions()).rule
    assert rule.kind == "float"
    assert rule.typed(texts).to_list() == [*map(float, values), 12.5]
    assert [real(cell, NumberFormat.of(rule.format)) for cell in cells] == [*map(float, values), 12.5]


@pytest.mark.parametrize(
    ("name", "cells", "days"),
    [
        ("date", ["20190101", "20191231"], ["2019-01-01", "2019-12-31"]),
        ("sale_dt", ["10142018", "01032019"], ["2018-10-14", "2019-01-03"]),
        ("dob", [14102018, 3012019], ["2018-10-14", "2019-01-03"]),
        ("Day", ["31121999", "01012000"], ["1999-12-31", "2000-01-01"]),
    ],
)
def test_eight_digits_are_days_where_name_and_range_say_so(tmp_path: Path, name: str, cells: list[Any], days: list[str]) -> None:
    found, read = column(tmp_path, spread(*cells), name)
    assert found.type is ColumnType.datetime
    assert [str(day) for day in read] == spread(*days)
    for number in (int, float):
        assert [str(parse_value(found, number(cell))) for cell in cells] == days, "programs send them as numbers"
    assert [parse_value(found, raw) for raw in (float("nan"), float("inf"), 1e300, 20190101.5)] == [None] * 4


def test_eight_digits_are_numbers_elsewhere(tmp_path: Path) -> None:
    for name, cells in (("amount", [20190101, 20191231]), ("date_code", [20191301, 20199999]), ("date", [99999999, 20190101])):
        assert column(tmp_path, spread(*cells), name)[0].type is ColumnType.integer


def urls(hosts: int) -> list[str]:
    return [f"https://www.site{i % hosts}.org/{RANDOM.choice(['news', 'shop'])}/item-{i}?x={i}" for i in range(ROWS)]


def iban(account: str) -> str:
    """A German one: the check digits are those that make the number 1 modulo 97 (ISO 13616)."""
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


FORMS: dict[str, tuple[list[str], str]] = {
    "url": (urls(3), "text"),
    "email": ([f"person{i}.{i % 5}@{'mail' if i % 3 else 'firm'}.example" for i in range(ROWS)], "text"),
    "wkt": ([f"POINT ({i / 7:.4f} {40 - i / 9:.3f})" for i in range(ROWS)], "text"),
    "point": ([f"({40 + i / 7:.5f}, -{74 + i / 9:.5f})" for i in range(ROWS)], "text"),
    "pair": ([f"{40 + i / 7:.5f}, -{74 + i / 9:.5f}" for i in range(ROWS)], "text"),
    "iban": ([iban(f"{i:018}") for i in range(ROWS)], "id"),
    "uuid": ([str(uuid.UUID(int=RANDOM.getrandbits(128))) for _ in range(ROWS)], "id"),
    "hash": ([sha1(str(i).encode(), usedforsecurity=False).hexdigest() for i in range(ROWS)], "id"),
}


@pytest.mark.parametrize("form", FORMS)
def test_texts_of_a_form_of_their_own(tmp_path: Path, form: str) -> None:
    cells, kind = FORMS[form]
    form = "point" if form == "pair" else form
    facts = judge(tmp_path, lines("value", cells))[0]["value"]
    assert (facts["form"], facts["type"]) == (form, kind)
    repeated = judge(tmp_path, lines("value", [cells[i % 4] for i in range(ROWS)]))[0]["value"]
    assert (repeated["form"], repeated["type"]) == (form, "text" if form in ("wkt", "point") else "categorical")
    almost = judge(tmp_path, lines("value", [*cells, "no such thing"]))[0]["value"]
    assert almost["form"] is None


@pytest.mark.parametrize("kind", ["tree", "dense"])
def test_models_read_forms_by_what_they_say(tmp_path: Path, kind: Any) -> None:
    cells = {form: FORMS[form][0] for form in ("url", "email", "wkt", "point")}
    cells["shape"] = [f"POLYGON (({i} 0, {i + 2} 0, {i} {i % 5}, {i} 0))" for i in range(ROWS)]
    data = ";".join(cells) + "\n" + "".join(";".join(row) + "\n" for row in zip(*cells.values(), strict=True))
    reading, frame = take(tmp_path, data)
    target = np.array([i % 2 for i in range(ROWS)])
    encoder = Encoder.fit(frame, reading.schema.columns, target, kind=kind, task="binary")
    names = " ".join(encoder.names)
    assert all(part in names for part in ("host of url", "email", "wkt:x", "wkt:y", "point:x", "shape:width", "shape:height"))
    again = Encoder.from_json(*encoder.to_json())
    rows = frame.to_dicts()
    rows += [dict.fromkeys(cells), dict.fromkeys(cells, "nothing of the kind"), {"wkt": "SRID=4326;POINT Z (1 2 3)"}]
    matrix = [encode_row(again, row)[0] for row in rows]
    np.testing.assert_array_equal(matrix[:ROWS], encoder.transform(frame))
    if kind == "tree":
        place = encoder.names.index("wkt:x")
        assert matrix[-1][place : place + 2] == [1.0, 2.0]
        assert matrix[7][encoder.names.index("shape:height")] == 2.0
    assert any(warning["kind"] == "unseen_category" for warning in encode_row(encoder, {**rows[0], "email": "a@new.example"})[1])


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("n", range(1, ROWS + 1)),
        ("n", range(5001, 5001 + ROWS)),
        ("row_no", RANDOM.sample(range(300, 300 + ROWS), ROWS)),
        ("passengerId", RANDOM.sample(range(1, 1000), ROWS)),
        ("id", [f"{i}.0" for i in RANDOM.sample(range(1, 1000), ROWS)]),
        ("customer", [f"CUST-{i:05}" for i in RANDOM.sample(range(1000), ROWS)]),
        ("Ticket", [f"No {i}" for i in RANDOM.sample(range(1000), ROWS)]),
        ("member_id", [*RANDOM.sample(range(1000), ROWS - 2), "", ""]),
    ],
)
def test_one_identifier_per_row_is_an_id_whatever_its_form(tmp_path: Path, name: str, cells: Sequence[Any]) -> None:
    found, _ = column(tmp_path, cells, name)
    assert found.type is ColumnType.id
    assert found.reason


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("price", [round(RANDOM.uniform(1, 1000), 4) for _ in range(ROWS)]),
        ("income", RANDOM.sample(range(10_000, 90_000), ROWS)),
        ("rank", RANDOM.sample(range(1, ROWS + 1), ROWS)),
        ("words", [" ".join(f"w{RANDOM.randrange(5000)}" for _ in range(6)) for _ in range(ROWS)]),
        ("note", [f"moved {i} chairs and {i * 7} tables" for i in range(ROWS)]),
        ("year", range(1900, 1900 + ROWS)),
        ("when", [f"2024-01-01T{i // 60:02}:{i % 60:02}:07" for i in range(ROWS)]),
        ("id_score", [i + 0.5 for i in range(ROWS)]),
        ("weight", [f"{i}.0" for i in RANDOM.sample(range(1000), ROWS)]),
        ("review", [f"it was {RANDOM.choice(['good', 'bad'])} the day {i} that we came" for i in range(ROWS)]),
    ],
)
def test_what_merely_differs_in_every_row_is_no_id(tmp_path: Path, name: str, cells: Sequence[Any]) -> None:
    assert column(tmp_path, cells, name)[0].type is not ColumnType.id


def test_a_column_of_numbers_with_a_unit_and_an_odd_cell_says_so(tmp_path: Path) -> None:
    facts, issues = judge(tmp_path, lines("value", [*spread("5 kg", "1,207.5 kg"), "heavy"]))
    assert facts["value"]["type"] == "categorical"
    assert issues["mixed_types", "value"]["evidence"]["examples"] == ["heavy"]
