"""One search over everything that has a name, in the projects of the caller: what is called so comes first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Float, Select, case, cast, func, literal, or_, select, union_all
from sqlmodel import col

from coreplex.dataset.service import DATASETS
from coreplex.dataset.table import Dataset
from coreplex.deployment.listing import DEPLOYMENTS
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Invalid, Message
from coreplex.experiment.service import EXPERIMENTS
from coreplex.experiment.table import Experiment
from coreplex.job.queries import JOBS
from coreplex.job.table import Job
from coreplex.membership.table import Project
from coreplex.model.service import MODELS
from coreplex.model.table import Model
from coreplex.platform.columns import sentence
from coreplex.platform.cursor import beyond, encode, position
from coreplex.platform.database import ReadSession
from coreplex.platform.filtering import containing
from coreplex.platform.page import MAX_SEARCH, Page, Slice
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import behind
from coreplex.project.service import PROJECTS


class Kind(StrEnum):
    """What can be found."""

    project = "project"
    dataset = "dataset"
    experiment = "experiment"
    model = "model"
    deployment = "deployment"
    job = "job"


@dataclass(frozen=True)
class Source:
    """Things of one kind: their list says who sees them, `also` is what is looked into besides the name; `called` is what stands
    for the name of what has none."""

    listing: Listing
    table: Any
    also: Sequence[Any] = ()
    called: Any = None

    @property
    def name(self) -> Any:
        return self.table.name if self.called is None else self.called

    def matches(self, grant: Grant, text: str) -> Select[Any]:
        """Identifier and merit of those that hold the text."""
        assert self.listing.visible is not None, "what is found over all lists must say who sees it"
        holds = or_(*(containing(column, text) for column in (self.name, *self.also)))
        found = select(self.table.id.label("id"), self._merit(text).label("merit"))
        return found.where(self.listing.visible(grant), holds)

    def _merit(self, text: str) -> ColumnElement[float]:
        """One number, so that it can be a keyset: called so, beginning so, holding it in the name, or elsewhere; then its age."""
        name = func.lower(self.name)
        begins = func.starts_with(name, text.lower())
        degree = case((name == text.lower(), 3.0), (begins, 2.0), (containing(self.name, text), 1.0), else_=0.0)
        return cast(degree * 1e11 + func.floor(func.extract("epoch", self.table.created_at)), Float)


SOURCES: Mapping[Kind, Source] = {
    Kind.project: Source(PROJECTS, Project, (col(Project.description),)),
    Kind.dataset: Source(DATASETS, Dataset, (col(Dataset.description),)),
    Kind.experiment: Source(EXPERIMENTS, Experiment, (col(Experiment.target_column),)),
    Kind.model: Source(MODELS, Model, (col(Model.algo),)),
    Kind.deployment: Source(DEPLOYMENTS, Deployment),
    Kind.job: Source(JOBS, Job, (col(Job.message), sentence(col(Job.error))), col(Job.type)),
}


async def search(
    session: ReadSession,
    grant: Grant,
    text: str,
    kinds: Sequence[Kind],
    page: Page,
    count: Callable[[Select[Any]], Awaitable[int]],
) -> Slice[Any]:
    """Things that hold the text, best matches first, the newest first among equals. Raises Invalid for one that says nothing."""
    text = text.replace("\0", "").strip()
    if not 1 <= len(text) <= MAX_SEARCH:
        raise Invalid.field(Message("search_text_length", "must have 1 to {most} characters", most=MAX_SEARCH), "text")
    sources = [SOURCES[kind] for kind in dict.fromkeys(kinds or Kind)]
    parts = [source.matches(grant, text).add_columns(literal(place).label("place")) for place, source in enumerate(sources)]
    found = union_all(*parts).subquery("found")
    counted = select(func.count()).select_from(found)
    query = select(found.c.place, found.c.id, found.c.merit).order_by(found.c.merit.desc(), found.c.id.desc())
    if page.after is not None:
        merit, identity = position(page.after, "after", found.c.merit, found.c.id)
        since = None if merit is None else literal(merit)
        query = query.where(beyond(since, literal(identity), "after", found.c.merit, found.c.id, down=True))
    places = (await session.execute(query.limit(page.size + 1))).all() if not page.counted_only else ()
    whole = len(places) if not (page.counted_only or page.after or len(places) > page.size) else None
    rows = await _rows(session, sources, places[: page.size])
    there = [place for place in places[: page.size] if place.id in rows]
    return Slice(
        nodes=[rows[place.id] for place in there],
        cursors=[encode(place.merit, place.id) for place in there],
        has_next=len(places) > page.size,
        has_previous=page.after is not None,
        counting=lambda: count(counted),
        total=whole,
    )


async def _rows(session: ReadSession, sources: Sequence[Source], places: Sequence[Any]) -> Mapping[Any, Any]:
    """The things that were found, by identifier: one statement for each kind among them."""
    found: dict[Any, Any] = {}
    for number, source in enumerate(sources):
        ids = [place.id for place in places if place.place == number]
        if ids:
            query = select(source.table).where(source.table.id.in_(ids)).options(*behind(source.table, source.listing.without))
            found.update({row.id: row for row in await session.scalars(query)})
    return found
