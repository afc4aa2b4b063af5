"""The whole web application, in process and behind a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hypothesis  # noqa: F401 its pytest plugin imports it after the last test otherwise, where CPython 3.11 may fail on it
import pytest
import uvicorn
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette

from asgi import configuration, create_app
from coreplex.platform.database import Database
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving
from tests.factories.asking import Asker
from tests.factories.world import world


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Starlette]:
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def services(app: Starlette) -> Services:
    found = app.state.services
    assert isinstance(found, Services)
    return found


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost:8888") as made:
        yield made


@pytest.fixture
async def address(app: Starlette, settings: Settings) -> AsyncIterator[str]:
    """`localhost:PORT` of the same application behind uvicorn, for streams and sockets."""
    async with served_on(app, settings) as found:
        yield found


@asynccontextmanager
async def served_on(app: Starlette, settings: Settings) -> AsyncIterator[str]:
    """The application on a port of its own, run as `asgi` does."""
    bound = socket.create_server(("127.0.0.1", 0))
    config = configuration(settings, app)
    config.lifespan, config.timeout_graceful_shutdown = "off", 1
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([bound]))
    while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"localhost:{bound.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def asker(settings: Settings, database: Database) -> AsyncIterator[Asker]:
    """Two furnished projects, and a client to ask about them."""
    async with serving(settings) as app, world(app, database) as made, browser(app) as client:
        yield Asker(made, client)
