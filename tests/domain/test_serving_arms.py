"""Which side of a split a row is on does not depend on how its client writes it."""

import pytest

from coreplex.serving.arms import keys_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}, True),
        ({"a": 8, "b": -3, "c": 0}, {"a": 8.0, "b": -3.0, "c": -0.0}, True),
        ({"a": 1e30}, {"a": 10**30}, True),
        ({"a": 8}, {"a": 8.5}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": None}, {"a": 0}, False),
    ],
)
def test_rows_are_the_same_unit_however_they_are_written(one: dict[str, object], other: dict[str, object], same: bool) -> None:
    first, second = keys_of([one, other], None)
    assert (first == second) is same
    assert keys_of([one], ["k"]) == keys_of([other], ["k"])
