"""Rate limits hold exactly, for everybody, whatever a request looks like, and also without Redis (docs/security.md#rates)."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
from httpx import ASGITransport, AsyncClient, Response
from limits import parse
from pydantic import ValidationError
from redis.asyncio import Redis
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from asgi import configuration, create_app
from coreplex.errors.tree import RateLimited
from coreplex.platform.database import Database
from coreplex.platform.permissions import FOR_WHAT_IS_MADE, Category
from coreplex.platform.rate import CLIENT_NAME, REDIS_SECS, RateLimiter, identity
from coreplex.platform.settings import Settings
from rest_compat.stored import operations
from rest_compat.table import TABLE
from tests import servers
from tests.factories.account import PASSWORD, bearer, browser, make_key, make_user, serving, sign_in
from tests.factories.dataset import laboratory, table

LIMIT = 7
ID = "01890000-0000-7000-8000-000000000000"
WINDOW = 86400


def tight(settings: Settings, *categories: Category, **more: Any) -> Settings:
    limits = {f"rate_limit_{category}": f"{LIMIT}/day" for category in categories}
    return settings.model_copy(update=limits | more)


def an_endpoint(category: Category) -> tuple[str, str] | None:
    """Some documented endpoint that is charged to the category."""
    for row in TABLE:
        if category in operations()[row.operation].charges:
            path = "/".join(ID if part.startswith("{") else part for part in row.path.split("/"))
            return row.method, path
    return None


CHARGED = {category: found for category in Category if (found := an_endpoint(category))}


def check_headers(answer: Response, limit: int = LIMIT) -> None:
    remaining, reset = int(answer.headers["X-RateLimit-Remaining"]), int(answer.headers["X-RateLimit-Reset"])
    assert int(answer.headers["X-RateLimit-Limit"]) == limit
    assert 0 <= remaining < limit
    assert reset == (int(time.time()) // WINDOW + 1) * WINDOW
    if answer.status_code == 429:
        assert remaining == 0
        # Never too short; on a busy machine the answer is some seconds old by now.
        assert -1 <= int(answer.headers["Retry-After"]) - (reset - time.time()) <= 10
    else:
        assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("category", [category for category in CHARGED if category not in FOR_WHAT_IS_MADE])
async def test_exactly_the_limit_is_let_through_of_fifty_at_once(
    settings: Settings, database: Database, category: Category
) -> None:
    _, key = await make_key(database, await make_user(database))
    method, path = CHARGED[category]
    body = {"email": "nobody@example.com", "password": "no password"} if category is Category.authentication else {}
    async with serving(tight(settings, category)) as app, browser(app) as client:
        client.headers.update(bearer(key))
        answers = await asyncio.gather(*(client.request(method, path, json=body if method != "GET" else None) for _ in range(50)))
    for answer in answers:
        check_headers(answer)
    assert sum(answer.status_code != 429 for answer in answers) == LIMIT
    assert sorted({int(answer.headers["X-RateLimit-Remaining"]) for answer in answers}) == list(range(LIMIT))


async def test_only_experiments_that_are_made_use_up_the_training_budget(settings: Settings, database: Database) -> None:
    async with laboratory(tight(settings, Category.training), database) as (_, ada):
        rows = [["size", "label"], *([n % 17, "xy"[n % 2]] for n in range(40))]
        good = {
            **{"project_id": ada.project_id, "dataset_version_id": (await ada.dataset(table(rows)))["version_id"]},
            **{"name": "Try", "target_column": "label", "problem_type": "classification", "config": {"max_runtime_secs": 5}},
        }
        wrong: list[dict[str, Any]] = [
            *({"target_column": "nothing"}, {"config": {"nfolds": "5"}}, {"name": ""}, {"project_id": ID}, {"target_column": 1}),
            *({"engine": "magic"}, {"config": []}, {"dataset_version_id": None}, {"problem_type": "regression"}),
        ]
        for change in wrong:
            refused = await ada.client.post("/api/experiments", json=good | change)
            assert refused.status_code in {404, 422}, refused.text
            assert refused.headers["X-RateLimit-Remaining"] == str(LIMIT)
        for content in (b"{", b"[]"):
            assert (await ada.client.post("/api/experiments", content=content)).status_code == 422
        field = "mutation { createExperiment" + ONCE["createExperiment"] + " }"
        for query in (field, field.replace("{", '{ createProject(input: {name: "p"}) { project { id } }', 1)):
            answer = await ada.client.post("/graphql", json={"query": query})
            assert answer.json()["errors"][0]["path"] == ["createExperiment"]
        once = {"Idempotency-Key": "one"}
        for _ in range(2):
            made = await ada.client.post("/api/experiments", json=good, headers=once)
            assert (made.status_code, made.headers["X-RateLimit-Remaining"]) == (201, str(LIMIT - 1)), "a replay makes nothing"
        answers = await asyncio.gather(*(ada.client.post("/api/experiments", json=good) for _ in range(LIMIT + 2)))
    assert Counter(answer.status_code for answer in answers) == {201: LIMIT - 1, 429: 3}


async def test_refusals_without_end_are_none(settings: Settings, database: Database) -> None:
    """A refused creation is paid from the general budget, and when that is used up, from its own."""
    _, key = await make_key(database, await make_user(database))
    async with serving(tight(settings, Category.training, Category.general)) as app, browser(app) as client:
        answers = [await client.post("/api/experiments", json={}, headers=bearer(key)) for _ in range(2 * LIMIT + 1)]
        assert [answer.status_code for answer in answers] == [422] * 2 * LIMIT + [429]
        assert (await client.get("/api/projects", headers=bearer(key))).status_code == 429


async def test_two_processes_share_one_budget(settings: Settings, database: Database) -> None:
    _, key = await make_key(database, await make_user(database))
    chosen = tight(settings, Category.general)
    async with serving(chosen) as one, serving(chosen) as other, browser(one) as first, browser(other) as second:
        calls = [client.get("/api/projects", headers=bearer(key)) for client in (first, second) for _ in range(25)]
        answers = await asyncio.gather(*calls)
    assert sum(answer.status_code == 200 for answer in answers) == LIMIT


async def test_one_budget_for_every_door_and_credential_of_a_person(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    keys = [(await make_key(database, user))[1] for _ in range(2)]
    async with serving(tight(settings, Category.general)) as app, browser(app) as client, browser(app, "198.51.100.7") as away:
        await sign_in(client, user.email)
        used = [
            await client.get("/api/projects"),
            await away.get("/api/projects", headers=bearer(keys[0])),
            await away.get(f"/api/projects/{ID}", headers=bearer(keys[1])),
            *[await away.post("/graphql", json={"query": "{ me { email } }"}, headers=bearer(key)) for key in [*keys, *keys]],
        ]
        assert [int(answer.headers["X-RateLimit-Remaining"]) for answer in used] == [6, 5, 4, 3, 2, 1, 0]
        for answer in (await client.get("/api/projects"), await away.get("/api/projects", headers=bearer(keys[1]))):
            assert answer.status_code == 429


FREE = {
    ("GET", "/health"): 200,
    ("GET", "/docs"): 200,
    ("GET", "/nowhere"): 404,
    ("PATCH", "/api/projects"): 405,
    ("POST", "/graphql"): 415,
}


@pytest.mark.parametrize("used", [0, 3, LIMIT + 1])
async def test_what_is_free_repeats_the_callers_own_budget(settings: Settings, database: Database, used: int) -> None:
    _, key = await make_key(database, await make_user(database))
    async with serving(tight(settings, Category.general, Category.predictions)) as app, browser(app) as client:
        await asyncio.gather(*(client.get("/api/projects", headers=bearer(key)) for _ in range(used)))
        await client.post(f"/api/models/{ID}/predict", json={"inputs": {}}, headers=bearer(key))
        for (method, path), status in FREE.items():
            mine = await client.request(method, path, headers=bearer(key), content=b"x" if method == "POST" else None)
            assert (mine.status_code, mine.headers["X-RateLimit-Remaining"]) == (status, str(max(0, LIMIT - used))), path
            assert mine.headers["X-RateLimit-Limit"] == str(LIMIT)
            stranger = await client.request(method, path)
            assert stranger.headers["X-RateLimit-Remaining"] == str(LIMIT), "nobody's budget is shown to another"


PREDICT = f'predict(input: {{deploymentId: "{ID}", inputs: {{}}}}) {{ requestId }}'
BOTH = f'{PREDICT} predictModel(input: {{modelId: "{ID}", inputs: {{}}}}) {{ requestId }}'


@pytest.mark.parametrize(
    "document",
    [
        "mutation {" + BOTH + "}",
        "mutation { ...f } fragment f on Mutation {" + BOTH + "}",
    ],
)
async def test_fields_are_paid_for_one_by_one(settings: Settings, database: Database, document: str) -> None:
    _, key = await make_key(database, await make_user(database))
    async with serving(tight(settings, Category.predictions)) as app, browser(app) as client:
        answers = [await client.post("/graphql", json={"query": document}, headers=bearer(key)) for _ in range(4)]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["5", "3", "1", "0"]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


ONCE = {
    "predict": f'(input: {{deploymentId: "{ID}", inputs: {{}}}}) {{ requestId }}',
    "predictModel": f'(input: {{modelId: "{ID}", inputs: {{}}}}) {{ requestId }}',
    "createExperiment": f'(input: {{projectId: "{ID}", datasetVersionId: "{ID}", name: "e", targetColumn: "t", '
    "problemType: REGRESSION}) { experiment { id } }",
    "login": '(input: {email: "a@b.example", password: "x"}) { csrfToken }',
}


@pytest.mark.parametrize("name", ONCE)
async def test_what_is_dear_stands_in_a_document_once(settings: Settings, database: Database, name: str) -> None:
    _, key = await make_key(database, await make_user(database))
    one, two = f"one: {name}{ONCE[name]}", f"two: {name}{ONCE[name]}"
    async with serving(settings) as app, browser(app) as client:
        for document in (f"mutation {{ {one} {two} }}", f"mutation {{ {one} ...f }} fragment f on Mutation {{ {two} }}"):
            answer = await client.post("/graphql", json={"query": document}, headers=bearer(key))
            assert (answer.status_code, answer.json()["errors"][0]["message"]) == (400, f"`{name}` may stand in a request once.")


async def test_signing_in_buys_no_further_guesses(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    login = {"email": user.email, "password": PASSWORD}
    async with serving(tight(settings, Category.authentication)) as app, browser(app) as client:
        seen = Counter([(await client.post("/api/auth/login", json=login)).status_code for _ in range(LIMIT + 3)])
        assert seen == {200: LIMIT, 429: 3}


@asynccontextmanager
async def proxied(settings: Settings, address: str, **headers: str) -> AsyncIterator[AsyncClient]:
    """A client of the application exactly as uvicorn is told to run it, calling from an address."""
    made = create_app(settings)
    config = configuration(settings, made)
    async with made.router.lifespan_context(made):
        config.load()
        app: ASGIApp = config.loaded_app
        transport = ASGITransport(app, client=(address, 1))
        async with AsyncClient(transport=transport, base_url="http://localhost:8888", headers=headers) as client:
            yield client


TRICKS: list[dict[str, str]] = [
    *({name: "203.0.113.{n}"} for name in ("X-Forwarded-For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP")),
    {"Forwarded": "for=203.0.113.{n}"},
    {"X-Forwarded-For": "203.0.113.{n}, 127.0.0.1"},
    {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "{n}.example"},
    {"Host": "host{n}.example"},
    {"User-Agent": "agent {n}", "X-Request-Id": "01890000-0000-7000-8000-00000000000{n}"},
    {"Cookie": "session={n}"},
    {"X-HTTP-Method-Override": "GET", "X-Original-URL": "/{n}"},
]


async def test_nobody_gets_another_budget_by_a_header(settings: Settings) -> None:
    """Ten and two ways to look like somebody else, without being a trusted proxy: all are one caller."""
    chosen = tight(settings, Category.authentication, trusted_proxies=("10.0.0.0/8",))
    seen: list[int] = []
    async with proxied(chosen, "192.0.2.1") as client:
        for number, trick in enumerate(TRICKS):
            headers = {name: value.format(n=number % 10) for name, value in trick.items()}
            path = "/api/auth/login" if number % 2 else f"/api/auth/login?{number}"
            # Another account each time, so that it is not the wait after failures that refuses.
            login = {"email": f"nobody{number}@example.com", "password": "no password"}
            seen.append((await client.post(path, json=login, headers=headers)).status_code)
    assert seen == [401] * LIMIT + [429] * (len(TRICKS) - LIMIT)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.2.3", "203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("10.1.2.3", "203.0.113.5, 10.9.9.9", "203.0.113.5"),
        ("10.1.2.3", "203.0.113.5:4711", "203.0.113.5"),
        ("10.1.2.3", "2001:db8:1:2::5", "2001:db8:1:2::/64"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "<script>", "unknown"),
        ("192.0.2.9", "203.0.113.5", "203.0.113.5"),
        ("192.0.2.8", "203.0.113.5", "192.0.2.8"),
        ("172.16.0.1", "203.0.113.5", "172.16.0.1"),
    ],
)
async def test_a_trusted_proxy_is_believed_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, peer: str, forwarded: str, client: str
) -> None:
    from resolvers.context import Context

    asked: list[str] = []
    monkeypatch.setattr(Context, "identity", property(lambda self: asked.append(self.request.address) or "x"))
    async with proxied(settings.model_copy(update={"trusted_proxies": ("10.0.0.0/8", "192.0.2.9/32")}), peer) as caller:
        await caller.get("/api/projects", headers={"X-Forwarded-For": forwarded})
    assert identity(None, asked[0]) == f"address:{client}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:0db8:0:0:1::", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("nonsense", "other nonsense", True),
    ],
)
def test_whose_budget(one: str, other: str, same: bool) -> None:
    assert (identity(None, one) == identity(None, other)) is same


@pytest.mark.parametrize("value", ["*", "proxy.example", "10.0.0.0/33", "10.0.0.1-10.0.0.9"])
def test_what_is_no_network_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", value)
    with pytest.raises(ValidationError, match="is not an address or a network"):
        Settings()


def test_networks_may_be_written_as_people_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.1/8, 127.0.0.1, ::1")
    assert Settings().trusted_proxies == ("10.0.0.0/8", "127.0.0.1/32", "::1/128")


async def connections(redis: Redis) -> set[str]:
    """Connections of rate limits to the same database, by id; other test processes have theirs in this server."""
    own = str(redis.get_connection_kwargs()["db"])
    listed = await redis.client_list()  # type: ignore[no-untyped-call]
    return {one["id"] for one in listed if (one["name"], one["db"]) == (CLIENT_NAME, own)}


async def test_hundreds_of_callers_at_once_are_counted_together(settings: Settings, redis_url: str) -> None:
    """Each a key of its own, at one moment in one process: no connection for each, and Redis is not taken for away."""
    chosen = settings.model_copy(update={"rate_limit_general": "1999/day"})
    item = parse(chosen.rate_limit_general)
    limiters = [RateLimiter(chosen), RateLimiter(chosen)]
    async with Redis.from_url(redis_url) as redis:
        before = await connections(redis)
    callers = [f"user:{n}" for n in range(300)] * 2
    with capture_logs() as logs:
        for limiter in limiters:
            windows = await asyncio.gather(*(limiter.charge(who, Category.general) for who in callers))
    left = Counter(item.amount - window.remaining for window in windows)
    assert left == {3: 300, 4: 300}, "two processes, one counter for each caller"
    assert not logs
    async with Redis.from_url(redis_url) as redis:
        assert len(await connections(redis) - before) == len(limiters), "a connection each"
        keys = await redis.keys("rate/general/user:*")
        assert len(keys) == 300
        assert 0 < await redis.ttl(keys[0]) <= item.get_expiry()
    for limiter in limiters:
        await limiter.close()


async def test_a_large_budget_is_taken_in_blocks_and_never_exceeded(settings: Settings, redis_url: str) -> None:
    """A thousandth at a time for each process; what a process took and did not use is all that is lost."""
    limiters = [RateLimiter(settings.model_copy(update={"rate_limit_general": "4000/day"})) for _ in range(2)]
    who, through = f"user:{uuid4()}", 0
    seen = [(await limiters[n].charge(who, Category.general)).remaining for n in (0, 1, 0, 0, 0, 0, 1)]
    assert seen == [3999, 3995, 3998, 3997, 3996, 3991, 3994], "each has its own four, and nobody another's"
    async with Redis.from_url(redis_url) as redis:
        (key,) = await redis.keys(f"rate/general/{who}/*")
        assert int(await redis.get(key)) == 12
    for n in range(4100):
        with suppress(RateLimited):
            assert (await limiters[n % 2].charge(who, Category.general)).remaining >= 0
            through += 1
    assert 4000 - 4 <= through + len(seen) <= 4000
    for limiter in limiters:
        await limiter.close()


@pytest.fixture
def own() -> Iterator[servers.Servers]:
    with servers.running() as found:
        yield found


async def test_without_redis_nobody_waits_and_nothing_breaks(
    settings: Settings, database: Database, own: servers.Servers
) -> None:
    """Stopped, and then frozen: the process counts by itself, authentication at half its budget; back, it is asked again."""
    user = await make_user(database)
    _, key = await make_key(database, user)
    chosen = tight(settings, Category.general, Category.authentication, redis_url=own.valkey.url())
    async with serving(chosen) as app, browser(app) as client:
        assert (await client.get("/api/projects", headers=bearer(key))).status_code == 200
        await asyncio.to_thread(own.valkey.stop)
        seen = Counter([(await client.get("/api/projects", headers=bearer(key))).status_code for _ in range(20)])
        assert seen == {200: LIMIT, 429: 20 - LIMIT}
        login = {"email": user.email, "password": PASSWORD}
        seen = Counter([(await client.post("/api/auth/login", json=login)).status_code for _ in range(6)])
        assert seen == {200: LIMIT // 2, 429: 6 - LIMIT // 2}


async def test_a_redis_that_hangs_holds_up_nobody_for_long(
    settings: Settings, database: Database, own: servers.Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coreplex.platform.rate.RETRY_REDIS_SECS", 0.3)
    _, key = await make_key(database, await make_user(database))
    async with serving(settings.model_copy(update={"redis_url": own.valkey.url()})) as app, browser(app) as client:
        client.headers.update(bearer(key))
        assert (await client.get("/api/projects")).status_code == 200
        process = own.valkey.child
        assert process is not None
        process.send_signal(19)
        try:
            async with asyncio.timeout(20 * REDIS_SECS):
                for _ in range(5):
                    answers = await asyncio.gather(*(client.get("/api/projects") for _ in range(10)))
                    assert {answer.status_code for answer in answers} == {200}
                    await asyncio.sleep(0.1)
        finally:
            process.send_signal(18)
        await asyncio.sleep(0.4)
        assert (await client.get("/api/projects")).status_code == 200
