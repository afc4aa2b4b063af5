"""`/api/auth` as the contract describes it: registration, confirmation, sign-in and sign-out over HTTP."""

from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import text

from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import ADA, PASSWORD, browser, mails_to, make_user, serving, sign_in, token_in


async def test_from_registration_to_logout(client: AsyncClient, database: Database) -> None:
    answer = await client.post("/api/auth/register", json=ADA)
    assert answer.status_code == 201
    assert answer.json()["verification_required"] is True
    assert set(answer.json()["user"]) == {"id", "email", "name"}
    assert (await client.post("/api/auth/login", json=ADA)).status_code == 403, "right password, e-mail unconfirmed"
    assert (await client.post("/api/auth/login", json=ADA | {"password": "wrong password"})).status_code == 401

    (mail,) = await mails_to(database, "ada@example.com")
    assert "http://localhost:8888/auth/verify-email?token=" in mail.body
    answer = await client.get("/api/auth/verify-email", params={"token": token_in(mail)})
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    assert (await client.get("/api/auth/verify-email", params={"token": token_in(mail)})).status_code == 400, "used up"

    answer = await client.post("/api/auth/login", json=ADA)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"user", "csrf_token", "warnings"}, "a login takes no name"
    assert set(body["user"]) == {"id", "email", "name", "role"}
    assert body["user"]["role"] == "user"
    assert body["csrf_token"] == client.cookies["csrf_token"]

    me = (await client.get("/api/auth/me")).json()
    assert me["user"]["email"] == "ada@example.com"
    assert me["user"]["plan"] == "enterprise"
    assert me["csrf_token"] == body["csrf_token"]

    stolen = dict(client.cookies)
    headers = {"X-CSRF-Token": body["csrf_token"]}
    assert (await client.post("/api/auth/logout")).status_code == 403
    assert (await client.post("/api/auth/logout", headers=headers)).json() == {"ok": True}
    assert set(client.cookies) == {"known_browser"}, "both cookies were cleared; that the browser is known stays"
    client.cookies.update(stolen)
    assert (await client.get("/api/auth/me")).status_code == 401, "the session itself is dead"


async def test_cookies_are_set_as_promised(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    answer = await client.post("/api/auth/login", json={"email": user.email.upper(), "password": PASSWORD})
    session, csrf, known = answer.headers.get_list("set-cookie")
    assert known.startswith("known_browser=")
    assert "HttpOnly" in known
    assert session.startswith("session=")
    assert "HttpOnly" in session
    assert "HttpOnly" not in csrf
    for cookie in (session, csrf):
        assert "SameSite=lax" in cookie
        assert "Path=/" in cookie
        assert "Max-Age=86400" in cookie
        assert "Secure" not in cookie
    remembered = await client.post(
        "/api/auth/login",
        json={"email": user.email, "password": PASSWORD, "remember": True},
        headers={"X-CSRF-Token": answer.json()["csrf_token"]},
    )
    assert "Max-Age=2592000" in remembered.headers["set-cookie"]


async def test_under_tls_cookies_are_secure_and_bound_to_the_host(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with serving(settings.model_copy(update={"public_url": "https://ml.example.com"})) as app:
        async with browser(app, base_url="https://ml.example.com") as client:
            answer = await client.post("/api/auth/login", json={"email": user.email, "password": PASSWORD})
            session, csrf, known = answer.headers.get_list("set-cookie")
            assert known.startswith("__Host-known-browser=")
            assert "Secure" in known
            assert session.startswith("__Host-session=")
            assert "Secure" in session
            assert "Secure" in csrf
            assert "Domain" not in session
            assert (await client.get("/api/auth/me")).status_code == 200
            client.cookies = {"session": client.cookies["__Host-session"]}  # type: ignore[assignment]
            assert (await client.get("/api/auth/me")).status_code == 401, "the unprefixed name counts for nothing"


async def test_login_rotates_the_session(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    first = client.cookies["session"]
    again = await client.post("/api/auth/login", json={"email": user.email, "password": PASSWORD}, headers=headers)
    assert again.status_code == 200
    assert client.cookies["session"] != first
    assert again.json()["csrf_token"] != headers["X-CSRF-Token"]
    async with browser(app) as thief:
        thief.cookies.set("session", first)
        assert (await thief.get("/api/auth/me")).status_code == 401


async def test_a_session_id_from_outside_is_never_adopted(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    client.cookies.set("session", "x" * 43, domain="localhost.local")
    await sign_in(client, user.email)
    assert "x" * 43 not in client.cookies.values()


async def test_resend_verification(client: AsyncClient, database: Database) -> None:
    user = await make_user(database, verified=False)
    for _ in range(7):
        answer = await client.post("/api/auth/resend-verification", json={"email": user.email})
        assert answer.json() == {"ok": True}
    sent = await mails_to(database, user.email)
    assert len(sent) == 5, "a mailbox cannot be flooded"
    assert (await client.get("/api/auth/verify-email", params={"token": token_in(sent[0])})).json() == {"ok": True}
    await client.post("/api/auth/resend-verification", json={"email": user.email})
    assert len(await mails_to(database, user.email)) == 5, "nothing to verify any more"


@pytest.mark.parametrize("token", ["nonsense", "x" * 43, "x" * 200, "%00", "é"])
async def test_bad_tokens(client: AsyncClient, token: str) -> None:
    assert (await client.get("/api/auth/verify-email", params={"token": token})).status_code == 400
    reset = await client.post("/api/auth/reset-password", json={"token": token, "password": PASSWORD})
    assert reset.status_code == 400


async def test_bad_registrations(client: AsyncClient) -> None:
    for change in (
        {"email": "not an e-mail"},
        {"email": None},
        {"password": "short"},
        {"password": "password"},
        {"name": ""},
        {"name": 7},
        {"email": ["ada@example.com"]},
    ):
        answer = await client.post("/api/auth/register", json=ADA | change)
        assert answer.status_code == 422, change
        assert PASSWORD not in answer.text, "a password is never sent back"
        assert answer.json()["detail"][0]["loc"] == ["body", next(iter(change))]
    answer = await client.post("/api/auth/register", json=ADA | {"role": "admin", "plan": "free", "is_active": False})
    assert answer.status_code == 201
    assert len(answer.json()["warnings"]) == 3, "unknown keys are ignored, and said"


async def test_without_verification(settings: Settings, database: Database) -> None:
    async with serving(settings.model_copy(update={"require_email_verification": False})) as app, browser(app) as client:
        answer = await client.post("/api/auth/register", json=ADA)
        assert answer.json()["verification_required"] is False
        await sign_in(client, "ada@example.com")
        assert (await client.post("/api/auth/register", json=ADA | {"email": "ADA@example.com"})).status_code == 409
    assert await mails_to(database, "ada@example.com") == []


async def test_no_secret_is_in_the_database(client: AsyncClient, database: Database) -> None:
    await client.post("/api/auth/register", json=ADA)
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    key = (await client.post("/api/auth/api-keys", json={"name": "k", "scopes": ["read"]}, headers=headers)).json()
    secrets = [PASSWORD, client.cookies["session"], headers["X-CSRF-Token"], key["key"], key["key"].rpartition(".")[2]]
    async with database.read() as session:
        tables = [row[0] for row in await session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))]
        rows = [(await session.scalars(text(f'SELECT row_to_json(t)::text FROM "{name}" t'))).all() for name in tables]
    dump = "\n".join(row for found in rows for row in found)
    assert user.email in dump
    for secret in secrets:
        assert secret not in dump
        assert secret.encode().hex() not in dump
