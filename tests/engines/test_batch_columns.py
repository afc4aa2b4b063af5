"""Batches of models and tables with columns that are none: no column is read, or a name looks like a pattern."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.linear import Linear
from coreplex.errors.tree import Invalid
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
