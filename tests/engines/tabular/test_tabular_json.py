"""JSON Lines and JSON arrays: keys are columns, numbers keep their digits, and what is no JSON is refused with its line."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.json_values import Values, written
from coreplex.errors.tree import BadInput, DomainError, Invalid
from tests.engines.tabular.files import kinds, take

ROWS: list[dict[str, Any]] = [
    {"id": "007", "n": 1, "x": 1.5, "flag": True, "where": {"city": "Köln", "at": {"lat": 1.25}}, "tags": ["a", "b"]},
    {"id": "012", "n": 2, "x": None, "flag": False, "where": {"city": "Rome"}, "tags": []},
    {"id": "123", "n": 3, "x": 2.25, "flag": None, "late": "yes"},
    {"id": "030", "n": 4, "x": 7.0, "flag": True, "where": None, "late": "no"},
]
LINES = "\n".join(json.dumps(row) for row in ROWS)
LAYOUTS = {
    "lines": (LINES, "t.jsonl", "jsonl"),
    "lines with blank ones": (LINES.replace("\n", "\r\n\r\n") + "\n\n", "t.ndjson", "jsonl"),
    "array": (json.dumps(ROWS), "t.json", "json"),
    "pretty array": (json.dumps(ROWS, indent=4, ensure_ascii=False), "t.json", "json"),
    "pretty objects": ("\n".join(json.dumps(row, indent=2) for row in ROWS), "t.json", "jsonl"),
    "wrapped": (json.dumps({"meta": {"of": [1, 2]}, "data": ROWS, "next": None}), "t.json", "json"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_layout_is_the_same_table(layout: str, encoding: str, tmp_path: Path) -> None:
    text, name, expected = LAYOUTS[layout]
    reading, frame = take(tmp_path, text.encode(encoding), name)
    assert reading.format == expected
    assert frame.columns == ["id", "n", "x", "flag", "where.city", "where.at", "tags", "late", "where"]
    assert frame["id"].to_list() == ["007", "012", "123", "030"]
    assert frame["n"].to_list() == [1, 2, 3, 4]
    assert frame["x"].to_list() == [1.5, None, 2.25, 7.0]
    assert frame["flag"].to_list() == [True, False, None, True]
    assert frame["where.city"].to_list() == ["Köln", "Rome", None, None]
    assert frame["where.at"].to_list() == ['{"lat": 1.25}', None, None, None]
    assert frame["tags"].to_list() == ['["a", "b"]', "[]", None, None]
    assert frame["late"].to_list() == [None, None, True, False]
    assert "json_text" in kinds(reading)


def test_numbers_keep_their_digits_and_mixtures_are_told(tmp_path: Path) -> None:
    text = (
        '[{"key": 12345678901234567890123, "big": 9007199254740993, "nan": NaN, "inf": 1.0, "mix": 1, "mix": 2},'
        ' {"key": 12345678901234567890124, "big": 9007199254740995, "nan": 2, "inf": Infinity, "mix": "two"}]'
    )
    reading, frame = take(tmp_path, text.encode(), "t.json")
    assert frame["key"].to_list() == ["12345678901234567890123", "12345678901234567890124"]
    assert frame["big"].to_list() == [9007199254740993, 9007199254740995]
    assert frame["nan"].to_list() == [None, 2]
    assert frame["inf"].to_list() == [1.0, float("inf")]
    assert frame["mix"].to_list() == ["2", "two"]
    assert {"not_a_number", "repeated_keys", "mixed_types"} <= kinds(reading)
    assert [finding.column for finding in reading.findings if finding.kind == "mixed_types"] == ["mix"]


REFUSED = {
    "a broken line": ('{"a": 1}\n{"a": 2\n{"a": 3}\n', "began on line 2"),
    "a broken line far below": ("\n".join(['{"a": 1}'] * 5_000 + ['{"a": tru}', '{"a": 1}']), "Line 5001"),
    "an object cut in its value": ('[{"a": 1}, {"a":', "ends in the middle"),
    "an object cut in a text": ('[{"a": "x"}, {"a": "y', "ends in the middle"),
    "a line cut off": ('{"a": 1}\n{"a": 2', "ends in the middle"),
    "an open array": ('[{"a": 1},\n{"a": 2}', "cut off"),
    "an open object": ('[{"a": 1},\n{"a": 2', "Line 2"),
    "no comma": ('[{"a": 1}\n{"a": 2}]', "Line 2"),
    "something behind": ('[{"a": 1}]\n{"a": 2}', "Line 2"),
    "a list for a row": ('[{"a": 1}, [2]]', "a list stands"),
    "values": ("[1, 2, 3]", "a single value"),
    "lists": ("[[1, 2], [3, 4]]", "a list stands"),
    "one object": ('{"a": 1, "b": [1, 2]}', "single object"),
    "two lists": ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "'a', 'b'"),
    "nested without end": ('[{"a": ' + "[" * 100_000, "deeply"),
    "an open string": ('{"a": "x\n' * 3, "Line 1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_table_is_refused_with_its_line(what: str, tmp_path: Path) -> None:
    text, said = REFUSED[what]
    with pytest.raises(BadInput) as caught:
        take(tmp_path, text.encode(), "t.json")
    assert said in caught.value.message, caught.value.message


@pytest.mark.parametrize("text", ["[]", "[{}, {}]", '{"data": []}', '{"a": 1}'])
def test_no_rows_are_refused_but_one_line_is_a_row(text: str, tmp_path: Path) -> None:
    with pytest.raises((Invalid, BadInput)):
        take(tmp_path, text.encode(), "t.json")
    if text == '{"a": 1}':
        assert take(tmp_path, text.encode(), "t.jsonl")[1].rows() == [(1,)]


def test_keys_without_end_are_refused(tmp_path: Path) -> None:
    rows = [{f"user {number}": 1} for number in range(60)]
    with pytest.raises(Invalid, match="different keys"):
        take(tmp_path, json.dumps(rows).encode(), "t.json", limits=Limits(columns=50))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), min_size=1, max_size=8),
    indent=st.sampled_from([None, 1]),
    layout=st.sampled_from(["array", "lines", "wrapped"]),
    size=st.integers(1, 40),
)
def test_records_are_the_same_however_the_text_is_cut(rows: list[Any], indent: int | None, layout: str, size: int) -> None:
    text = json.dumps(rows, indent=indent)
    if layout == "lines":
        text = "\n".join(json.dumps(row, indent=indent) for row in rows)
    if layout == "wrapped" and any(rows) and rows[0]:
        text = json.dumps({"kind": "x", "rows": rows, "more": [1, {"a": [{}]}]}, indent=indent)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = list(Values(iter(pieces), Limits(), lines=layout == "lines").records())
    assert [json.loads(written(record)) for record in found] == rows


def test_any_cut_of_an_array_is_refused(tmp_path: Path) -> None:
    text = json.dumps(ROWS)
    for end in random.Random(1).sample(range(1, len(text)), 40):
        with pytest.raises(DomainError):
            take(tmp_path, text[:end].encode(), "t.json")


def test_many_records_with_a_late_key_are_one_table(tmp_path: Path) -> None:
    text = "\n".join(f'{{"a": {number}, "b": "{"word" * 50}"}}' for number in range(25_000)) + '\n{"a": 1, "late": 2.5}'
    _, frame = take(tmp_path, text.encode(), "t.jsonl")
    assert frame.shape == (25_001, 3)
    assert frame["a"].sum() == sum(range(25_000)) + 1
    assert frame["late"].drop_nulls().to_list() == [2.5]
    assert frame.schema["a"] == pl.Int64


def test_a_cell_beyond_the_csv_modules_own_limit_is_read_and_the_limit_put_back(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = json.dumps([{"a": "x" * (before + 1)}, *({"a": "y", "late": number} for number in range(6_000))])
    _, frame = take(tmp_path, text.encode(), "t.json")
    assert (frame["a"].str.len_chars().max(), frame["late"].null_count()) == (before + 1, 1)
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("value", ["null", "true", "-1.5e3", '"words"', "null\n"])
def test_a_bare_value_is_no_table(tmp_path: Path, value: str) -> None:
    with pytest.raises(Invalid, match="single value"):
        take(tmp_path, value.encode(), "t.json")
