"""How a message goes on with another one."""

import pytest

from coreplex.errors.nearest import hint, none_of
from coreplex.errors.tree import Message


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ("is no column", hint("aera", ["area"]), "is no column. Did you mean 'area'?"),
        ("there is no event", none_of(["a", "b"]), "there is no event; must be one of a, b"),
        ("It is over.", hint("aera", ["area"]), "It is over. Did you mean 'area'?"),
        ("It is over", None, "It is over"),
    ],
)
def test_sentences_are_told_apart(first: str, then: Message | None, said: str) -> None:
    assert Message("first", first).then(then) == said
