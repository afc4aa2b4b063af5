"""Between storage and database: whatever fails in between, no row points at nothing and no file is left for good."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from coreplex.dataset import ingest, table_tasks
from coreplex.dataset.inputs import UploadDataset
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.versions import add_version
from coreplex.errors.tree import BadInput, Conflict, Message
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.isolation import ChildCrashed
from coreplex.platform.permissions import WRITE, Credential, Grant, Principal
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories.dataset import PEOPLE, Person, laboratory, staged_files, stored_files


class Bench:
    """A person's grant and services, below the doors."""

    def __init__(self, services: Services, ada: Person) -> None:
        self.services, self.project_id = services, ada.project_id
        user = ada.user
        self.grant = Grant(
            Principal(
                user_id=user.id,
                email=user.email,
                name=user.name,
                user_role=user.role,
                plan=user.plan,
                credential=Credential.session,
                credential_id=new_id(),
                scopes=frozenset(),
            ),
            WRITE,
        )

    async def staged(self) -> UploadDataset:
        async def chunks() -> AsyncIterator[bytes]:
            yield PEOPLE

        file = await self.services.staging.receive(chunks(), owner_id=self.grant.user_id, filename="a.csv", limit=10_000)
        return UploadDataset(upload_id=str(file.id), project_id=self.project_id, name="People")

    async def jobs(self) -> list[Job]:
        async with self.services.database.read() as session:
            return list(await session.scalars(select(Job).where(col(Job.type) == "storage_delete")))


@pytest.fixture
async def bench(settings: Settings, database: Database) -> AsyncIterator[Bench]:
    async with laboratory(settings, database) as (app, ada):
        yield Bench(app.state.services, ada)


async def test_a_transaction_that_fails_takes_its_files_back(bench: Bench) -> None:
    wanted = await bench.staged()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with ingest.from_upload(bench.services, bench.grant, wanted) as new:
            assert len(stored_files(bench.services)) == 2
            async with bench.services.database.transaction() as session:
                await add_version(session, bench.grant, new, bench.services.settings)
                raise ZeroDivisionError
    assert stored_files(bench.services) == []
    assert len(staged_files(bench.services)) == 2, "the upload is still there for another try"
    async with ingest.from_upload(bench.services, bench.grant, wanted) as new:
        async with bench.services.database.transaction() as session:
            await add_version(session, bench.grant, new, bench.services.settings)
    assert len(stored_files(bench.services)) == 2
    assert staged_files(bench.services) == []


async def test_an_error_after_the_commit_leaves_the_files(bench: Bench) -> None:
    wanted = await bench.staged()
    with pytest.raises(ConnectionError):  # noqa: PT012
        async with ingest.from_upload(bench.services, bench.grant, wanted) as new:
            async with bench.services.database.transaction() as session:
                await add_version(session, bench.grant, new, bench.services.settings)
            raise ConnectionError("the answer to COMMIT was lost")
    assert len(stored_files(bench.services)) == 2
    async with bench.services.database.read() as session:
        assert await session.get(DatasetVersion, new.version.id) is not None


async def test_a_process_that_dies_in_between_is_cleaned_up_after(bench: Bench) -> None:
    opened = ingest.from_upload(bench.services, bench.grant, await bench.staged())
    new = await opened.__aenter__()
    (cleaning,) = await bench.jobs()
    assert cleaning.payload == {"prefix": new.folder}
    assert cleaning.not_before is not None
    assert cleaning.not_before > now() + timedelta(minutes=50)
    async with bench.services.database.transaction() as session:
        await add_version(session, bench.grant, new, bench.services.settings)
    await opened.__aexit__(None, None, None)
    assert await bench.jobs() == [], "nothing is removed once the version is there"


async def test_one_upload_never_becomes_two_datasets(bench: Bench) -> None:
    wanted = await bench.staged()
    async with ingest.from_upload(bench.services, bench.grant, wanted) as first:
        with pytest.raises(Conflict):  # noqa: PT012
            async with ingest.from_upload(bench.services, bench.grant, wanted) as second:
                for new in (first, second):
                    async with bench.services.database.transaction() as session:
                        await add_version(session, bench.grant, new, bench.services.settings)
    async with bench.services.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Dataset)) == 1
    assert {key.split("/")[4] for key in stored_files(bench.services)} == {str(first.version.id)}


async def test_a_crash_of_the_reader_is_a_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object, **__: object) -> dict[str, object]:
        raise ChildCrashed(Message("task_crashed", "signal 11"), "")

    wanted = await bench.staged()
    monkeypatch.setattr(table_tasks, "run_child", crash)
    with pytest.raises(BadInput):
        async with ingest.from_upload(bench.services, bench.grant, wanted):
            pass
    assert stored_files(bench.services) == []
