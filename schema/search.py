"""One search over all nouns, in the public contract."""

from typing import Annotated, Any

import strawberry

from coreplex.platform.page import DEFAULT_PAGE, MAX_PAGE, MAX_SEARCH, Page, Slice
from coreplex.platform.permissions import READ
from coreplex.runtime import search
from resolvers.context import Info
from schema.cost import PRICE, STATEMENT, Price
from schema.dataset import Dataset
from schema.deployment import Deployment
from schema.enums import enum
from schema.experiment import Experiment
from schema.field import Declared, argument, guarded
from schema.job import Job
from schema.model import Model
from schema.pagination import Connection, counted_only
from schema.project import Project

EACH_KIND = Price(each=STATEMENT * (1 + len(search.Kind)))
"""One statement looks, and one for each kind reads what it found."""

SearchKind: Any = enum(
    search.Kind,
    "What can be searched for.",
    {
        "project": "Projects, by name and description.",
        "dataset": "Datasets, by name and description.",
        "experiment": "Experiments, by name and target column.",
        "model": "Models, by name and algorithm.",
        "deployment": "Deployments, by name.",
        "job": "Jobs, by type, message and error.",
    },
    "SearchKind",
)
SearchResult = Annotated[
    Project | Dataset | Experiment | Model | Deployment | Job,
    strawberry.union("SearchResult", description="Something that was found."),
]


async def _search(
    info: Info, text: str, kinds: list[search.Kind] | None = None, first: int | None = None, after: str | None = None
) -> Slice[Any]:
    """What was found, in one read session."""
    page = Page(first, after, counted_only=counted_only(info))
    async with info.context.read() as session:
        return await search.search(session, info.grant, text, kinds or (), page, info.context.count)


ARGUMENTS = (
    argument("text", str, f"Text to find, whatever its case; 1 to {MAX_SEARCH} characters."),
    argument("kinds", list[SearchKind] | None, "Only things of these kinds; all unless said.", None),
    argument("first", int | None, f"Items wanted, 0 to {MAX_PAGE}; {DEFAULT_PAGE} unless said.", None),
    argument("after", str | None, "Only items behind this cursor.", None),
)


@strawberry.type
class SearchQuery:
    search: Connection[SearchResult] | None = guarded(
        Declared(_search, ARGUMENTS),
        READ,
        "What the caller sees of a name: what is called so comes first, then what begins so, then what holds it, then what only "
        "mentions it; the newest first among equals.",
        metadata={PRICE: EACH_KIND},
    )
