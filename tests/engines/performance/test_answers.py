"""Rows of the log summed up: buckets and slices are parts of the whole, and nothing that the log holds breaks it."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.engines.drift import layout as layouts
from coreplex.engines.estimation.baseline import Estimation
from coreplex.engines.estimation.class_calibration import ClassCalibration
from coreplex.engines.estimation.error_model import ErrorModel
from coreplex.engines.performance.answers import Logged, Summary, summarised
from coreplex.engines.performance.realised import Judge
from tests.engines.estimation.test_baseline import COLUMNS, table

FRAME = table(400)
LAYOUT = layouts.Layout(layouts.of_table(FRAME, COLUMNS))
BINARY = Judge.of("classification", ["no", "yes"])
CONFIDENCE = Estimation(500, {"accuracy": 0.8}, calibration=ClassCalibration((None,)))
ODD: list[Any] = [
    None,
    {},
    {"prediction": None},
    {"prediction": "perhaps", "probabilities": {"perhaps": 1.0}},
    {"prediction": "yes"},
]

answers = st.floats(0, 1).map(lambda p: {"prediction": "yes" if p >= 0.5 else "no", "probabilities": {"no": 1 - p, "yes": p}})
rows = st.tuples(
    st.integers(0, 3),
    answers | st.sampled_from(ODD),
    st.sampled_from(["yes", "no", "maybe", True, 1, 1.0, None]),
    st.fixed_dictionaries(
        {}, optional={"x": st.floats(-3, 3) | st.just("?") | st.none(), "kind": st.sampled_from(["a", "b", "z", 7])}
    ),
)


def logged(found: list[tuple[int, Any, Any, Any]]) -> Logged:
    def text(value: Any) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    columns = [[text(row[place]) for row in found] for place in (1, 2, 3)]
    return Logged(np.array([row[0] for row in found], dtype=np.int64), *columns)


def parts(summary: Summary) -> list[tuple[int, int, int]]:
    """Rows, rows with an outcome, and unknown classes: of the whole, of all buckets, of all slices."""
    groups = [[summary.whole], list(summary.buckets.values()), [part for _, part in summary.slices]]
    return [tuple(sum(getattr(one, name) for one in group) for name in ("rows", "judged", "unknown")) for group in groups]  # type: ignore[misc]


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=50), st.lists(rows, max_size=50), st.sampled_from(["x", "kind"]))
def test_buckets_and_slices_are_parts_of_the_whole(known: list[Any], some: list[Any], column: str) -> None:
    found = summarised(BINARY, CONFIDENCE, LAYOUT, logged(known), logged(some), by_bucket=True, column=column)
    whole, buckets, slices = parts(found)
    assert whole == buckets == slices
    readable = [row for row in some if row[1] not in ODD]
    assert whole[0] == len(readable)
    assert whole[1] == sum(row[1] not in ODD and row[2] is not None for row in known)
    assert (found.whole.estimated is not None) == (len(readable) >= 30)
    if found.whole.estimated is not None:
        chances = [max(row[1]["probabilities"].values()) for row in readable]
        assert found.whole.estimated["accuracy"].value == pytest.approx(np.mean(chances))


def test_numbers_are_estimated_by_what_their_columns_hold() -> None:
    draw = np.random.default_rng(5)
    kind = (FRAME["kind"] == "b").fill_null(value=False).to_numpy()
    p, noise = draw.normal(size=400), 0.1 + 3.0 * kind
    values = layouts.table_values(LAYOUT.inputs, FRAME)
    errors = ErrorModel.fit(["x", "kind"], values, p, p + noise * draw.normal(size=400))
    some = logged([(0, {"prediction": one}, None, row) for one, row in zip(p.tolist(), FRAME.to_dicts(), strict=True)])
    found = summarised(Judge.of("regression", []), Estimation(400, errors=errors), LAYOUT, logged([]), some, column="kind")
    by_level = {one.level: part.estimated for one, part in found.slices if part.estimated is not None}
    of_b, of_a = by_level["b"], by_level["a"]
    assert of_b is not None
    assert of_a is not None
    assert (of_b["mae"].value or 0) > 5 * (of_a["mae"].value or 1)
    assert found.whole.judged == 0
    assert {figure.value for figure in found.whole.realised.values()} == {None}


def test_without_what_estimates_stand_on_there_are_none() -> None:
    some = logged([(0, {"prediction": "yes", "probabilities": {"no": 0.1, "yes": 0.9}}, "yes", {})] * 40)
    for estimation in (None, Estimation(10)):
        found = summarised(BINARY, estimation, None, some, some)
        assert found.whole.estimated is None
        assert found.whole.realised["accuracy"].value == 1
