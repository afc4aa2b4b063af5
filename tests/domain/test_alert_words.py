"""What an alert says, which is read as a sentence whatever its numbers are."""

from types import SimpleNamespace
from typing import Any

import pytest

from coreplex.alert import judging


@pytest.mark.parametrize(
    ("requests", "wanted"),
    [(0, "Nobody has asked it anything for 1 min."), (1, "It is asked again; requests in the last 1 min: 1.")],
)
def test_one_of_a_kind_is_not_said_as_many(requests: int, wanted: str) -> None:
    alert: Any = SimpleNamespace(window_secs=60)
    traffic: Any = SimpleNamespace(requests=requests)
    assert str(judging._no_traffic(alert, traffic, served_whole=True).reason) == wanted
