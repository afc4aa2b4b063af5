"""Random histories of sessions and keys: a credential works exactly as long as a simple model says, a dead one never again."""

import random
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text, update
from sqlmodel import col

from coreplex.account import api_key, authenticate, signin
from coreplex.account.cache import forget
from coreplex.account.inputs import CreateApiKey, RevokeApiKey
from coreplex.account.table import ApiKey, Session, User
from coreplex.errors.tree import Unauthenticated
from coreplex.platform.clock import now
from coreplex.platform.permissions import Grant, Scope
from coreplex.platform.services import Services
from tests.factories.account import make_user

STEPS = 60


class History:
    """What was done to one user's credentials, and which should still work."""

    def __init__(self, services: Services, user: User, seed: int) -> None:
        self.services, self.user, self.random = services, user, random.Random(seed)
        self.sessions: dict[str, bool] = {}
        self.keys: dict[str, bool] = {}
        self.rows: dict[str, UUID] = {}

    async def login(self) -> None:
        alive = [token for token, works in self.sessions.items() if works]
        old = self.random.choice(alive) if alive and self.random.random() < 0.5 else None
        async with self.services.database.transaction() as session:
            ended = await signin.end_session(session, old)
            token = await signin.open_session(session, self.user.id)
        if old is not None and ended is not None:
            forget(self.services, ended)
            self.sessions[old] = False
        self.sessions[token] = True

    async def logout(self) -> None:
        if self.sessions:
            token = self.random.choice(list(self.sessions))
            async with self.services.database.transaction() as session:
                ended = await signin.end_session(session, token)
            if ended is not None:
                forget(self.services, ended)
            self.sessions[token] = False

    async def logout_everywhere(self) -> None:
        async with self.services.database.transaction() as session:
            await signin.end_all_sessions(session, self.user.id)
        forget(self.services, self.user.id)
        self.sessions = dict.fromkeys(self.sessions, False)

    async def expire(self) -> None:
        past = now() - timedelta(seconds=1)
        async with self.services.database.transaction() as session:
            await session.execute(update(Session).values(expires_at=past))
            await session.execute(update(ApiKey).where(col(ApiKey.id).in_(list(self.rows.values())[:1])).values(expires_at=past))
        forget(self.services, self.user.id)
        self.sessions = dict.fromkeys(self.sessions, False)
        self.keys.update(dict.fromkeys(list(self.rows)[:1], False))

    async def create_key(self) -> None:
        async with self.services.database.transaction() as session:
            wanted = CreateApiKey(name="k", scopes=[Scope.read])
            key, row = await api_key.create(session, await self._grant(), wanted, self.services.settings)
        self.keys[key], self.rows[key] = True, row.id

    async def revoke_key(self) -> None:
        if self.keys:
            key = self.random.choice(list(self.keys))
            async with self.services.database.transaction() as session:
                await api_key.revoke(session, await self._grant(), RevokeApiKey(api_key_id=str(self.rows[key])))
            forget(self.services, self.rows[key])
            self.keys[key] = False

    async def roll_back(self) -> None:
        """A logout that did not commit did not happen."""
        if self.sessions:
            with suppress(InterruptedError):
                async with self.services.database.transaction() as session:
                    await session.execute(text("DELETE FROM sessions"))
                    raise InterruptedError

    async def _grant(self) -> Grant:
        async with self.services.database.transaction() as session:
            token = await signin.open_session(session, self.user.id)
        self.sessions[token] = True
        return Grant(await authenticate.by_session(self.services, token))

    async def check(self) -> None:
        for token, works in self.sessions.items():
            assert await self._accepted(authenticate.by_session, token) is works
        for key, works in self.keys.items():
            assert await self._accepted(authenticate.by_key, key) is works

    async def _accepted(self, ask: object, credential: str) -> bool:
        try:
            principal = await ask(self.services, credential)  # type: ignore[operator]
        except Unauthenticated:
            return False
        assert principal.user_id == self.user.id
        return True


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_credentials_work_exactly_as_long_as_they_should(services: Services, seed: int) -> None:
    history = History(services, await make_user(services.database), seed)
    doings = (history.login, history.logout, history.create_key, history.revoke_key, history.roll_back)
    rarely = (history.logout_everywhere, history.expire)
    for _ in range(STEPS):
        await history.random.choice(doings * 3 + rarely)()
        await history.check()
