"""Batches of models and tables with odd columns: none is read, a name looks like a pattern, times lie beyond all calendars."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coreplex.engines.batch.source import Source
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.linear import Linear
from coreplex.errors.tree import BadInput, Invalid
from tests.engines.test_batch import COLUMNS, ROWS, folder, frame, manifest, run, table

__all__ = ["folder"]


def test_a_model_that_reads_no_column_answers_every_row_as_predict_does(folder: Path) -> None:
    """The best of a table in which nothing says anything about the target."""
    encoder = Encoder("tree", (), (), {column.name: "is not used" for column in COLUMNS})
    constant = Linear(np.zeros((0, 1)), np.array([1.0]), "logit", np.zeros(0))
    data = bundle.dumps(manifest(ROWS), [Member(encoder, constant)])
    _, result = run(folder, table([["same", "amount"], ["x", 1], ["", ""], ["z", 2]]), model=data)
    assert result["prediction"].to_list() == ["yes"] * 3
    with pytest.raises(Invalid) as refused:
        run(folder, table([["colour"], ["red"]]), model=data)
    assert str(refused.value.message) == "The model knows no column of this table (colour)."


def test_a_name_may_look_like_a_pattern_of_names(folder: Path) -> None:
    rows = frame(20).with_columns(pl.lit("x").alias("*"), pl.lit("y").alias("^.*$"))
    for data, name in ((rows.write_csv().encode(), "rows.csv"), (rows, "rows.parquet")):
        _, result = run(folder, data, name)
        assert result.select(f"column_{rows.width - 1}", ".*").row(0) == ("x", "y")
        assert result.height == 20


@pytest.mark.parametrize("name", [column.name for column in COLUMNS])
def test_days_and_moments_beyond_the_calendar_are_missing(folder: Path, name: str) -> None:
    """In columns of any type: Polars counts on beyond the year 9999, where Python has no date."""
    number = pl.Series([2**62, -(2**62), 0] + [1] * 17)
    for far in (
        number.clip(-(2**31), 2**31 - 1).cast(pl.Int32).cast(pl.Date),
        number.cast(pl.Datetime("us")),
        number.cast(pl.Datetime("ms")),
        number.cast(pl.Datetime("us", "Europe/Zurich")),
    ):
        found, result = run(folder, frame(20).with_columns(far.alias(name)), "t.parquet")
        assert (found["rows"], found["refused"]) == (20, 0)
        assert result[name].is_null().to_list() == [True, True] + [False] * 18


def test_moments_that_are_beyond_the_calendar_in_utc_are_missing(folder: Path) -> None:
    rows = frame(3).with_columns(pl.Series("since", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2020-01-01"]))
    found, _ = run(folder, rows.write_csv().encode())
    told = [one["message"] for one in found["warnings"] if one["column"] == "since"]
    assert told == ["2 values of column “since” are no date or time and are treated as missing values."]


def test_rows_that_cannot_be_read_are_not_left_out_in_silence() -> None:
    """A panic in one of Polars' threads ends the batches as if there were no more."""
    far = pl.DataFrame({"when": pl.Series([0, 2**62]).cast(pl.Datetime("ms"))})
    cast = far.lazy().select(pl.col("when").cast(pl.Datetime("us")))
    with pytest.raises(BadInput):
        list(Source(cast, (), 2).chunks(0, 10))
