"""Names near a name that is not known, for errors and warnings that say which one was probably meant."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from unicodedata import normalize

from coreplex.errors.tree import Message

_LONGEST = 200
"""Characters compared: a name of a megabyte must not cost minutes."""
_MOST = 20
"""Names that are said."""


def folded(name: str) -> str:
    """A name without what people and their systems spell differently: case, blanks, underscores, hyphens and dots, and letters in
    one part or in two (Unicode's form NFKC)."""
    return "".join(letter for letter in normalize("NFKC", name[:_LONGEST]).casefold() if letter not in " _-.\t")


def by_nearness(name: str, names: Iterable[str]) -> list[str]:
    """`names`, the most similar to `name` first; equally similar ones keep their order (Ratcliff and Obershelp 1988)."""
    matcher = difflib.SequenceMatcher(b=folded(name), autojunk=False)
    ratios = {}
    for known in names:
        matcher.set_seq1(folded(known))
        ratios[known] = matcher.ratio()
    return sorted(ratios, key=lambda known: -ratios[known])


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The one of `names` that was probably meant; None when none is similar."""
    wanted = folded(name)
    alike = [known for known in names if folded(known) == wanted]
    if alike:
        return alike[0]
    close = difflib.get_close_matches(wanted, list(dict.fromkeys(map(folded, names))), 1)
    return next((known for known in names if folded(known) in close), None)


def hint(name: str, names: Sequence[str]) -> Message | None:
    """`Did you mean 'x'?`, or nothing when no name is similar."""
    found = nearest(name, names)
    return Message("did_you_mean", "Did you mean '{nearest}'?", nearest=found) if found is not None else None


def nearest_first(names: Sequence[str]) -> Message:
    """Which names there are, as `by_nearness` sorted them."""
    return Message("nearest_first", "It has (nearest first): {names}.", names=listed(names, _MOST))


def none_of(choices: Iterable[str]) -> Message:
    """Which words there are, for one that is none of them."""
    return Message("none_of", "must be one of {choices}", choices=list(choices))


def listed(names: Sequence[str], most: int) -> list[str]:
    """The first of the names; an ellipsis stands for the rest."""
    return [*names[:most], *(["…"] if len(names) > most else [])]


def ignored(names: Iterable[str], known: Sequence[str], say: Callable[[str], Message]) -> list[Message]:
    """What `say` says of each name that is not known, and the nearest one that is; of the first twenty."""
    unknown = islice((name for name in names if name not in known), _MOST)
    return [say(name[:100]).then(hint(name, known)) for name in unknown]
