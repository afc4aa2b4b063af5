"""A project to have jobs in, a deployment and its log, short periods, and servers that may be killed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from coreplex.account.table import User
from coreplex.job.timing import Timing
from coreplex.membership.table import Project
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.serving.log.writer import InferenceWriter
from coreplex.supervisor.trouble import Trouble
from tests import servers
from tests.factories.served import Served, serve
from tests.jobs.harness import Workers

QUICK = Timing(lease=2.0, beat=0.4, sweep=0.4, redispatch=1.5, flush=0.1, backoff=0.05, backoff_most=0.2, drain=3.0)


@pytest.fixture
def timing() -> Timing:
    return QUICK


@pytest.fixture
def workers(settings: Settings, timing: Timing) -> Iterator[Workers]:
    """Starts worker processes; those still alive at the end are killed."""
    made = Workers(settings, timing)
    yield made
    for process in made.alive:
        process.kill()
        process.wait()


async def make_project(database: Database) -> UUID:
    async with database.transaction() as session:
        user = User(email="ada@example.org", name="Ada", password_hash="-")
        session.add(user)
        await session.flush()
        project = Project(owner_id=user.id, name="Engine")
        session.add(project)
    return project.id


@pytest.fixture
async def project_id(database: Database) -> UUID:
    return await make_project(database)


@pytest.fixture
async def served(database: Database) -> Served:
    return await serve(database)


@pytest.fixture
async def writer(database: Database, tmp_path: Path) -> AsyncIterator[InferenceWriter]:
    made = InferenceWriter(database, tmp_path / "spool")
    yield made
    await made.stop()


@pytest.fixture
def running() -> Iterator[servers.Servers]:
    """Servers of the test's own."""
    with servers.running() as found:
        yield found


@pytest.fixture
def mortal_settings(running: servers.Servers, tmp_path: Path) -> Settings:
    """Settings on those servers, where what was committed survives a kill of PostgreSQL."""
    maintenance = running.postgres.url("postgres")
    servers.make_template(maintenance, "template")
    url = servers.make_database(maintenance, "mortal", "template")
    # The other shortcuts of the test servers only matter when the machine itself dies.
    servers.execute(maintenance, "ALTER DATABASE mortal SET synchronous_commit = on")
    return Settings.model_validate({"data_dir": tmp_path / "data", "database_url": url, "redis_url": running.valkey.url()})


def kill_postgres(running: servers.Servers) -> None:
    """SIGKILL to the postmaster."""
    child = running.postgres.child
    assert child is not None
    child.kill()
    child.wait()


def revive_postgres(running: servers.Servers) -> None:
    """Start it again, which only works once the last back-end of the killed one has noticed."""
    for _ in range(20):
        with suppress(Trouble):
            running.postgres.start()
            return running.postgres.wait(limit_secs=20)
    raise AssertionError("PostgreSQL did not come back")
