"""The application in process, and a browser that talks to it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient

from coreplex.platform.settings import Settings
from tests.factories.account import browser, serving


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Any]:
    async with serving(settings) as app:
        yield app


@pytest.fixture
async def client(app: Any) -> AsyncIterator[AsyncClient]:
    async with browser(app) as client:
        yield client
