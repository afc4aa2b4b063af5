"""Fixtures every area shares: real PostgreSQL and Redis, one database per xdist worker, emptied before each test.

A test that is a coroutine runs on asyncio by itself (`anyio_mode = "auto"`). DATABASE_URL and REDIS_URL choose other servers:
databases are made beside the one named and dropped again; of that Redis the databases from 8 on
(TESTS_REDIS_OFFSET) are used, and must be empty.
"""

import os

# Before NumPy: two workers on two cores whose linear algebra takes two threads each wait for one another, 30 times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import structlog
from hypothesis import settings as property_settings

from coreplex.platform.database import Database
from coreplex.platform.memory import collect_rarely
from coreplex.platform.settings import Settings
from tests import kept_engines, servers

if TYPE_CHECKING:
    from httpx import AsyncClient
    from starlette.applications import Starlette

    from coreplex.platform.services import Services
    from tests.factories.asking import Asker
    from tests.factories.dataset import Person
    from tests.factories.experiment import Lab
    from tests.stack import Stack

GENEROUS = "100000/minute"
EXTERNAL_REDIS_OFFSET = int(os.environ.get("TESTS_REDIS_OFFSET", "8"))


# The suite tries the same examples every time, however long each takes on a busy machine; scripts/check tries others.
property_settings.register_profile("repeated", derandomize=True, deadline=None)
property_settings.register_profile("random", deadline=None)
property_settings.load_profile("repeated")


class Harness:
    """The servers of this session, started when first asked for, by the one process that owns them."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.started: servers.Servers | None = None

    def start(self) -> dict[str, str]:
        if not self.addresses:
            database, cache = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
            if not (database and cache):
                self.started = servers.start()
                database = database or self.started.postgres.url("postgres")
                cache = cache or self.started.valkey.url()
            self.addresses = {"database": database, "redis": cache, "template": f"coreplexml_template_{os.getpid()}"}
            servers.make_template(database, self.addresses["template"])
        return self.addresses

    def stop(self) -> None:
        if self.addresses and os.environ.get("DATABASE_URL"):
            servers.drop_template(self.addresses["database"], self.addresses["template"])
        if self.started:
            self.started.stop()
        self.addresses, self.started = {}, None


harness = Harness()
# structlog's default draws tracebacks by way of rich: 1.5 s each, in the event loop of the server that the test's process is.
PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The xdist controller hands the servers' addresses to each worker."""
    node.workerinput["addresses"] = harness.start()


def pytest_collection_finish() -> None:
    """As the web process does when all is loaded: of tests of GraphQL looking through it took 23 % of the CPU time."""
    collect_rarely()


def pytest_unconfigure() -> None:
    harness.stop()


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": kept_engines.loop}


@pytest.fixture(scope="session")
def addresses(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the session's servers are: `database` (its maintenance database), `redis`, and the `template`'s name."""
    given: dict[str, dict[str, str]] = getattr(request.config, "workerinput", {})
    return given.get("addresses") or harness.start()


@pytest.fixture(scope="session")
def worker_database_url(addresses: dict[str, str], worker_id: str) -> Iterator[str]:
    name = f"coreplexml_{worker_id}_{os.getpid()}"
    url = servers.make_database(addresses["database"], name, addresses["template"])
    with kept_engines.kept(url):
        yield url
    servers.drop_database(addresses["database"], name)


@pytest.fixture(scope="session")
def worker_redis_url(addresses: dict[str, str], worker_id: str) -> str:
    external = os.environ.get("REDIS_URL") == addresses["redis"]
    number = (int(worker_id[2:]) if worker_id.startswith("gw") else 0) + (EXTERNAL_REDIS_OFFSET if external else 0)
    url = servers.redis_database(addresses["redis"], number)
    if external:
        with redis.Redis.from_url(url) as client:
            assert client.dbsize() == 0, f"database {number} of REDIS_URL is not empty; the tests would delete what is in it"
    return url


@pytest.fixture(scope="session")
def emptier(worker_database_url: str) -> Iterator[servers.Emptier]:
    with servers.Emptier(worker_database_url) as made:
        yield made


@pytest.fixture
def database_url(worker_database_url: str, emptier: servers.Emptier) -> str:
    """Address of a migrated database without a row."""
    emptier.empty()
    return worker_database_url


@pytest.fixture
def empty_database_url(addresses: dict[str, str], worker_id: str) -> Iterator[str]:
    """Address of a database without a table, for tests of migrations."""
    name = f"coreplexml_bare_{worker_id}_{os.getpid()}"
    yield servers.make_database(addresses["database"], name, "template0")
    servers.drop_database(addresses["database"], name)


@pytest.fixture
def redis_url(worker_redis_url: str) -> str:
    """Address of an empty Redis database."""
    servers.flush(worker_redis_url)
    return worker_redis_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url, pool_size=8)  # of which one caller, the test, has at most half
    yield made
    await made.close()


@pytest.fixture(scope="session")
def stack(addresses: dict[str, str], worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Stack"]:
    """A running server: a web process and a worker, shared by all tests of this xdist worker that ask for it."""
    from tests.stack import beside  # the whole server: tests of engines do without it

    with beside(addresses, worker_id, tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="session")
def trained(stack: "Stack") -> Iterator["Lab"]:
    """A person on that server with a finished experiment. Whoever changes it makes something of their own."""
    from tests.factories import experiment

    with experiment.trained(stack) as made:
        yield made


@pytest.fixture
def own_lab(stack: "Stack") -> Iterator["Lab"]:
    """The same with one model in a project of the test's own, for one that trains more in it."""
    from tests.factories import experiment

    with experiment.trained(stack, experiment.ONE_MODEL) as made:
        yield made


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings on the test servers, with a data folder of their own and rate limits nobody reaches."""
    limits = {name: GENEROUS for name in Settings.model_fields if name.startswith("rate_limit_")}
    return Settings.model_validate(
        {"data_dir": tmp_path / "data", "database_url": database_url, "redis_url": redis_url, **limits}
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator["Starlette"]:
    """The whole web application in this process, started."""
    from tests.factories.account import serving

    async with serving(settings) as made:
        yield made


@pytest.fixture
def services(app: "Starlette") -> "Services":
    """The services of `app`."""
    found: Services = app.state.services
    return found


@pytest.fixture
async def client(app: "Starlette") -> AsyncIterator["AsyncClient"]:
    """A browser nobody has signed in with yet; its answers are held against the API's description."""
    from tests.factories.account import browser

    async with browser(app) as made:
        yield made


@pytest.fixture
async def asker(app: "Starlette", database: Database) -> AsyncIterator["Asker"]:
    """Two furnished projects, and a client to ask about them."""
    from tests.factories.account import browser
    from tests.factories.asking import Asker
    from tests.factories.world import world

    async with world(app, database) as made, browser(app) as client:
        yield Asker(made, client)


@pytest.fixture
async def lab(app: "Starlette", database: Database) -> AsyncIterator[tuple["Starlette", "Person"]]:
    """The application, and a person with a project who may upload tables."""
    from tests.factories.dataset import person

    async with person(app, database) as someone:
        yield app, someone


@pytest.fixture
def ada(lab: tuple["Starlette", "Person"]) -> "Person":
    """The person of `lab`."""
    return lab[1]
