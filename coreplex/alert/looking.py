"""What one look at an alert comes to."""

from typing import NamedTuple

from coreplex.errors.tree import Message


class Seen(NamedTuple):
    """What a look saw. `wrong`: None where too little was asked to say so; `cost` goes on while it is."""

    value: float | None
    wrong: bool | None
    reason: Message | None = None
    cost: Message | None = None


NOTHING = Seen(None, None)
