"""What is missing in a column: the words that always are, those that are a category beside words, and what a person says."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.automl.holdout import _table
from coreplex.engines.encoding.values import canonical_series
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.engines.tabular.types import vocabulary
from coreplex.engines.tabular.types.parse_rule import ParseRule, ValueKind
from coreplex.engines.tabular.types.value_parser import means_missing, parse_value
from coreplex.errors.tree import Invalid
from tests.engines.tabular.judged import Data, take

DTYPES = {"string": "string", "boolean": "bool", "integer": "int64", "float": "float64", "datetime": "date"}


def written(*cells: str, rows: int = 60) -> str:
    return "n\tvalue\n" + "".join(f"{i}\t{cells[i % len(cells)]}\n" for i in range(rows))


def values(tmp_path: Path, data: Data, count: int, **more: Any) -> tuple[Column, list[Any]]:
    """The column and its first `count` values; what is stored is what a row sent to a model reads as."""
    reading, table = take(tmp_path, data, **more)
    column = reading.schema.get("value")
    assert column is not None
    assert TableSchema.from_json(reading.schema.to_json()) == reading.schema
    assert canonical_series(table["value"], column).null_count() == table["value"].null_count()
    return column, table["value"].to_list()[:count]


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["Attchd", "None", "NA", "n/a", "unknown"], ["Attchd", "None", "NA", "n/a", "unknown"]),
        (["Attchd", "?", "-", ".", "", "NULL", "NaN", "#N/A", "\\N"], ["Attchd", *[None] * 8]),
        (["+", "-", "?", ""], ["+", "-", None, None]),
        (["1.5", "NA", "unknown", "None", "?"], [1.5, None, None, None, None]),
        (["2024-01-31", "Not Available", "none"], [dt.date(2024, 1, 31), None, None]),
        (["yes", "no", "NA", "None"], [True, False, None, None]),
        (["yes", "no", "unknown"], ["yes", "no", "unknown"]),
        (["yes", "no", "None", "NA", "unknown"], [True, False, None, None, None]),
        (["Y", "N", "n/a", "Missing"], [True, False, None, None]),
        (["male", "female", "NA", "unknown"], ["male", "female", None, None]),
        (["male", "female", "NA", "n/a"], ["male", "female", "NA", "n/a"]),
        (["red", "green", "blue", "NA", "unknown"], ["red", "green", "blue", "NA", "unknown"]),
        (["007", "012", "NA", "unknown"], ["007", "012", None, None]),
        (["NA", "None", "?", ""], [None, None, None, None]),
        (["1", "2", "see note", "3", "NA"], ["1", "2", "see note", "3", None]),
    ],
    ids=lambda cells: " ".join(map(str, cells)),
)
def test_a_word_is_a_category_beside_words_and_missing_elsewhere(tmp_path: Path, cells: list[str], read: list[Any]) -> None:
    column, found = values(tmp_path, written(*cells), len(cells))
    assert found == read
    assert [parse_value(column, cell) for cell in cells] == read, "a row sent to a model is read as the file is"


@pytest.mark.parametrize(
    ("cells", "missing", "read"),
    [
        (["1.5", "-200", "-200.0", "3"], ["-200"], [1.5, None, None, 3.0]),
        (["1,5", "-200,0", "NA", "2,25"], ["-200"], [1.5, None, None, 2.25]),
        (["5", "999", "7"], ["999"], [5, None, 7]),
        (["5", "no answer", "7"], ["no answer"], [5, None, 7]),
        (["2020-01-31", "9999-12-31"], ["9999-12-31"], [dt.date(2020, 1, 31), None]),
        (["31/01/2020", "31/12/9999"], ["9999-12-31"], [dt.date(2020, 1, 31), None]),
        (["red", "None", "?", "NULL"], ["None"], ["red", None, "?", None]),
        (["red", "None", "?", "NULL"], [], ["red", "None", "?", None]),
        (["red", " grey ", "blue"], ["grey"], ["red", None, "blue"]),
        (["yes", "no", "maybe"], ["maybe"], [True, False, None]),
    ],
)
def test_a_person_says_what_is_missing(tmp_path: Path, cells: list[str], missing: list[str], read: list[Any]) -> None:
    column, found = values(tmp_path, written(*cells), len(cells), missing={"value": missing})
    assert found == read
    assert column.missing == tuple(missing)
    assert [parse_value(column, cell) for cell in cells] == read
    tells = means_missing(column.dtype, column.format, column.missing)
    assert [tells(cell) for cell in cells] == [value is None for value in read]


def test_what_is_missing_everywhere_is_added_to_the_usual(tmp_path: Path) -> None:
    rows = "".join(f"{i},{[1, -9, 3][i % 3]},{['a', 'NA', '-9', '?'][i % 4]}\n" for i in range(60))
    reading, table = take(tmp_path, "n,x,w\n" + rows, everywhere=["-9"], missing={"n": ["7"]})
    assert table["x"].to_list()[:3] == [1, None, 3]
    assert table["w"].to_list()[:4] == ["a", "NA", None, None]
    assert table["n"].null_count() == 1
    assert [column.missing for column in reading.schema][:2] == [("7", "-9"), ("-9",)]


def test_parquet_is_read_the_same(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "x": [1.5, -200.0, None, 3.0],
            "day": [dt.date(2020, 1, 1), dt.date(9999, 12, 31), None, dt.date(2021, 1, 1)],
            "word": ["NA", "None", "?", None],
        }
    )
    said = {"x": ["-200"], "day": ["9999-12-31"], "word": ["None"]}
    reading, table = take(tmp_path, frame, missing=said)
    assert table["x"].to_list() == [1.5, None, None, 3.0]
    assert table["day"].to_list() == [dt.date(2020, 1, 1), None, None, dt.date(2021, 1, 1)]
    assert table["word"].to_list() == ["NA", None, "?", None], "a file with nulls needs no words for them"
    assert [column.missing for column in reading.schema] == [("-200",), ("9999-12-31",), ("None",)]
    unsaid = take(tmp_path, frame)[0].schema.get("word")
    assert unsaid is not None
    assert [parse_value(unsaid, word) for word in ("NA", "?", "None")] == ["NA", "?", "None"]


def test_a_column_that_is_empty_at_first_gets_the_type_of_what_follows(tmp_path: Path) -> None:
    head = ",NA,,NA,NA\n" * 25_000
    reading, table = take(tmp_path, "a,b,c,d,e\n" + head + "1,2,2024-01-31,None,yes\n3,NA,2024-02-29,Attchd,no\n")
    assert [column.type for column in reading.schema] == ["integer", "integer", "datetime", "categorical", "boolean"]
    assert table.tail(2).rows() == [(1, 2, dt.date(2024, 1, 31), "None", True), (3, None, dt.date(2024, 2, 29), "Attchd", False)]
    assert table["d"].null_count() == 0, "beside words NA is one"
    assert table["b"].null_count() == 25_001


@pytest.mark.parametrize("parquet", [False, True])
def test_a_type_that_loses_most_of_a_column_is_refused_unless_forced(tmp_path: Path, parquet: bool) -> None:
    cells = ["red", "green", "blue", "7", "grey", "NA"]
    data: Data = pl.DataFrame({"value": [*cells[:5], None] * 10}) if parquet else written(*cells)
    wanted: dict[str, Any] = {"overrides": {"value": ColumnType.float}}
    with pytest.raises(Invalid, match=r"would lose 40 of its 50 values, .*'red', 'green', 'blue', 'grey'.* force"):
        take(tmp_path, data, **wanted)
    with pytest.raises(Invalid, match="would lose all of its values"):
        take(tmp_path, data, overrides={"value": ColumnType.datetime})
    reading, table = take(tmp_path, data, **wanted, force=True)
    assert table["value"].drop_nulls().unique().to_list() == [7.0]
    (finding,) = [finding for finding in reading.findings if finding.kind == "mixed_types"]
    assert (finding.affected_rows, finding.evidence["examples"]) == (40, ["red", "green", "blue", "grey"])
    column, found = values(tmp_path, data, 5, **wanted, missing={"value": ["red", "green", "blue", "grey"]})
    assert (found, column.type) == ([None, None, None, 7.0, None], "float"), "what is said to be missing is no loss"


def test_a_column_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"no column 'Valeu'.* Did you mean 'value'"):
        take(tmp_path, written("1", "2"), missing={"Valeu": ["1"]})


def test_a_holdout_is_read_as_the_training_table_was(tmp_path: Path) -> None:
    """Alone, `None` would mean nothing; the model knows it as a kind of roof."""
    trained, _ = take(tmp_path, "roof,code,y\n" + "".join(f"{('None', 'flat')[i % 2]},0{i},{i}\n" for i in range(60)))
    (tmp_path / "new.csv").write_text("roof,code,y\n" + "None,01,1\n" * 20)
    stored, schema = _table(
        {"source": str(tmp_path / "new.csv"), "filename": "new.csv", "scratch": str(tmp_path)}, trained.schema
    )
    assert pl.read_parquet(stored)["roof"].to_list() == ["None"] * 20
    assert [column.missing for column in schema] == [tuple(sorted(vocabulary.SIGNS)), None, None]


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(DTYPES)),
    missing=st.none() | st.lists(st.sampled_from(["-200", "1e3", "NA", "red", "2020-01-31", "yes"]), max_size=3).map(tuple),
    text=st.sampled_from(
        sorted(
            vocabulary.MISSING | {"-200", "-200.0", "1000", "red", " red", "blue", "2020-01-31", "yes", "no", "3", "", "12.50"}
        )
    ),
)
def test_a_cell_and_a_column_agree_on_what_is_missing(kind: ValueKind, missing: tuple[str, ...] | None, text: str) -> None:
    """Read by `Rule` from a file, by `parse_value` from a row, and asked of `means_missing`: one answer."""
    pattern = "%Y-%m-%d" if kind == "datetime" else None
    read, left = ParseRule(kind, pattern, missing).read(pl.Series([text]))
    if left is not None and not (kind == "integer" and text.endswith(("0", "3"))):
        assert read.item() is None
        return
    column = Column("c", ColumnType(kind if kind != "string" else "categorical"), DTYPES[kind], format=pattern, missing=missing)
    value = parse_value(column, text)
    assert (value is None) == (read.item() is None) or kind == "integer"
    if left is None and read.item() is None:
        assert means_missing(column.dtype, column.format, missing)(text)
