"""DataLoaders: one query for many keys, in key order. One batch is one short read session; loaders live as long as a request.

What loads holds the database, not the object that holds the loader: of such a cycle everything a request read would stay until
the garbage collector comes, which holds up everybody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import SQLModel, col
from strawberry.dataloader import DataLoader

from coreplex.account.table import User
from coreplex.artifact.table import Artifact
from coreplex.dataset import service as dataset_service
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.experiment import service as experiment
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.table import Job
from coreplex.membership.table import Membership, Project
from coreplex.model.table import Model
from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.database import Database, ReadSession
from coreplex.platform.paging import Listing, Page, Slice
from coreplex.platform.permissions import Principal
from coreplex.platform.roles import Role
from coreplex.project import service as project
from coreplex.serving.log import documents as inference_log

Row = TypeVar("Row", bound=SQLModel)


class Shared(DataLoader[Any, Any]):
    """A loader whose results survive those who wait: when one field fails, graphql-core cancels the fields beside it, and a
    cancelled result would be kept and end every later field that asks for the same key."""

    def load(self, key: Any) -> Any:
        found: Any = super().load(key)
        found.add_done_callback(_seen)
        return asyncio.shield(found)


def _seen(found: "asyncio.Future[Any]") -> None:
    """Nobody may wait any more for what failed; asyncio would complain of an error that nobody looked at."""
    if not found.cancelled():
        found.exception()


class Pages:
    """The same page of the lists of many things, by the id of the thing."""

    def __init__(self, database: Database, listing: Listing, page: Page) -> None:
        async def count(keys: list[Any]) -> list[int]:
            async with database.read() as session:
                return await listing.counts(session, keys, page)

        counts = Shared(load_fn=count, cache=False)

        async def slices(keys: list[Any]) -> list[Slice[Any]]:
            async with database.read() as session:
                return await listing.slices(session, keys, page, counts.load)

        self._slices = slices
        self._single = Shared(load_fn=slices, cache=False)

    def load(self, key: Any) -> Awaitable[Slice[Any]]:
        """One list; those asked for in the same turn of the loop come from one statement."""
        found: Awaitable[Slice[Any]] = self._single.load(key)
        return found

    async def load_many(self, keys: Iterable[Any]) -> list[Slice[Any]]:
        """All that a level of the answer asks for."""
        return await self._slices(list(keys))


class Loaders:
    """The loaders of one request."""

    def __init__(self, database: Database, size: Callable[[], AnswerSize], principal: Principal | None = None) -> None:
        self._database = database
        self._size = size
        self._principal = principal
        self._pages: dict[Hashable, Pages] = {}

    def batch(self, load: Callable[[ReadSession, list[Any]], Awaitable[Sequence[Any]]]) -> DataLoader[Any, Any]:
        """A loader whose batch function gets a session of its own."""
        database = self._database

        async def run(keys: list[Any]) -> Sequence[Any]:
            async with database.read() as session:
                return await load(session, keys)

        return Shared(load_fn=run)

    def pages(self, place: Hashable, begin: Callable[[], tuple[Listing, Page]]) -> "Pages":
        """Pages of lists within things, by the id of the thing: one statement for all that ask at once, one for their counts.

        `place` stands for the selection of the document that asks, with the same arguments each time. Nothing is kept: a list may
        have changed between two mutations.
        """
        if place not in self._pages:
            self._pages[place] = Pages(self._database, *begin())
        return self._pages[place]

    def rows(self, table: type[Row], *options: ExecutableOption) -> DataLoader[UUID, Row | None]:
        """Rows by id; None where there is none. `options` say which columns stay behind."""
        columns: Any = table

        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[Row | None]:
            query = select(table).where(columns.id.in_(ids)).options(*options)
            found = {row.id: row for row in await session.scalars(query)}  # type: ignore[attr-defined]
            return [found.get(key) for key in ids]

        return self.batch(load)

    @cached_property
    def user(self) -> DataLoader[UUID, User | None]:
        return self.rows(User)

    @cached_property
    def project(self) -> DataLoader[UUID, Project | None]:
        return self.rows(Project)

    @cached_property
    def project_counts(self) -> DataLoader[UUID, dict[str, int]]:
        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[dict[str, int]]:
            counts = await project.counts(session, ids)
            return [{name: table.get(key, 0) for name, table in counts.items()} for key in ids]

        return self.batch(load)

    @cached_property
    def own_role(self) -> DataLoader[UUID, Role | None]:
        """The caller's role by project id."""
        caller = self._principal.user_id if self._principal else None

        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[Role | None]:
            own = col(Membership.user_id) == caller
            found = await session.execute(
                select(col(Membership.project_id), col(Membership.role)).where(own, col(Membership.project_id).in_(ids))
            )
            roles = dict(found.all())
            return [roles.get(key) for key in ids]

        return self.batch(load)

    @cached_property
    def experiment(self) -> DataLoader[UUID, Experiment | None]:
        return self.rows(Experiment)

    @cached_property
    def model(self) -> DataLoader[UUID, Model | None]:
        return self.rows(Model)

    @cached_property
    def artifact(self) -> DataLoader[UUID, Artifact | None]:
        return self.rows(Artifact)

    @cached_property
    def job(self) -> DataLoader[UUID, Job | None]:
        return self.rows(Job)

    @cached_property
    def dataset_version(self) -> DataLoader[UUID, DatasetVersion | None]:
        """Versions without their documents; those come from `dataset_documents`."""
        return self.rows(DatasetVersion, *dataset_service.LIGHT)

    @cached_property
    def dataset(self) -> DataLoader[UUID, Dataset | None]:
        return self.rows(Dataset)

    @cached_property
    def latest_dataset_version(self) -> DataLoader[UUID, DatasetVersion | None]:
        """The latest version by dataset id."""

        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[DatasetVersion | None]:
            found = {version.dataset_id: version for version in await dataset_service.latest(session, ids)}
            return [found.get(key) for key in ids]

        return self.batch(load)

    @cached_property
    def dataset_version_count(self) -> DataLoader[UUID, int]:
        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[int]:
            found = await dataset_service.version_counts(session, ids)
            return [found.get(key, 0) for key in ids]

        return self.batch(load)

    @cached_property
    def dataset_documents(self) -> DataLoader[UUID, dataset_service.Documents | None]:
        """Schema, profile and quality by version id; of all versions of a request no more than an answer may be made from."""

        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[dataset_service.Documents | None]:
            found = await dataset_service.documents(session, ids, self._size().read)
            return [found.get(key) for key in ids]

        return self.batch(load)

    @cached_property
    def log_documents(self) -> DataLoader[inference_log.Key, inference_log.Documents | None]:
        """What was asked and answered, by id and time of a row of the inference log; never more than an answer may hold."""
        size = self._size

        async def load(session: ReadSession, keys: list[inference_log.Key]) -> Sequence[inference_log.Documents | None]:
            with size().reading() as counted:
                found = await inference_log.documents(session, keys, counted.add)
            return [found.get(key) for key in keys]

        return self.batch(load)

    @cached_property
    def experiment_model_count(self) -> DataLoader[UUID, int]:
        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[int]:
            key = col(Model.experiment_id)
            query = select(key, func.count()).where(key.in_(ids)).group_by(key)
            found = dict((await session.execute(query)).all())
            return [found.get(one, 0) for one in ids]

        return self.batch(load)

    @cached_property
    def engine_runs(self) -> DataLoader[UUID, list[EngineRun]]:
        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[list[EngineRun]]:
            runs = await experiment.engine_runs(session, ids)
            return [[run for run in runs if run.experiment_id == one] for one in ids]

        return self.batch(load)

    @cached_property
    def serving_stages(self) -> DataLoader[UUID, frozenset[str]]:
        """Stages in which an active deployment serves a model."""

        async def load(session: ReadSession, ids: list[UUID]) -> Sequence[frozenset[str]]:
            query = select(col(Deployment.model_id), col(Deployment.stage)).where(
                col(Deployment.model_id).in_(ids), col(Deployment.status) == DeploymentStatus.active
            )
            found = (await session.execute(query)).all()
            return [frozenset(str(stage) for model_id, stage in found if model_id == one) for one in ids]

        return self.batch(load)
