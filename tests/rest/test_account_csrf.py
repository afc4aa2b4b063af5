"""The CSRF matrix: who may write, by which credential, with which token, from which page."""

from typing import Any

from httpx import AsyncClient

from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope
from coreplex.platform.settings import Settings
from tests.factories.account import PASSWORD, bearer, browser, make_key, make_user, serving, sign_in

MISSING = "01890000-0000-7000-8000-000000000000"
WRITES = {
    "project": ("POST", "/api/projects", {"name": "p"}, 201),
    "rename": ("PUT", f"/api/projects/{MISSING}", {"name": "p"}, 404),
    "remove": ("DELETE", f"/api/projects/{MISSING}", None, 404),
    "key": ("POST", "/api/auth/api-keys", {"name": "k", "scopes": ["read"]}, 201),
    "revoke": ("DELETE", f"/api/auth/api-keys/{MISSING}", None, 404),
    "graphql": ("POST", "/graphql", {"query": 'mutation { createProject(input: {name: "g"}) { project { id } } }'}, 200),
}
TOKENS = ("none", "empty", "wrong", "another session's", "an ended session's", "the cookie of the session", "right")
OWN, FOREIGN = "http://localhost:8888", "https://evil.example"


async def project_count(client: AsyncClient) -> int:
    return int((await client.get("/api/projects", params={"limit": 1})).json()["total"])


async def key_count(client: AsyncClient) -> int:
    return int((await client.get("/api/auth/api-keys", params={"limit": 1})).json()["total"])


async def test_a_write_by_cookie_needs_its_own_sessions_token(app: Any, database: Database) -> None:
    user = await make_user(database)
    async with browser(app) as client, browser(app) as other:
        old = (await sign_in(client, user.email))["X-CSRF-Token"]
        right = (await sign_in(client, user.email))["X-CSRF-Token"]
        another = (await sign_in(other, user.email))["X-CSRF-Token"]
        sent = dict(zip(TOKENS, (None, "", "x" * 43, another, old, client.cookies["session"], right), strict=True))
        cells = wrong = 0
        for name, (method, path, body, success) in WRITES.items():
            for token, value in sent.items():
                for origin in (None, OWN, FOREIGN, "null"):
                    headers = {"X-CSRF-Token": value} if value is not None else {}
                    headers |= {"Origin": origin} if origin else {}
                    answer = await client.request(method, path, json=body, headers=headers)
                    expected = success if token == "right" and origin in (None, OWN) else 403
                    cells += 1
                    wrong += answer.status_code != expected
                    assert answer.status_code == expected, (name, token, origin, answer.text)
        assert (cells, wrong) == (168, 0)
        assert await project_count(client) == 4, "two by REST and two by GraphQL, and none else"
        assert await key_count(client) == 2


async def test_a_write_by_key_needs_no_token_and_reads_no_cookie(app: Any, database: Database) -> None:
    user, victim = await make_user(database), await make_user(database)
    _, key = await make_key(database, user, [Scope.read, Scope.write])
    async with browser(app) as client:
        await sign_in(client, victim.email)
        for name, (method, path, body, success) in WRITES.items():
            for token in (None, "wrong"):
                headers = bearer(key) | ({"X-CSRF-Token": token} if token else {})
                answer = await client.request(method, path, json=body, headers=headers)
                expected = 403 if name in {"key", "revoke"} else success
                assert answer.status_code == expected, (name, token, answer.text)
        assert await project_count(client) == 0, "nothing happened in the name of the cookie"


async def test_nobody_writes_nothing(app: Any) -> None:
    async with browser(app) as client:
        for name, (method, path, body, _) in WRITES.items():
            for headers in ({}, {"X-CSRF-Token": "x"}, bearer("cpx_live.x"), {"Cookie": "session=" + "x" * 43}):
                answer = await client.request(method, path, json=body, headers=headers)
                assert answer.status_code == 401, (name, headers, answer.text)


async def test_reads_need_no_token(app: Any, database: Database) -> None:
    user = await make_user(database)
    async with browser(app) as client:
        await sign_in(client, user.email)
        for path in ("/api/projects", "/api/auth/me", "/api/auth/api-keys"):
            for method in ("GET", "HEAD"):
                assert (await client.request(method, path)).status_code == 200, (method, path)
        answer = await client.post("/graphql", json={"query": "{ me { email } session { csrfToken } }"})
        assert answer.json()["data"] == {
            "me": {"email": user.email},
            "session": {"csrfToken": client.cookies["csrf_token"]},
        }


async def test_pages_of_other_sites_cannot_sign_a_visitor_in(app: Any, database: Database) -> None:
    """Login asks for no token, so its door is the origin: browsers always say it, and cannot be made to lie."""
    user = await make_user(database)
    body = {"email": user.email, "password": PASSWORD}
    async with browser(app) as client:
        for path in ("login", "forgot-password", "register", "resend-verification", "reset-password"):
            for headers in ({"Origin": FOREIGN}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
                answer = await client.post(f"/api/auth/{path}", json=body, headers=headers)
                assert answer.status_code == 403, (path, headers)
                assert "set-cookie" not in answer.headers
        assert (await client.post("/api/auth/login", json=body, headers={"Origin": OWN})).status_code == 200
        answer = await client.post("/api/auth/login", json=body)
        assert answer.status_code == 200, "signing in again over a living session asks for no token"


async def test_a_front_end_on_another_origin(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    front = {"Origin": "https://app.example"}
    async with serving(settings.model_copy(update={"cors_origins": ("https://app.example",)})) as app, browser(app) as client:
        asked = front | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-csrf-token",
        }
        preflight = await client.options("/api/projects", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert preflight.headers["access-control-allow-credentials"] == "true"
        login = await client.post("/api/auth/login", json={"email": user.email, "password": PASSWORD}, headers=front)
        assert login.headers["access-control-allow-origin"] == "https://app.example"
        token = {"X-CSRF-Token": login.json()["csrf_token"]}
        assert (await client.post("/api/projects", json={"name": "p"}, headers=front | token)).status_code == 201
        assert (await client.post("/api/projects", json={"name": "p"}, headers=front)).status_code == 403
        stranger = await client.options("/api/projects", headers=asked | {"Origin": FOREIGN})
        assert "access-control-allow-origin" not in stranger.headers
