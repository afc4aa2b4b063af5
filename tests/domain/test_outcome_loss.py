"""What an outcome costs the answer it is held against."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from coreplex.outcome.counting import loss
from coreplex.outcome.entries import Entry


def entry(answer: Any, **more: Any) -> Entry:
    return Entry("r", 0, uuid4(), 1, datetime.now(UTC), uuid4(), None, None, {"prediction": answer, **more}, None)


@pytest.mark.parametrize(
    ("answer", "outcome", "cost"),
    [
        ("True", True, 0),
        ("True", "true", 0),
        ("false", False, 0),
        (False, "FALSE", 0),
        ("True", False, 1),
        ("1", 1.0, 0),
        (1, "1", 0),
        ("yes", "Yes", 1),
        ("yes", True, 1),
    ],
)
def test_a_class_is_the_same_however_json_has_it(answer: Any, outcome: Any, cost: int) -> None:
    assert loss(entry(answer, probabilities={}), outcome) == cost


def test_a_number_costs_its_distance() -> None:
    assert loss(entry(2.5), 4) == 1.5
