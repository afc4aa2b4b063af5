"""Housekeeping throws away what has ended, and nothing else."""

import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlmodel import col

from coreplex import services as composition
from coreplex.account.table import Session
from coreplex.clock import now
from coreplex.housekeeping import tidy
from coreplex.idempotency.table import IdempotencyKey
from coreplex.services import Services
from coreplex.settings import Settings
from tests.factories.account import make_user


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    made = composition.build(settings)
    yield made
    await made.stop()


async def test_ended_rows_go_and_living_ones_stay(services: Services) -> None:
    user = await make_user(services.database)
    async with services.database.transaction() as session:
        for number, expiry in enumerate((now() - timedelta(seconds=1), now() + timedelta(hours=1))):
            session.add(Session(user_id=user.id, token_hash=bytes([number]) * 32, expires_at=expiry))
        session.add(IdempotencyKey(owner="o", key="old", fingerprint="f", created_at=now() - timedelta(hours=25)))
        session.add(IdempotencyKey(owner="o", key="new", fingerprint="f"))
    await tidy(services)
    async with services.database.read() as session:
        assert (await session.scalars(select(col(Session.token_hash)))).all() == [b"\1" * 32]
        assert (await session.scalars(select(col(IdempotencyKey.key)))).all() == ["new"]


async def test_forgotten_files_go_and_fresh_ones_stay(services: Services) -> None:
    old, fresh = services.staging.new_path(), services.staging.new_path()
    for path in (old, fresh):
        path.write_bytes(b"x")
    work = services.settings.data_dir / "work" / f"{'0' * 36}-{'1' * 36}"
    work.mkdir(parents=True)
    for path in (old, work):
        os.utime(path, (time.time() - 7200,) * 2)
    await tidy(services)
    assert not old.exists()
    assert not work.exists()
    assert fresh.exists()
