"""What is said of a word that is none of those an endpoint knows."""

from collections.abc import Iterable

from coreplex.errors.nearest import nearest


def one_of(known: Iterable[str], sent: object = None) -> str:
    """Which words there are, and the one that was probably meant."""
    words = [str(word) for word in known]
    meant = nearest(sent, words) if isinstance(sent, str) else None
    return f"must be one of {', '.join(words)}" + (f"; did you mean '{meant}'?" if meant is not None else "")
