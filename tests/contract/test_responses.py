"""The hook that holds every REST answer of the tests against the description of the API, and the headers all answers carry."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from rest_compat.openapi.common import RATE_HEADERS
from rest_compat.openapi.document import document
from tests.factories.account import bearer, browser, make_key, make_user, serving
from tests.responses import check, operation_of, template_of


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[Starlette]:
    few = settings.model_copy(update={"rate_limit_authentication": "2/minute"})
    async with serving(few) as made:
        yield made


async def broken(_request: Request) -> Response:
    raise RuntimeError("a bug")


async def test_every_status_says_what_is_left_of_the_budget(app: Starlette, database: Database) -> None:
    _, key = await make_key(database, await make_user(database))
    app.router.routes.insert(0, Route("/broken", broken))
    seen: dict[int, httpx.Response] = {}
    async with browser(app) as client:
        for method, path, headers in (
            ("GET", "/api/projects", bearer(key)),
            ("GET", "/api/nothing", {}),
            ("GET", "/api/projects/nonsense", bearer(key)),
            ("PATCH", "/api/projects", bearer(key)),
            ("GET", "/api/projects", {}),
            ("GET", "/api/projects", bearer("cpx_live.x")),
            ("POST", "/api/auth/api-keys", bearer(key)),
            ("POST", "/api/projects", bearer(key)),
            ("GET", "/broken", {}),
            *[("POST", "/api/auth/login", {})] * 3,
        ):
            answer = await client.request(method, path, headers=headers)
            seen[answer.status_code] = answer
            body = answer.json()
            assert "detail" in body or answer.status_code == 200
    assert set(seen) == {200, 401, 403, 404, 405, 422, 429, 500}
    assert seen[429].headers["X-RateLimit-Remaining"] == "0"
    assert 0 < int(seen[429].headers["Retry-After"]) <= 60
    assert seen[405].headers["Allow"] in seen[405].json()["detail"]
    assert seen[422].json()["detail"] == "The body is empty; send a JSON object."
    assert "a bug" not in seen[500].text
    assert seen[500].json()["request_id"] == seen[500].headers["X-Request-Id"]


async def test_pages_and_graphql_say_it_too(app: Starlette) -> None:
    async with browser(app) as client:
        for path in ("/health", "/ready", "/docs", "/openapi.json", "/graphql"):
            assert RATE_HEADERS.keys() <= {
                name.title().replace("Ratelimit", "RateLimit") for name in (await client.get(path)).headers
            }


def answer_to(path: str, status: int, body: Any, **headers: str) -> httpx.Response:
    fine = dict.fromkeys((*RATE_HEADERS, "X-Request-Id"), "1") | {"content-type": "application/json"} | headers
    request = httpx.Request("GET", f"http://localhost{path}")
    return httpx.Response(status, content=orjson.dumps(body), headers=fine, request=request)


def test_the_hook_sees_what_is_wrong() -> None:
    status = {"id": "x", "experiment_id": "x", "status": "queued", "progress": 0, "message": "", "models_trained": 0}
    path = "/api/experiments/x/status"
    check(answer_to(path, 200, status))
    for wrong in (
        answer_to(path, 200, {**status, "secret": 1}),
        answer_to(path, 200, {**status, "progress": "0"}),
        answer_to(path, 200, {**status, "status": "asleep"}),
        answer_to(path, 200, {name: value for name, value in status.items() if name != "message"}),
        answer_to(path, 418, {"detail": "tea"}),
        answer_to(path, 404, {"error": "gone"}),
        answer_to(path, 404, {"detail": "gone", "trace": "…"}),
        answer_to(path, 200, status, **{"X-RateLimit-Limit": ""}),
    ):
        with pytest.raises(AssertionError):
            check(wrong)


def test_every_documented_path_is_found_by_an_address_of_it() -> None:
    for path, methods in document()["paths"].items():
        assert template_of(path.replace("{", "").replace("}", "")) == path
        assert all(operation_of(method, path) for method in methods)
    assert template_of("/api/nothing") is None
