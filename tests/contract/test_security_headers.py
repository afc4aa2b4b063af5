"""Headers on every answer, cookies, other origins, foreign hosts, over the whole list of routes."""

import re
from typing import Any

import pytest
from httpx import AsyncClient, Response
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.routing import Route

from coreplex.platform.database import Database
from coreplex.platform.settings import Mode, Settings
from rest_compat.table import TABLE
from tests.factories.account import PASSWORD, bearer, browser, mails_to, make_key, make_user, serving, sign_in

ID = "01890000-0000-7000-8000-000000000000"
FRONT = "https://app.example.com"
FOREIGN = "https://evil.example"
PUBLIC_AND_THE_SAME_FOR_ALL = {"/openapi.json", "/docs"}


def addresses(app: Starlette) -> list[tuple[str, str]]:
    """Every method and path, parameters filled in."""
    table = {(row.method, row.path) for row in TABLE}
    others = {(m, route.path) for route in app.routes if isinstance(route, Route) for m in route.methods or ()}
    return sorted((method, re.sub(r"{.*?}", ID, path)) for method, path in table | others)


def check_safe(answer: Response) -> None:
    where = f"{answer.request.method} {answer.request.url} → {answer.status_code}"
    headers = answer.headers
    assert headers["X-Content-Type-Options"] == "nosniff", where
    assert headers["X-Frame-Options"] == "DENY", where
    assert headers["Referrer-Policy"] == "no-referrer", where
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy, where
    assert "frame-ancestors 'none'" in policy, where
    assert "unsafe-eval" not in policy, where
    shared = answer.request.url.path in PUBLIC_AND_THE_SAME_FOR_ALL and answer.is_success
    assert headers["Cache-Control"] == ("no-cache" if shared else "no-store"), where
    assert "Server" not in headers, where
    assert headers.get_list("X-Request-Id") == [headers["X-Request-Id"]], where
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert len(headers.get_list(name)) == 1, where


async def test_every_route_answers_with_safe_headers(app: Starlette, client: AsyncClient, database: Database) -> None:
    _, key = await make_key(database, await make_user(database))
    routes = addresses(app)
    assert len(routes) > 50
    for method, path in [*routes, ("GET", "/"), ("GET", "/nowhere"), ("PATCH", "/api/projects"), ("OPTIONS", "/graphql")]:
        for headers in ({}, bearer(key)):
            answer = await client.request(method, path, headers=headers, content=b"{}" if method in {"POST", "PUT"} else None)
            assert answer.status_code < 500 or path == "/ready", (method, path, answer.text)
            check_safe(answer)


async def test_only_these_routes_are_public(app: Starlette, client: AsyncClient) -> None:
    public = set()
    for method, path in addresses(app):
        answer = await client.request(method, path, json={} if method in {"POST", "PUT"} else None)
        if answer.status_code not in {401, 405, 415}:
            public.add((method, path))
    account = {(m, f"/api/auth/{n}") for m, n in [("POST", "login"), ("POST", "register"), ("POST", "forgot-password")]}
    account |= {("POST", "/api/auth/reset-password"), ("POST", "/api/auth/logout"), ("POST", "/api/auth/resend-verification")}
    account |= {("GET", "/api/auth/verify-email"), ("HEAD", "/api/auth/verify-email")}
    machines = {(m, p) for m in ("GET", "HEAD") for p in ("/", "/health", "/api/health", "/ready", "/openapi.json", "/docs")}
    people = {(m, f"/auth/{n}") for m in ("GET", "HEAD") for n in ("reset-password", "verify-email", "accept-invitation")}
    graphql = {(m, p) for m in ("GET", "HEAD", "POST") for p in ("/graphql", "/graphql/stream")}
    assert public - account - machines - people - graphql == set()


async def test_an_unhandled_error_is_masked(app: Starlette, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi.readiness", None)
    answer = await client.get("/ready")
    assert answer.status_code == 500
    assert "NoneType" not in answer.text
    check_safe(answer)


async def test_a_trailing_slash_is_no_redirect_to_a_host_of_the_callers_choice(client: AsyncClient) -> None:
    answer = await client.get("/api/projects/", headers={"Host": "evil.example"})
    assert (answer.status_code, "Location" in answer.headers) == (404, False)


def flags(answer: Response) -> dict[str, set[str]]:
    """What each cookie of an answer is called, and its attributes."""
    found = {}
    for line in answer.headers.get_list("Set-Cookie"):
        name, *attributes = [part.strip() for part in line.split(";")]
        found[name.partition("=")[0]] = {attribute.lower() for attribute in attributes}
    return found


@pytest.mark.parametrize("public", [None, "https://ml.example.com"])
async def test_cookies(settings: Settings, database: Database, public: str | None) -> None:
    user = await make_user(database)
    async with serving(settings.model_copy(update={"public_url": public})) as app, browser(app) as client:
        answer = await client.post("/api/auth/login", json={"email": user.email, "password": PASSWORD})
        cookies = flags(answer)
        name = "__Host-session" if public else "session"
        known = "__Host-known-browser" if public else "known_browser"
        assert cookies.keys() == {name, "csrf_token", known}
        always = {"path=/", "samesite=lax"} | ({"secure"} if public else set())
        assert cookies[name] - {"max-age=86400"} == always | {"httponly"}
        assert cookies["csrf_token"] - {"max-age=86400"} == always
        assert cookies[known] - {"max-age=31536000"} == always | {"httponly"}
        assert ("Strict-Transport-Security" in answer.headers) is bool(public)
        assert ("Strict-Transport-Security" in (await client.get("/health")).headers) is bool(public)


async def test_a_front_end_of_another_origin(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with serving(settings.model_copy(update={"cors_origins": (FRONT,)})) as app, browser(app) as client:
        asked = {"Origin": FRONT, "Access-Control-Request-Method": "POST"}
        wanted = "authorization,content-type,idempotency-key,x-csrf-token"
        preflight = await client.options("/api/projects", headers={**asked, "Access-Control-Request-Headers": wanted})
        assert preflight.status_code == 200
        check_safe(preflight)
        assert_allowed(preflight)
        assert set(wanted.split(",")) <= set(preflight.headers["Access-Control-Allow-Headers"].lower().split(", "))
        client.headers["Origin"] = FRONT
        signed_in = await sign_in(client, user.email)
        made = await client.post("/api/projects", json={"name": "p"}, headers=signed_in)
        assert made.status_code == 201, "the token came in the body: a page cannot read another host's cookies"
        assert_allowed(made)
        for name in ("X-RateLimit-Remaining", "Retry-After", "X-Request-Id", "Content-Disposition"):
            assert name in made.headers["Access-Control-Expose-Headers"]
        asking = await client.post("/graphql", json={"query": "{ me { email } }"})
        assert asking.json()["data"]["me"]["email"] == user.email
        assert_allowed(asking)
        refused = await client.post("/api/projects", json={"name": "p"})
        assert refused.status_code == 403
        assert_allowed(refused)


def assert_allowed(answer: Response) -> None:
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]


@pytest.mark.parametrize("allowed", [(), (FRONT,)])
async def test_a_foreign_origin_gets_nothing(settings: Settings, database: Database, allowed: tuple[str, ...]) -> None:
    user = await make_user(database)
    async with serving(settings.model_copy(update={"cors_origins": allowed})) as app, browser(app) as client:
        token = await sign_in(client, user.email)
        for origin in (FOREIGN, "null", f"{FRONT}.evil.example", "http://app.example.com", f"{FRONT}:8443", ""):
            client.headers["Origin"] = origin
            answers = [
                await client.get("/api/projects"),
                await client.post("/api/projects", json={"name": "p"}, headers=token),
                await client.options("/api/projects", headers={"Access-Control-Request-Method": "POST"}),
            ]
            for answer in answers:
                assert "Access-Control-Allow-Origin" not in answer.headers
                check_safe(answer)
            assert [answer.status_code >= 400 for answer in answers] == [False, True, True], origin


@pytest.mark.parametrize("value", ["*", "https://a.example/path", "null", "a.example", "https://", "ftp://a.example"])
def test_what_is_no_origin_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CORS_ORIGINS", f"https://fine.example,{value}")
    with pytest.raises(ValidationError, match="is not an origin"):
        Settings()


def test_origins_are_spelled_as_browsers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://App.example/, http://localhost:3000")
    assert Settings().cors_origins == ("https://app.example", "http://localhost:3000")


HOSTS = {
    "ml.example.com": True,
    "ML.example.com": True,
    "ml.example.com:443": True,
    "ml.example.com.": True,
    "localhost": True,
    "localhost:8888": True,
    "127.0.0.1:8888": True,
    "[::1]:8888": True,
    "evil.example": False,
    "ml.example.com.evil.example": False,
    "evil.example@ml.example.com.x": False,
    "ml.example.com/x": True,
    "x/ml.example.com": False,
    "192.0.2.7": False,
    "": False,
    "a/?x=": False,
    "[::1": False,
    "ml.example.com, evil.example": False,
    "127.0.0.1.nip.example": False,
}


@pytest.mark.parametrize("mode", list(Mode))
async def test_requests_for_foreign_hosts(settings: Settings, database: Database, mode: Mode) -> None:
    """In production a page whose name was rebound to our address gets nothing; in development any name of the network is fine."""
    chosen = settings.model_copy(update={"mode": mode, "public_url": "https://ml.example.com"})
    async with serving(chosen) as app, browser(app) as client:
        for host, known in HOSTS.items():
            answer = await client.get("/docs", headers={"Host": host})
            assert answer.status_code == (200 if known or mode is Mode.development else 400), host
            check_safe(answer)
            assert (await client.get("/health", headers={"Host": host})).status_code == 200, "probes know no name"


async def test_links_in_mails_are_made_from_the_settings(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with serving(settings.model_copy(update={"public_url": "https://ml.example.com"})) as app, browser(app) as client:
        spoofed: dict[str, Any] = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        answer = await client.post("/api/auth/forgot-password", json={"email": user.email}, headers=spoofed)
        assert answer.status_code == 200
    (mail,) = await mails_to(database, user.email)
    assert "https://ml.example.com/" in mail.body
    assert "evil" not in mail.body
