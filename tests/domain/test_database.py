"""Sessions for reading write nothing, and a loader's results belong to all who wait for them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlmodel import col

from coreplex.account.table import User
from coreplex.errors.tree import Unavailable
from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.database import IDLE_TRANSACTION_MS, Database
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


async def test_a_transaction_whose_process_is_frozen_keeps_no_lock(database: Database) -> None:
    """PostgreSQL ends it; whoever wakes up in it is told that the database was away, and nothing of it is kept."""
    user = await make_user(database)

    async def named(name: str) -> None:
        async with database.transaction() as session:
            await session.execute(update(User).where(col(User.id) == user.id).values(name=name))
            if name == "frozen":
                await session.execute(text("SET idle_in_transaction_session_timeout = 50"))
                held.set()
                await waited_for.wait()
                await session.execute(select(1))

    async with database.transaction() as session:
        assert await session.scalar(text("SELECT current_setting('idle_in_transaction_session_timeout')::interval")) == timedelta(
            milliseconds=IDLE_TRANSACTION_MS
        )
    held, waited_for = asyncio.Event(), asyncio.Event()
    frozen = asyncio.create_task(named("frozen"))
    await held.wait()
    await named("living")  # once the lock is free
    waited_for.set()
    with pytest.raises(Unavailable):
        await frozen
    await named("again")  # no connection of the pool is a dead one
    async with database.read() as session:
        assert (await session.get_one(User, user.id)).name == "again"


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
