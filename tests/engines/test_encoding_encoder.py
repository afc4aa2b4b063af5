"""The encoder: a row and a frame give the same numbers, nothing leaks, everything odd is said."""

import itertools
import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreplex.engines.encoding import choice
from coreplex.engines.encoding.categories import natural
from coreplex.engines.encoding.encoder import Encoder
from coreplex.errors.tree import BadInput, Invalid
from tests.engines.scoring_samples import COLUMNS, WORDS, Made, column, encode_row, frame, target

TABLE = frame()
Y = target(TABLE, "binary")
ENCODERS = Made(
    itertools.product(("tree", "dense"), ("binary", "multiclass", "regression")),
    lambda which: Encoder.fit(TABLE, COLUMNS, target(TABLE, which[1]), kind=which[0], task=which[1]),
)


@pytest.fixture(scope="module", params=ENCODERS, ids="-".join)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    found: Encoder = ENCODERS[request.param]
    return found


numbers = st.one_of(st.none(), st.floats(), st.integers(-(10**9), 10**9))
texts = st.one_of(st.none(), st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join))
ROWS = st.fixed_dictionaries(
    {
        "amount": numbers,
        "age": st.one_of(st.none(), st.integers(-(2**53), 2**53)),
        "member": st.one_of(st.none(), st.booleans()),
        "plan": st.one_of(texts, st.sampled_from(["basic", "plus", "pro"])),
        "town": st.one_of(texts, st.integers(0, 70).map(lambda i: f"T{i:03d}")),
        "note": texts,
        "since": st.one_of(st.none(), st.datetimes()),
    }
)
TYPES = {
    "amount": pl.Float64,
    "age": pl.Int64,
    "member": pl.Boolean,
    "plan": pl.String,
    "town": pl.String,
    "note": pl.String,
    "since": pl.Datetime("us"),
}


def typed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(name, [row[name] for row in rows], dtype=kind) for name, kind in TYPES.items()})


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
def test_a_row_is_encoded_like_a_frame(encoder: Encoder, rows: list[dict[str, Any]]) -> None:
    rows = [{**row, "amount": None if row["amount"] is None else float(row["amount"])} for row in rows]
    matrix = encoder.transform(typed(rows))
    for row, expected in zip(rows, matrix, strict=True):
        values, _ = encode_row(encoder, row)
        np.testing.assert_array_equal(np.array(values, dtype=np.float64), expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    row=st.dictionaries(
        st.sampled_from([c.name for c in COLUMNS] + ["other"]),
        st.recursive(
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.datetimes(), st.binary(max_size=4)
            ),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
    )
)
def test_no_row_is_too_strange(encoder: Encoder, row: dict[str, Any]) -> None:
    values, warnings = encode_row(encoder, row)
    assert len(values) == encoder.width
    if encoder.kind == "dense":
        assert all(math.isfinite(value) for value in values)
    assert not any(math.isinf(value) for value in values)
    assert json.dumps(warnings)


def test_a_saved_encoder_is_the_same_to_the_bit(encoder: Encoder) -> None:
    state, arrays = encoder.to_json()
    again = Encoder.from_json(json.loads(json.dumps(state)), arrays)
    other = frame(50, seed=9)
    np.testing.assert_array_equal(again.transform(other), encoder.transform(other))
    assert (again.names, again.sources, again.categorical, again.dropped) == (
        encoder.names,
        encoder.sources,
        encoder.categorical,
        encoder.dropped,
    )


def test_the_matrix_is_contiguous_and_columns_know_their_source(encoder: Encoder) -> None:
    matrix = encoder.transform(TABLE)
    assert matrix.flags.c_contiguous
    assert matrix.dtype == np.float64
    assert matrix.shape == (TABLE.height, len(encoder.names))
    assert len(set(encoder.names)) == len(encoder.names) == len(encoder.sources)
    assert set(encoder.sources) == set(encoder.features)
    if encoder.kind == "dense":
        assert np.isfinite(matrix).all()


def test_the_same_seed_gives_the_same_matrix() -> None:
    one = Encoder.fit_transform(TABLE, COLUMNS, Y, kind="tree", task="binary", seed=3)[1]
    two = Encoder.fit_transform(TABLE, COLUMNS, Y, kind="tree", task="binary", seed=3)[1]
    np.testing.assert_array_equal(one, two)


def test_dropped_columns_say_why() -> None:
    encoder = Encoder.fit(TABLE, COLUMNS, Y, kind="tree", task="binary", exclude=["age"])
    assert set(encoder.dropped) == {"key", "same", "age"}
    assert "identifier" in encoder.dropped["key"]
    assert "constant" in encoder.dropped["same"]


def test_a_table_without_a_feature_is_refused_with_reasons() -> None:
    with pytest.raises(Invalid, match="constant"):
        Encoder.fit(TABLE, [COLUMNS[-1]], Y, kind="tree", task="binary")


def test_missing_and_unseen_categories_differ() -> None:
    encoder = Encoder.fit(TABLE, [column("plan", "categorical")], Y, kind="tree", task="binary")
    missing, unseen = encode_row(encoder, {"plan": None})[0][0], encode_row(encoder, {"plan": "new"})[0][0]
    assert missing == 3.0
    assert encode_row(encoder, {"plan": "pro"})[0] == [2.0]
    assert math.isnan(unseen)


def test_codes_of_few_and_of_many_levels_are_known_as_categories() -> None:
    encoder = ENCODERS["tree", "multiclass"]
    assert [encoder.names[place] for place in encoder.categorical] == ["plan", "town:code"]
    assert ENCODERS["dense", "binary"].categorical == ()
    known, unseen = (encode_row(encoder, {"plan": "pro", "town": town})[0] for town in ("T001", "nowhere"))
    assert [math.isnan(known[place]) for place in encoder.categorical] == [False, False]
    assert [math.isnan(unseen[place]) for place in encoder.categorical] == [False, True]


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_no_training_row_sees_its_own_target(task: str) -> None:
    """Categories of two rows each and a target of pure chance: fitted means know it, training means must not."""
    rng = np.random.default_rng(1)
    rows = 3000
    y = rng.integers(0, 2, rows) if task == "binary" else rng.normal(size=rows)
    table = pl.DataFrame({"c": [f"c{i // 2 % 700}" for i in rng.permutation(rows)]})
    encoder, matrix = Encoder.fit_transform(table, [column("c", "categorical")], y, kind="tree", task=task)  # type: ignore[arg-type]
    at = encoder.names.index("c:target")
    assert abs(np.corrcoef(matrix[:, at], y)[0, 1]) < 0.1
    assert np.corrcoef(encoder.transform(table)[:, at], y)[0, 1] > 0.2


def test_no_training_row_sees_its_own_target_in_text() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 600)
    table = pl.DataFrame({"t": [" ".join(f"w{i}" for i in rng.integers(0, 400, 5)) for _ in y]})
    encoder, matrix = Encoder.fit_transform(table, [column("t", "text")], y, kind="tree", task="binary")
    at = encoder.names.index("t:target")
    assert abs(np.corrcoef(matrix[:, at], y)[0, 1]) < 0.15
    assert np.corrcoef(encoder.transform(table)[:, at], y)[0, 1] > 0.5


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_takes_any_text(levels: list[str]) -> None:
    assert sorted(["10 km", "9 km", "km 2", *levels], key=natural).index("9 km") < sorted(
        ["10 km", "9 km", "km 2", *levels], key=natural
    ).index("10 km")


def test_levels_with_an_effect_keep_their_mean_and_rare_ones_shrink() -> None:
    rng = np.random.default_rng(2)
    level = rng.integers(0, 40, 4000)
    effect = rng.normal(size=40)
    y = effect[level] + 0.1 * rng.normal(size=4000)
    table = pl.DataFrame({"c": [f"L{i}" for i in level]})
    encoder = Encoder.fit(table, [column("c", "categorical")], y, kind="tree", task="regression")
    at = encoder.names.index("c:target")
    means = {f"L{i}": encode_row(encoder, {"c": f"L{i}"})[0][at] for i in range(40)}
    assert max(abs(means[f"L{i}"] - effect[i]) for i in range(40)) < 0.1
    assert encode_row(encoder, {"c": "unseen"})[0][at] == pytest.approx(y.mean())


def test_parts_of_a_moment() -> None:
    encoder = Encoder.fit(TABLE, [column("since", "datetime")], Y, kind="tree", task="binary")
    values = dict(zip(encoder.names, encode_row(encoder, {"since": "2015-03-08T14:30:00"})[0], strict=True))
    parts = [values[f"since:{part}"] for part in ("year", "month", "day", "weekday", "hour", "minute")]
    assert parts == [2015, 3, 8, 7, 14, 30]


def test_moments_with_zones_and_dates_agree() -> None:
    encoder = Encoder.fit(TABLE, [column("since", "datetime")], Y, kind="tree", task="binary")
    utc = encoder.transform(pl.DataFrame({"since": ["2015-03-08T14:30:00"]}))
    zoned = pl.DataFrame({"since": pl.Series(["2015-03-08T15:30:00"]).str.to_datetime().dt.replace_time_zone("Europe/Berlin")})
    np.testing.assert_array_equal(encoder.transform(zoned), utc)


def test_text_alone_separates_two_topics() -> None:
    rng = np.random.default_rng(3)
    cold, warm = ["snow", "ice", "frost", "winter"], ["sun", "beach", "heat", "summer"]
    y = rng.integers(0, 2, 300)
    table = pl.DataFrame({"t": [" ".join(rng.choice([cold, warm][label], 4)) for label in y]})
    for kind in ("tree", "dense"):
        matrix = Encoder.fit(table, [column("t", "text")], y, kind=kind, task="binary").transform(table)  # type: ignore[arg-type]
        assert max(abs(np.corrcoef(matrix[:, i], y)[0, 1]) for i in range(4) if matrix[:, i].std()) > 0.9


def test_names_that_hardly_repeat_are_read_as_text() -> None:
    table = pl.DataFrame({"c": [f"{['Mr', 'Mrs'][i % 2]} Number{i}" for i in range(200)]})
    (names,) = choice.wordy_as_text([column("c", "categorical")], table)
    encoder = Encoder.fit(table, [names], None, kind="tree", task="binary")
    assert (encoder.steps[0].kind, names.reason) == ("text", "its values hardly ever repeat, so it is read by its words")


def test_dense_outputs_of_many_levels_are_standardised_in_training_too() -> None:
    rng = np.random.default_rng(3)
    level = rng.integers(0, 400, 4_000)
    y = rng.normal(scale=1_000.0, size=400)[level] + rng.normal(scale=500.0, size=4_000)
    table = pl.DataFrame({"c": [f"k{i:03d}" for i in level]})
    encoder, matrix = Encoder.fit_transform(table, [column("c", "categorical")], y, kind="dense", task="regression")
    served = encoder.transform(table)
    np.testing.assert_allclose([matrix[:, 1].mean(), matrix[:, 1].std()], [0.0, 1.0], atol=0.1)
    np.testing.assert_allclose([served[:, 1].mean(), served[:, 1].std()], [0.0, 1.0], atol=1e-9)
    unseen = encoder.transform(pl.DataFrame({"c": ["another"]}))
    assert abs(unseen[0, 1]) < 0.1
    assert abs(unseen[0, 0]) < 4.0


def test_a_category_of_many_levels_is_one_in_a_sample_as_well() -> None:
    table = pl.DataFrame({"c": [f"k{i % 900:03d}" for i in range(3_000)]})
    columns = choice.wordy_as_text([column("c", "categorical")], table)
    few = table[:400]
    encoder = Encoder.fit(few, columns, np.arange(400) % 2, kind="tree", task="binary")
    assert (columns[0].type.value, few["c"].n_unique(), encoder.steps[0].kind) == ("categorical", 400, "table")


def test_1500_columns_of_every_kind_are_encoded() -> None:
    rng = np.random.default_rng(4)
    data: dict[str, Any] = {f"n{i}": rng.normal(size=60) for i in range(1000)}
    data |= {f"c{i}": rng.choice(["a", "b", "c"], 60) for i in range(500)}
    columns = [column(name, "float" if name[0] == "n" else "categorical") for name in data]
    encoder, matrix = Encoder.fit_transform(pl.DataFrame(data), columns, rng.integers(0, 2, 60), kind="tree", task="binary")
    assert matrix.shape == (60, 1500)
    assert encode_row(encoder, {})[1][0]["kind"] == "missing_column"


def test_frames_of_other_types_mean_the_same() -> None:
    """A batch file may be typed differently from the training table: text for numbers, integers for categories."""
    encoder = ENCODERS["tree", "binary"]
    as_typed = typed([dict.fromkeys(TYPES) | {"age": 40, "member": True, "plan": "pro", "amount": 2.5}])
    as_text = pl.DataFrame({"age": ["40"], "member": ["yes"], "plan": pl.Series(["pro"]).cast(pl.Categorical), "amount": ["2.5"]})
    np.testing.assert_array_equal(encoder.transform(as_text), encoder.transform(as_typed))
    assert encoder.transform(pl.DataFrame({"age": [[1], [2]], "plan": [{"a": 1}, None]})).shape == (2, encoder.width)


@pytest.mark.parametrize(
    "spoiled", [{}, {"steps": [{}]}, {"steps": [{"kind": "eval", "column": "plan", "state": {}}]}, {"columns": 3}]
)
def test_a_spoiled_encoder_is_refused(spoiled: dict[str, Any]) -> None:
    state, arrays = ENCODERS["tree", "binary"].to_json()
    with pytest.raises(BadInput):
        Encoder.from_json({**state, **spoiled} if spoiled else {}, arrays)


@pytest.mark.parametrize("kind", ["dense", "tree"])
@pytest.mark.parametrize("small", [1e-3, 1e300])
def test_numbers_at_the_edge_are_within_reach_and_no_warning(kind: str, small: float) -> None:
    table = pl.DataFrame({"a": [small, 2 * small, 3 * small] * 10, "b": [0.0, 1.0, 50.0] * 10})
    encoder = Encoder.fit(table, [column("a", "float"), column("b", "float")], None, kind=kind, task="regression")
    edge = pl.DataFrame({"a": [1.7e308, -1.7e308, 5e-324, None], "b": [-1.7e308, 1.7e308, None, 0.0]})
    matrix = encoder.transform(edge)
    rows = [encode_row(encoder, row)[0] for row in edge.to_dicts()]
    np.testing.assert_array_equal(matrix, rows)
