"""Rows of requests below a stored table: each value as a request's is read, and nothing where it cannot be."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from coreplex.engines.tabular.read.table import read_table
from coreplex.engines.tabular.schema import TableSchema
from coreplex.engines.tabular.write import append as module
from coreplex.engines.tabular.write.append import append

AT = datetime.fromisoformat("2025-02-03T11:00:00")
CSV = b"id,Price,kind,late,day,at,count,target\n" + b"".join(
    b'%d,"%d,50",%s,%s,2024-01-%02d,2024-01-%02d 10:00:00,%d,%s\n'
    % (
        n,
        10 + n,
        b"ab"[n % 2 : n % 2 + 1],
        b"yes" if n % 3 else b"no",
        n % 28 + 1,
        n % 28 + 1,
        n % 100,
        b"no" if n % 4 else b"yes",
    )
    for n in range(120)
)


def stored(folder: Path) -> tuple[Path, TableSchema]:
    source = folder / "t.csv"
    source.write_bytes(CSV)
    reading = read_table(source, "t.csv", folder / "t.parquet")
    return reading.path, reading.schema


def appended(folder: Path, *lines: tuple[dict[str, Any], Any]) -> tuple[pl.DataFrame, pl.DataFrame, tuple[int, int]]:
    """The table, what came below it, and the counts."""
    table, schema = stored(folder)
    rows = folder / "rows.jsonl"
    rows.write_bytes(b"".join(orjson.dumps({"inputs": inputs, "outcome": outcome}) + b"\n" for inputs, outcome in lines))
    counts = append(table, schema, rows, "target", folder / "longer.parquet", folder)
    before, after = pl.read_parquet(table), pl.read_parquet(folder / "longer.parquet")
    assert after.schema == before.schema
    assert after.head(before.height).equals(before)
    return before, after.tail(after.height - before.height), counts


def test_values_are_read_as_those_of_a_request(tmp_path: Path) -> None:
    typed = {"Price": 7.25, "kind": "c", "late": True, "day": "2025-02-03", "at": "2025-02-03 11:00:00", "count": 3}
    spelled = {"price": "7,25", "KIND": "c", "late": "yes", "day": "2025-02-03", "at": "2025-02-03 11:00:00", "count": "3"}
    _, more, counts = appended(tmp_path, (typed, "yes"), (spelled, "yes"))
    assert counts == (2, 0)
    wanted = {
        "Price": 7.25,
        "kind": "c",
        "late": True,
        "day": date(2025, 2, 3),
        "at": AT,
        "count": 3,
    }
    for row in more.to_dicts():
        assert {name: row[name] for name in wanted} == wanted
        assert (row["id"], row["target"]) == (None, True)


def test_what_cannot_be_read_is_missing_and_without_its_outcome_a_row_is_none(tmp_path: Path) -> None:
    odd = {"Price": "cheap", "kind": None, "late": "perhaps", "day": "soon", "count": 1e30, "other": [1]}
    _, more, counts = appended(tmp_path, (odd, "no"), ({"kind": "a"}, "unheard of"), ({}, None), ({"target": "yes"}, "no"))
    assert counts == (2, 2)
    assert more["target"].to_list() == [False, False], "what was sent under the target's name is no outcome"
    assert more.drop("target").null_count().row(0) == (2,) * 7


def test_a_whole_number_is_the_class_of_that_name(tmp_path: Path) -> None:
    """As it is where answers are judged: 1.0 of a program is no other class than 1."""
    table, schema = stored(tmp_path)
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"".join(orjson.dumps({"inputs": {}, "outcome": said}) + b"\n" for said in (1.0, 1, "1", 1.5)))
    assert append(table, schema, rows, "kind", tmp_path / "longer.parquet", tmp_path) == (4, 0)
    assert pl.read_parquet(tmp_path / "longer.parquet")["kind"].tail(4).to_list() == ["1", "1", "1", "1.5"]


def test_many_rows_come_in_their_order(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 7)
    _, more, counts = appended(tmp_path, *(({"count": number}, "yes") for number in range(50)))
    assert (counts, more["count"].to_list()) == ((50, 0), list(range(50)))


def test_no_row_is_the_table_as_it_was(tmp_path: Path) -> None:
    _, more, counts = appended(tmp_path)
    assert (counts, more.height) == ((0, 0), 0)
