"""Many rows read column by column mean what each row means alone, warnings included."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.encoding.batch import read_batch
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.rows import RowReader
from coreplex.engines.encoding.usual_rows import UsualRows
from coreplex.engines.encoding.values import Canonical
from tests.engines.scoring_samples import COLUMNS, column, frame, target

TABLE = frame(300)
ENCODER, _ = Encoder.fit_transform(TABLE, COLUMNS, target(TABLE, "binary"), kind="tree", task="binary")
READER = RowReader.of([ENCODER], ["key", "same"])
ALWAYS_THERE = [replace(one, nullable=one.name not in {"amount", "plan", "since"}) for one in COLUMNS]
STRICT_ENCODER, _ = Encoder.fit_transform(TABLE, ALWAYS_THERE, target(TABLE, "binary"), kind="tree", task="binary")
STRICT_READER = RowReader.of([STRICT_ENCODER], ["key", "same"])
"""Of columns that are known as never missing."""
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "amount": st.floats(1, 30),
    "age": st.integers(18, 90),
    "member": st.booleans(),
    "plan": st.sampled_from(["basic", "plus", "pro"]),
    "town": st.sampled_from(["T001", "T002"]),
    "note": st.sampled_from(["good parcel", "late"]),
    "since": st.sampled_from(["2015-01-01", "2016-02-03T04:05:06"]),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(["NA", "1,5", " pro ", "?", "1900-01-01", "\ud800", "nowhere", ""]),
    st.lists(st.integers(), max_size=2),
)
ROW = st.fixed_dictionaries(
    {},
    optional={name: st.one_of(usual, usual, ODD) for name, usual in USUAL.items()}
    | dict.fromkeys(("x", "Age", "AGE ", "a mount", "PLAN"), ODD),
)

WHOLE = st.fixed_dictionaries(
    {name: st.one_of(usual, usual, ODD) for name, usual in USUAL.items()}, optional={"key": ODD, "same": ODD}
).flatmap(lambda row: st.permutations(list(row.items())).map(dict))
"""Rows with every column, in any order, as most callers send them."""


@settings(max_examples=150, deadline=None)
@given(
    rows=st.one_of(st.lists(ROW, min_size=1, max_size=12), st.lists(WHOLE, min_size=1, max_size=6)),
    made=st.sampled_from([(READER, ENCODER), (STRICT_READER, STRICT_ENCODER)]),
)
def test_rows_read_together_are_the_rows_read_alone(rows: list[dict[str, Any]], made: tuple[RowReader, Encoder]) -> None:
    reader, encoder = made
    batch, warnings = read_batch(reader, rows)
    alone = [reader.read(row) for row in rows]
    assert warnings == [{**warning, "row": number} for number, (_, own) in enumerate(alone) for warning in own]
    encode = encoder.compile(reader.names)
    np.testing.assert_allclose(encoder.transform(batch), [encode(values) for values, _ in alone], rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(WHOLE, min_size=1, max_size=6))
def test_rows_of_which_something_is_to_be_said_are_left_to_the_reader(rows: list[dict[str, Any]]) -> None:
    usual = UsualRows.of(STRICT_READER, [STRICT_ENCODER])
    assert usual is not None
    said = {place for place, row in enumerate(rows) if STRICT_READER.read(row)[1]}
    found = usual.encoded(rows)
    assert found is None or said <= found[1]


def test_a_value_is_missed_where_training_always_saw_one() -> None:
    nothing = {"amount": None, "age": None, "plan": "", "since": "NA"}
    row = {"member": True, "town": "T001", "note": "late", **nothing}
    kinds = {(warning["column"], warning["kind"]) for warning in STRICT_READER.read(row)[1]}
    assert kinds == {(name, "missing_value") for name in ("amount", "plan", "since")}
    said = STRICT_READER.check(TABLE.with_columns(amount=None).head(5).select("amount", "age"))
    assert ("amount", "missing_value", 5) in {(one["column"], one["kind"], one.get("rows")) for one in said}


def test_one_odd_value_among_many_changes_nobody_else() -> None:
    rows = [row | {"note": "good"} for row in TABLE.to_dicts()]
    usual, _ = read_batch(READER, rows)
    rows[7] = rows[7] | {"age": "old", "plan": ["pro"], "since": 5.5}
    odd, warnings = read_batch(READER, rows)
    assert {(w["row"], w["column"], w["kind"]) for w in warnings if w["row"] == 7} == {
        (7, "age", "unreadable_value"),
        (7, "plan", "unreadable_value"),
        (7, "since", "unreadable_value"),
    }
    before, after = ENCODER.transform(usual), ENCODER.transform(odd)
    np.testing.assert_array_equal(np.delete(before, 7, axis=0), np.delete(after, 7, axis=0))


def test_an_integer_beyond_every_float_among_many_is_one_odd_value() -> None:
    reader = RowReader.of(
        [Encoder.fit(pl.DataFrame({"a": [1.0, 2.0]}), [column("a", "float")], None, kind="tree", task="binary")]
    )
    batch, warnings = read_batch(reader, [{"a": 1.5}, {"a": 10**400}, {"a": 2}])
    assert [(w["row"], w["kind"]) for w in warnings] == [(1, "unreadable_value")]
    values = batch.series(column("a", "float")).to_list()
    assert (values[0], values[2]) == (1.5, 2.0)
    assert math.isnan(values[1])


def test_numbers_that_may_stand_for_nothing_are_read_one_by_one_among_many_rows() -> None:
    """20 is missing, and lies within the range of training: the reader has to look at each."""
    columns = [replace(one, missing=("20",)) if one.name == "amount" else one for one in COLUMNS]
    encoder, _ = Encoder.fit_transform(TABLE, columns, target(TABLE, "binary"), kind="tree", task="binary")
    reader = RowReader.of([encoder], ["key", "same"])
    row = {"amount": 20, "age": 30, "member": True, "plan": "pro", "town": "T001", "note": "late", "since": "2015-01-01"}
    rows = [row, {**row, "amount": 21}] * 10
    usual = UsualRows.of(reader, [encoder])
    assert usual is not None
    found = usual.encoded(rows)
    assert found is not None
    alone = np.array([encoder.compile(reader.names)(reader.read(one)[0]) for one in rows])
    np.testing.assert_array_equal(found[0][0], alone)


def test_a_number_other_than_0_and_1_is_no_boolean() -> None:
    """As the same text in a file is none."""
    rows = [{"member": value} for value in (0, 1, 1.0, True, 7, 0.5, "7", "0.5")]
    values, said = read_batch(READER, rows)
    member = values.series(column("member", "boolean"))
    assert [None if one != one else one for one in member.to_list()] == [0, 1, 1, 1, None, None, None, None]
    assert [one["row"] for one in said if one["kind"] == "unreadable_value"] == [4, 5, 6, 7]
    alone = [READER.read(row)[0][READER.names.index("member")] for row in rows]
    np.testing.assert_array_equal(alone, member.to_numpy())
    frame = pl.DataFrame({"member": [0.0, 1.0, 7.0, 0.5, None]})
    assert Canonical(frame).series(READER.known[READER.names.index("member")].column).to_list() == [0, 1, None, None, None]
