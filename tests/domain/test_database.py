"""Sessions for reading write nothing, and a loader's results belong to all who wait for them."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select

from coreplex.account.table import User
from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.database import Database
from resolvers.account import users
from resolvers.loading import Asking, Loaders
from tests.factories.account import make_user


async def test_a_reading_session_never_writes(database: Database) -> None:
    user = await make_user(database)
    async with database.read() as session:
        session.add(User(email="new@example.com", name="n", password_hash="x"))
        with pytest.raises(TypeError, match="transaction"):
            await session.flush()
    async with database.read() as session:
        (await session.get_one(User, user.id)).name = "changed"
        assert await session.scalar(select(func.count()).select_from(User)) == 1  # a query does not flush on the way
    async with database.read() as session:
        assert (await session.get_one(User, user.id)).name == user.name


async def test_a_field_that_is_cancelled_leaves_what_others_wait_for(database: Database) -> None:
    user = await make_user(database)
    loaders = Loaders(database, Asking(None, AnswerSize))

    async def wait() -> Any:
        return await loaders[users].load(user.id)

    first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    first.cancel()
    found = await second
    assert found is not None
    assert found.id == user.id
    assert (await loaders[users].load(user.id)).id == user.id
