"""What one look at an alert comes to."""

from datetime import datetime
from typing import NamedTuple

from coreplex.errors.tree import Message


class Seen(NamedTuple):
    """What a look saw. `wrong`: None where too little was asked to say so; `cost` goes on while it is."""

    value: float | None
    wrong: bool | None
    reason: Message | None = None
    cost: Message | None = None


NOTHING = Seen(None, None)
NOT_SERVING = Seen(None, None, Message("alert_not_serving", "Its deployment does not serve any more."))


def over(seen: Seen, since: datetime) -> Message:
    """Why an alert is over, by the last look. With too few requests nobody is hurt, but nothing was mended either: it says so."""
    if seen.wrong is None and seen.reason is not None:
        return seen.reason
    moment = f"{since:%Y-%m-%d %H:%M:%S} UTC"
    if seen.wrong is None:
        return Message(
            "alert_too_few_to_tell",
            "Nothing wrong was seen since {since}, but the last look had too few requests or rows to tell.",
            since=moment,
        )
    return Message("alert_nothing_wrong", "Nothing wrong was seen since {since}.", since=moment)
