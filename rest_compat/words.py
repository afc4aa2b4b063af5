"""What is said of a word that is none of those an endpoint knows."""

from collections.abc import Iterable

from coreplex.errors.nearest import nearest, none_of
from coreplex.errors.tree import Message


def one_of(known: Iterable[str], sent: object = None) -> Message:
    """Which words there are, and the one that was probably meant."""
    words = [str(word) for word in known]
    meant = nearest(sent, words) if isinstance(sent, str) else None
    if meant is None:
        return none_of(words)
    return Message("misspelt", "must be one of {choices}; did you mean '{meant}'?", choices=words, meant=meant)
