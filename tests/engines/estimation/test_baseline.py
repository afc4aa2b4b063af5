"""What estimates stand on: learned from out-of-fold answers, kept as data; rows of the log are read as the table was."""

import zipfile
from io import BytesIO
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from coreplex.engines.drift import layout as layouts
from coreplex.engines.drift.bins import NumberBins
from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.estimation import error_model
from coreplex.engines.estimation.baseline import Estimation
from coreplex.engines.estimation.class_calibration import ClassCalibration
from coreplex.engines.estimation.error_model import ErrorModel
from coreplex.engines.performance.slices import slices
from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.errors.tree import BadInput

COLUMNS = (Column("x", ColumnType.float, "float64"), Column("kind", ColumnType.categorical, "string"))


def table(rows: int, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    kinds = np.array(["a", "b", "c", None], dtype=object)[draw.choice(4, size=rows, p=[0.5, 0.3, 0.1, 0.1])]
    return pl.DataFrame({"x": draw.normal(size=rows), "kind": kinds.tolist()}, schema={"x": pl.Float64, "kind": pl.String})


def errors(rows: int = 3000) -> tuple[ErrorModel, pl.DataFrame, np.ndarray]:
    """A model of errors that are larger for kind b, and where x is large."""
    frame, draw = table(rows), np.random.default_rng(1)
    noise = 0.2 + np.abs(frame["x"].to_numpy()) + 2.0 * (frame["kind"] == "b").fill_null(value=False).to_numpy()
    p = draw.normal(size=rows)
    features = layouts.of_table(frame, COLUMNS)
    values = layouts.table_values(features, frame)
    return ErrorModel.fit(["x", "kind"], values, p, p + noise * draw.normal(size=rows), seed=0), frame, noise


def test_errors_are_learned_kept_and_read_again() -> None:
    model, frame, noise = errors()
    kept = Estimation.loads(Estimation(3000, {"rmse": 1.5, "r2": None}, errors=model).dumps())
    assert (kept.rows, kept.promised, kept.kind) == (3000, {"rmse": 1.5, "r2": None}, "errors")
    assert kept.errors is not None
    values, p = layouts.table_values(layouts.of_table(frame, COLUMNS), frame), np.zeros(len(frame))
    absolute, squared = kept.errors.errors(values, p)
    assert np.array_equal(absolute, model.errors(values, p)[0])
    assert absolute.mean() == pytest.approx(noise.mean() * np.sqrt(2 / np.pi), rel=0.1)
    assert squared.mean() == pytest.approx(np.square(noise).mean(), rel=0.3)
    assert np.corrcoef(absolute, noise)[0, 1] > 0.8


def test_no_error_is_below_zero_of_any_row() -> None:
    """Of each row, before the mean: rows below zero made the mean of all too small."""
    model, frame, _ = errors()
    values = layouts.table_values(layouts.of_table(frame, COLUMNS), frame) * [0.01, 1.0]
    p = np.linspace(-3, 3, len(frame))
    assert model.squared.raw(np.column_stack([values, p])).min() < 0
    assert min(one.min() for one in model.errors(values, p)) == 0


def test_the_same_model_makes_the_same_bytes_and_foreign_ones_are_refused() -> None:
    first, second = (Estimation(3000, errors=errors()[0]).dumps() for _ in range(2))
    assert first == second
    assert first[:2] == b"PK"
    with pytest.raises(BadInput):
        Estimation.loads(b"no archive")
    box = BytesIO()
    with zipfile.ZipFile(box, "w") as made:
        made.writestr("manifest.json", '{"rows": 1, "promised": {}, "errors": {"columns": []}}')
    with pytest.raises(BadInput):
        Estimation.loads(box.getvalue())


def test_calibration_is_kept_with_what_was_promised() -> None:
    draw = np.random.default_rng(3)
    q = draw.uniform(size=4000)
    p = np.column_stack([1 - q**3, q**3])
    fitted = ClassCalibration.fit((draw.uniform(size=4000) < q).astype(np.int64), p)
    kept = Estimation.loads(Estimation(4000, {"auc": 0.8}, calibration=fitted).dumps())
    assert kept.kind == "confidence"
    assert kept.calibration is not None
    assert np.array_equal(kept.calibration.apply(p), fitted.apply(p))
    assert np.abs(kept.calibration.apply(p)[:, 1] - q).mean() < 0.03
    assert Estimation.loads(Estimation(7).dumps()).kind == "none"


def test_rows_of_the_log_are_read_as_the_table_was() -> None:
    frame = table(500)
    features = layouts.of_table(table(400, seed=7), COLUMNS)
    counter = RowCounter(layouts.Layout(features))
    rows = counter.named(
        [{**row, "x": str(row["x"]) if place % 3 == 0 else row["x"]} for place, row in enumerate(frame.to_dicts())]
    )
    read = np.column_stack([layouts.values_of(feature, values, places) for feature, values, places in counter.read(rows)])
    assert np.array_equal(read, layouts.table_values(features, frame), equal_nan=True)
    unseen = counter.named([{"x": 1.0, "kind": "never"}, {"other": 1}])
    assert [np.isnan(layouts.values_of(*one)).tolist() for one in counter.read(unseen)] == [[False, True], [True, True]]


@pytest.mark.parametrize("rows", [1, 5, 400])
def test_every_place_of_a_column_is_in_one_slice(rows: int) -> None:
    frame = table(rows)
    for feature in layouts.of_table(frame, COLUMNS):
        found, of = slices(feature)
        assert len(of) == feature.bins.size
        assert set(of.tolist()) <= set(range(len(found)))
        assert found[of[feature.bins.missing]].label == "missing"
    ranges = [one for one in slices(layouts.of_table(frame, COLUMNS)[0])[0] if one.label != "missing"]
    assert (ranges[0].lower, ranges[-1].upper) == (None, None)
    assert all(one.upper == other.lower for one, other in pairwise(ranges))


def test_what_comes_in_a_column_that_training_had_nothing_of_is_not_missing() -> None:
    frame = table(5).with_columns(pl.lit(None, dtype=pl.Float64).alias("x"))
    feature = next(one for one in layouts.of_table(frame, COLUMNS) if one.name == "x")
    found, of = slices(feature)
    assert isinstance(feature.bins, NumberBins)
    assert [found[of[place]].label for place in feature.bins.place(np.array([1.0, np.nan]))] == ["all values", "missing"]


def test_of_very_many_rows_and_columns_some_are_learned_from() -> None:
    assert len(error_model.sample(100, 5)) == 100
    assert len(error_model.sample(10**6, 5)) == error_model.MOST_ROWS
    assert len(error_model.sample(10**6, 10**6)) == error_model.LEAST_SAMPLE
