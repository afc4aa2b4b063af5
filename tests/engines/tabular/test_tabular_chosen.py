"""Types a person chose: what can be read so is read so, and what was chosen is not called into question."""

from pathlib import Path

import polars as pl
import pytest

from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.types.value_parser import parse_value
from tests.engines.tabular.judged import judge, take

INTEGER, FLOAT = ColumnType.integer, ColumnType.float


def written(*cells: str) -> str:
    return "n\tvalue\n" + "".join(f"{i}\t{cells[i % len(cells)]}\n" for i in range(60))


@pytest.mark.parametrize(
    ("kind", "cells", "values"),
    [
        (INTEGER, ["007", "012", "+41", "-05"], [7, 12, 41, -5]),
        (FLOAT, ["007", "012.5", "+41791234567"], [7.0, 12.5, 41791234567.0]),
        (INTEGER, ["1.0", "0.0", "1e3"], [1, 0, 1000]),
        (INTEGER, ["1.0", "0.5", "inf"], [1, None, None]),
        (INTEGER, ["1.234,0", "007"], [1234, 7]),
        (INTEGER, ["$ 1,234", "$ 007"], [1234, 7]),
        (INTEGER, ["12345678901234567890123", "1"], [None, 1]),
    ],
)
def test_a_chosen_number_converts(tmp_path: Path, kind: ColumnType, cells: list[str], values: list[float | None]) -> None:
    reading, table = take(tmp_path, written(*cells), overrides={"value": kind}, force=True)
    assert table["value"].to_list() == [values[i % len(values)] for i in range(60)]
    assert bool(reading.findings) is (None in values)
    column = reading.schema.get("value")
    assert column is not None
    assert [parse_value(column, cell) for cell in cells] == values, "a row sent to a model is read as the file is"


def test_a_code_far_down_the_file_converts_too(tmp_path: Path) -> None:
    rows = "".join(f"{i % 5},{i % 1000}\n" for i in range(60_000))
    reading, table = take(tmp_path, f"a,code\n{rows}1,0042\n", overrides={"code": INTEGER})
    assert table["code"][-1] == 42
    assert not reading.findings


def test_whole_floats_of_a_stored_table_become_integers(tmp_path: Path) -> None:
    reading, table = take(tmp_path, pl.DataFrame({"n": range(60), "t": [1.0, 0.0, None] * 20}), overrides={"t": INTEGER})
    assert table["t"].to_list() == [1, 0, None] * 20
    assert not reading.findings


def test_a_chosen_key_is_not_called_into_question(tmp_path: Path) -> None:
    keys = "key,n\n" + "".join(f"k{i},{i % 7}\n" for i in range(60))
    assert ("id_like_column", "key") in judge(tmp_path, keys)[1]
    assert ("id_like_column", "key") not in judge(tmp_path, keys, overrides={"key": ColumnType.id})[1]
