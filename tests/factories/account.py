"""People and their credentials, made directly in the database; the mails they got; the application they use."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from uuid import uuid4

from argon2 import PasswordHasher
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import select
from sqlmodel import col
from starlette.applications import Starlette

from asgi import create_app
from coreplex.account import keys, tokens
from coreplex.account.table import ApiKey, Mail, User
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Scope, UserRole
from coreplex.platform.settings import Settings
from tests.responses import check

PASSWORD = "a-long-enough-secret"
ADA = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}


@lru_cache
def _hash(password: str) -> str:
    return PasswordHasher(time_cost=1, memory_cost=46 * 1024, parallelism=1).hash(password)


async def make_user(
    database: Database,
    email: str | None = None,
    *,
    password: str = PASSWORD,
    role: UserRole = UserRole.user,
    verified: bool = True,
    active: bool = True,
) -> User:
    user = User(
        email=email or f"{uuid4().hex}@example.com",
        name="Ada",
        password_hash=_hash(password),
        role=role,
        is_active=active,
        email_verified_at=now() if verified else None,
    )
    async with database.transaction() as session:
        session.add(user)
    return user


async def make_key(
    database: Database, user: User, scopes: Iterable[Scope] = tuple(Scope), *, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A key's row and its text."""
    key_id = new_id()
    text = keys.new(key_id)
    row = ApiKey(
        id=key_id,
        user_id=user.id,
        name="key",
        prefix=keys.prefix(key_id),
        secret_hash=tokens.digest(text),
        scopes=[scope.value for scope in scopes],
        expires_at=expires_at,
    )
    async with database.transaction() as session:
        session.add(row)
    return row, text


async def mails_to(database: Database, recipient: str) -> list[Mail]:
    """Oldest first."""
    async with database.read() as session:
        return list(await session.scalars(select(Mail).where(col(Mail.recipient) == recipient).order_by(col(Mail.created_at))))


def token_in(mail: Mail) -> str:
    found = re.search(r"token=([\w-]+)", mail.body)
    assert found is not None, mail.body
    return found[1]


async def sign_in(client: AsyncClient, email: str, password: str = PASSWORD, **more: object) -> dict[str, str]:
    """Sign the client's cookie jar in; returns the header its writes need."""
    answer: Response = await client.post("/api/auth/login", json={"email": email, "password": password, **more})
    assert answer.status_code == 200, answer.text
    return {"X-CSRF-Token": answer.json()["csrf_token"]}


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Starlette]:
    """The whole web application, started."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


def browser(app: Starlette, address: str = "192.0.2.1", base_url: str = "http://localhost:8888") -> AsyncClient:
    """A client with a cookie jar of its own, calling from an address. Every answer is held against the API's description."""
    transport = ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
    return AsyncClient(transport=transport, base_url=base_url, event_hooks={"response": [_checked]})


async def _checked(response: Response) -> None:
    await response.aread()
    check(response)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
