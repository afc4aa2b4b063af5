"""`/api/auth` as the contract describes it: registration to revocation over HTTP."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import text

from coreplex.account.table import Scope
from coreplex.clock import now
from coreplex.database import Database
from coreplex.settings import Settings
from tests.factories.account import PASSWORD, bearer, browser, mails_to, make_key, make_user, serving, sign_in, token_in

SOON = (now() + timedelta(days=2)).isoformat()
ADA = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Any]:
    async with serving(settings) as app:
        yield app


@pytest.fixture
async def client(app: Any) -> AsyncIterator[AsyncClient]:
    async with browser(app) as client:
        yield client


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


async def test_the_links_in_mails_lead_to_pages_that_use_up_nothing(client: AsyncClient, database: Database) -> None:
    await client.post("/api/auth/register", json=ADA)
    await client.post("/api/auth/forgot-password", json={"email": ADA["email"]})
    mails = await mails_to(database, ADA["email"])
    for mail, endpoint in zip(mails, ("verify-email", "reset-password"), strict=True):
        (link,) = re.findall(r"^http\S+$", mail.body, re.MULTILINE)
        for _ in range(2):
            page = await client.get(link)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert f"../api/auth/{endpoint}" in page.text
        assert token_in(mail) not in page.text, "the page is the same for everybody"
        assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?http""", page.text), "nothing is loaded from elsewhere"
        script = page.text.partition("<script>")[2].partition("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert (await client.get("/api/auth/verify-email", params={"token": token_in(mails[0])})).json() == {"ok": True}
    new = {"token": token_in(mails[1]), "password": "another-long-secret"}
    assert (await client.post("/api/auth/reset-password", json=new)).json() == {"ok": True}


async def test_forgotten_password(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database, verified=False)
    async with browser(app) as elsewhere:
        answer = await client.post("/api/auth/forgot-password", json={"email": user.email})
        assert answer.json() == {"ok": True}
        (mail,) = await mails_to(database, user.email)
        assert "http://localhost:8888/auth/reset-password?token=" in mail.body
        assert mail.body.count(token_in(mail)) == 2, "in the link, and alone for those without a front-end"

        wrong = await client.post("/api/auth/reset-password", json={"token": token_in(mail), "password": "short"})
        assert wrong.status_code == 422
        new = {"token": token_in(mail), "password": "another-long-secret"}
        assert (await client.post("/api/auth/reset-password", json=new)).json() == {"ok": True}
        assert (await client.post("/api/auth/reset-password", json=new)).status_code == 400, "a token is good once"
        assert (await client.post("/api/auth/login", json={"email": user.email, "password": PASSWORD})).status_code == 401
        await sign_in(elsewhere, user.email, "another-long-secret")
    assert len(await mails_to(database, user.email)) == 2, "and the owner was told"


async def test_a_reset_ends_every_session(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database)
    await sign_in(client, user.email)
    assert (await client.get("/api/auth/me")).status_code == 200
    async with browser(app) as other:
        await other.post("/api/auth/forgot-password", json={"email": user.email})
        token = token_in((await mails_to(database, user.email))[0])
        await other.post("/api/auth/reset-password", json={"token": token, "password": "another-long-secret"})
    assert (await client.get("/api/auth/me")).status_code == 401


@pytest.mark.parametrize("revoke", [False, True])
async def test_a_reset_says_what_becomes_of_the_keys(client: AsyncClient, app: Any, database: Database, revoke: bool) -> None:
    user, other = await make_user(database), await make_user(database)
    keys = [(await make_key(database, user))[1] for _ in range(2)]
    await make_key(database, user, expires_at=now() - timedelta(days=1))
    _, foreign = await make_key(database, other)

    async def statuses() -> list[int]:
        return [(await client.get("/api/auth/me", headers=bearer(key))).status_code for key in (*keys, foreign)]

    await client.post("/api/auth/forgot-password", json={"email": user.email})
    token = token_in((await mails_to(database, user.email))[0])
    page = (await client.get("/auth/reset-password")).text
    assert "revoke_api_keys: form.keys.checked" in page
    assert "revoke all my API keys" in page
    assert await statuses() == [200] * 3
    new = {"token": token, "password": "another-long-secret"} | ({"revoke_api_keys": True} if revoke else {})
    answer = (await client.post("/api/auth/reset-password", json=new)).json()
    mail = (await mails_to(database, user.email))[-1].body
    if revoke:
        assert answer == {"ok": True}
        assert "2 API keys were revoked" in mail
    else:
        assert "2 API keys of this account still work" in answer["warnings"][0]
        assert "2 API keys of the account still work" in mail
    assert await statuses() == [401 if revoke else 200] * 2 + [200]
    change = """mutation($all: Boolean!) { changePassword(input: {currentPassword: "another-long-secret",
        newPassword: "a-third-long-secret", revokeApiKeys: $all}) { activeApiKeys revokedApiKeys warnings } }"""
    csrf = await sign_in(client, user.email, "another-long-secret")
    changed = await client.post("/graphql", json={"query": change, "variables": {"all": not revoke}}, headers=csrf)
    told = changed.json()["data"]["changePassword"]
    assert told == {"activeApiKeys": 0, "revokedApiKeys": 0 if revoke else 2, "warnings": None}
    assert await statuses() == [401, 401, 200]


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


async def test_a_mistyped_password_is_not_sent_back(client: AsyncClient) -> None:
    passwords: tuple[Any, ...] = (31337, [31337], {"text": 31337})
    for password in passwords:
        body = {"email": "a@b.example", "password": password}
        answer = await client.post("/api/auth/login", json=body)
        assert (answer.status_code, answer.json()["message"]) == (422, "password: must be text")
        document = "mutation($i: LoginInput!) { login(input: $i) { csrfToken } }"
        for given in (body, password, {"password": password}):
            answer = await client.post("/graphql", json={"query": document, "variables": {"i": given}})
            assert answer.status_code == 400
            assert "31337" not in answer.text
    literal = 'mutation { login(input: {email: "a@b.example", password: 31337}) { csrfToken } }'
    answer = await client.post("/graphql", json={"query": literal})
    assert answer.json()["errors"][0]["message"] == "String cannot represent a non string value"


@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at", "must lie in the next 3650 days"),
        ({"expires_at": "2099-01-01T00:00:00Z", "expires_in_days": 3}, "expires_at", "must lie in the next 3650 days"),
        ({"expires_at": SOON, "expires_in_days": 3}, "expires_in_days", "give this or expires_at, not both"),
    ],
)
async def test_a_wrong_end_of_a_key_names_its_place(
    client: AsyncClient, database: Database, change: dict[str, Any], place: str, told: str
) -> None:
    csrf = await sign_in(client, (await make_user(database)).email)
    answer = await client.post("/api/auth/api-keys", json={"name": "k", "scopes": ["read"], **change}, headers=csrf)
    assert [(entry["loc"], entry["msg"]) for entry in answer.json()["detail"]] == [(["body", place], told)]
    assert answer.json()["message"] == f"{place}: {told}"


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


async def test_the_life_of_an_api_key(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    answer = await client.post("/api/auth/api-keys", json={"name": "ci", "scopes": ["read", "predict"]}, headers=headers)
    assert answer.status_code == 201
    made = answer.json()
    assert made["scopes"] == ["read", "predict"], "as they were given"
    assert made["key"].startswith(made["prefix"])
    assert made["key"].startswith("cpx_live.")
    assert {"id", "name", "scopes", "key", "prefix", "created_at", "api_key"} <= set(made)
    assert made["api_key"]["key"] == made["key"]

    async with browser(app) as program:
        mine = bearer(made["key"])
        assert (await program.get("/api/auth/me", headers=mine)).json()["user"]["email"] == user.email
        assert (await program.post("/api/projects", json={"name": "p"}, headers=mine)).status_code == 403, "no write scope"
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/{made['id']}"), ("POST", f"/{made['id']}/revoke")):
            refused = await program.request(method, f"/api/auth/api-keys{path}", json={}, headers=mine)
            assert refused.status_code == 403, (method, path)

        listed = (await client.get("/api/auth/api-keys")).json()
        assert (listed["total"], listed["limit"], listed["offset"]) == (1, 50, 0)
        (item,) = listed["items"]
        assert {"id", "name", "prefix", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"} <= set(item)
        assert "key" not in item
        assert item["last_used_at"] is not None

        assert (await client.delete(f"/api/auth/api-keys/{made['id']}", headers=headers)).json() == {"ok": True}
        assert (await program.get("/api/auth/me", headers=mine)).status_code == 401, "at once"
    assert (await client.post(f"/api/auth/api-keys/{made['id']}/revoke", headers=headers)).json() == {"ok": True}
    assert (await client.get("/api/auth/api-keys")).json()["items"][0]["revoked_at"] is not None


async def test_bad_keys_are_not_made(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    good = {"name": "ci", "scopes": ["read"]}
    for change in (
        {"scopes": ["root"]},
        {"scopes": []},
        {"scopes": "read"},
        {"scopes": None},
        {"name": " "},
        {"expires_in_days": 0},
        {"expires_in_days": "soon"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "tomorrow"},
        {"expires_in_days": 1, "expires_at": "2100-01-01T00:00:00Z"},
    ):
        answer = await client.post("/api/auth/api-keys", json=good | change, headers=headers)
        assert answer.status_code == 422, (change, answer.text)
    for project in ("nonsense", "01890000-0000-7000-8000-000000000000"):
        answer = await client.post("/api/auth/api-keys", json=good | {"project_id": project}, headers=headers)
        assert answer.status_code == 404, answer.text


async def test_keys_of_others_do_not_exist(client: AsyncClient, database: Database) -> None:
    other, _ = await make_key(database, await make_user(database))
    headers = await sign_in(client, (await make_user(database)).email)
    bodies = set()
    for key_id in (str(other.id), "01890000-0000-7000-8000-000000000000", "nonsense"):
        answer = await client.delete(f"/api/auth/api-keys/{key_id}", headers=headers)
        assert answer.status_code == 404
        bodies.add(answer.json()["detail"])
    assert bodies == {"API key not found"}
    assert (await client.get("/api/auth/api-keys")).json()["total"] == 0


async def test_a_key_bound_to_a_project_sees_only_that(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    ids = [(await client.post("/api/projects", json={"name": n}, headers=headers)).json()["project_id"] for n in "ab"]
    wanted = {"name": "ci", "scopes": ["read"], "project_id": ids[0], "expires_in_days": 30}
    key = (await client.post("/api/auth/api-keys", json=wanted, headers=headers)).json()
    assert key["project_id"] == ids[0]
    assert key["expires_at"] is not None
    client.cookies.clear()
    seen = (await client.get("/api/projects", headers=bearer(key["key"]))).json()["items"]
    assert [p["id"] for p in seen] == ids[:1]
    assert (await client.get(f"/api/projects/{ids[1]}", headers=bearer(key["key"]))).status_code == 404


async def test_a_bearer_key_outranks_a_cookie(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    await sign_in(client, user.email)
    assert (await client.get("/api/projects", headers=bearer("cpx_live.wrong"))).status_code == 401
    assert (await client.get("/api/projects", headers={"Authorization": "Basic YTpi"})).status_code == 401
    _, key = await make_key(database, user, [Scope.read])
    assert (await client.get("/api/auth/api-keys", headers=bearer(key))).status_code == 403


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
