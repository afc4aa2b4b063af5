"""Work on one thing after the other, so that one that fails keeps none of the others waiting."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import structlog

from coreplex.errors.tree import Unavailable
from coreplex.platform.database import refers_to_nothing

Item = TypeVar("Item")

log = structlog.get_logger(__name__)


async def one_by_one(items: Iterable[Item], work: Callable[[Item], Awaitable[Any]], event: str) -> None:
    """Do it for each. What fails is logged as `event`; only that the database is away, which is so for all, is raised.

    Of what is deleted meanwhile nothing can be kept, and nothing is wrong: the next round does not find it.
    """
    for item in items:
        try:
            await work(item)
        except Unavailable:
            raise
        except Exception as error:
            if refers_to_nothing(error):
                log.info(event, item=str(item), reason="It was deleted meanwhile.")
            else:
                log.exception(event, item=str(item))
