"""The web application behind a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette

from asgi import configuration
from coreplex.platform.settings import Settings


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
