"""The logs of things as lists: what experiments, and the things that jobs work on, had to say."""

from typing import Any

from sqlalchemy import Select
from sqlmodel import col

from coreplex.event.table import Event
from coreplex.platform.filtering import moments, text, words
from coreplex.platform.page import Order, Search, SortDirection
from coreplex.platform.paging import Listing


def logs_of(query: Select[Any], parent: Any) -> Listing:
    """The lines among the events of a query, oldest first, within what `parent` names."""
    return Listing(
        noun="LogLine",
        query=query,
        identity=col(Event.seq),
        order=Order(
            {"seq": col(Event.seq), "created_at": col(Event.created_at), "level": col(Event.level)},
            field="seq",
            direction=SortDirection.asc,
        ),
        search=Search("the message and the level", (col(Event.message), col(Event.level))),
        filters={
            "level": words(col(Event.level), "Only lines of these levels."),
            "message": text(col(Event.message), "By message."),
            "created_at": moments(col(Event.created_at), "By when they were written."),
        },
        parent=parent,
    )
