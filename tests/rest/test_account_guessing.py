"""Guessing: waits after failures, and answers that tell nothing about who has an account."""

import asyncio
import statistics
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient, Response
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]
from sqlalchemy import text
from structlog.testing import capture_logs

from coreplex.account import lockout, recovery
from coreplex.account.device_cookie import browser_of
from coreplex.errors.tree import Message, RateLimited, Unauthenticated
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import PASSWORD, browser, mails_to, make_user, serving, sign_in


async def login(client: AsyncClient, email: str, password: str) -> Response:
    return await client.post("/api/auth/login", json={"email": email, "password": password})


def shown(answer: Response) -> tuple[int, Any, list[str]]:
    """What a guesser can see: status, body and header names, without what differs from request to request."""
    body = {k: v for k, v in answer.json().items() if k != "request_id"}
    return answer.status_code, body, sorted(answer.headers)


async def test_after_five_failures_comes_a_wait_here_and_nowhere_else(app: Any, database: Database) -> None:
    user = await make_user(database)
    async with browser(app, "192.0.2.1") as thief, browser(app, "192.0.2.99") as near, browser(app, "198.51.100.1") as owner:
        for _ in range(5):
            assert (await login(thief, user.email, "wrong password")).status_code == 401
        for password in ("wrong password", PASSWORD):
            answer = await login(thief, user.email.upper(), password)
            assert answer.status_code == 429, "not even the right password is looked at"
            assert 0 < int(answer.headers["retry-after"]) <= 60
        assert (await login(near, user.email, PASSWORD)).status_code == 200, "a colleague's failures are not one's own"
        assert (await login(owner, user.email, PASSWORD)).status_code == 200
        assert (await login(thief, (await make_user(database)).email, PASSWORD)).status_code == 200, "other accounts are free"


async def test_a_known_browser_is_let_through(settings: Settings, database: Database) -> None:
    """Everybody has one address behind a proxy that is not trusted: neither failures nor budget of the others keep one out."""
    user, thief_too = await make_user(database), await make_user(database)
    tight = settings.model_copy(update={"rate_limit_authentication": "12/day"})
    async with serving(tight) as app, browser(app) as own, browser(app) as thief, browser(app) as new:
        assert (await login(own, user.email, PASSWORD)).status_code == 200
        assert (await login(thief, thief_too.email, PASSWORD)).status_code == 200
        own.cookies.delete("session")
        seen = [(await login(new, user.email, "wrong password")).status_code for _ in range(12)]
        assert seen == [401] * 5 + [429] * 7
        assert (await login(own, user.email, PASSWORD)).status_code == 200, "the address has no budget left, the browser has"
        guesses = [(await login(thief, user.email, "wrong password")).status_code for _ in range(3)]
        assert guesses == [429] * 3, "an account buys no guesses at another"
        assert (await login(thief, thief_too.email, PASSWORD)).status_code == 200
        for forged in ("x", f"{user.id}.{'a' * 22}.{'0' * 64}", own.cookies["known_browser"][:-1] + "é"):
            answer = await new.post(
                "/api/auth/login",
                json={"email": user.email, "password": PASSWORD},
                headers={"cookie": f"known_browser={forged}".encode()},
            )
            assert answer.status_code == 429


async def test_a_proxy_that_is_not_trusted_is_told_of_once(settings: Settings, database: Database) -> None:
    """Whoever sends the header: what it says counts for nothing, and the administrator hears how to change that."""
    user = await make_user(database)
    async with serving(settings) as app, browser(app) as client:
        with capture_logs() as logs:
            seen = []
            for n in range(7):
                client.headers["X-Forwarded-For"] = f"198.51.100.{n}"
                seen.append((await login(client, user.email, "wrong password")).status_code)
        assert seen == [401] * 5 + [429] * 2
    (told,) = [entry for entry in logs if entry["event"] == "proxy_not_trusted"]
    assert (told["log_level"], told["address"], "TRUSTED_PROXIES" in told["advice"]) == ("warning", "192.0.2.1", True)
    trusting = settings.model_copy(update={"trusted_proxies": ("192.0.2.7",)})
    async with serving(trusting) as app, browser(app) as client:
        with capture_logs() as logs:
            await login(client, user.email, PASSWORD)
    assert not any(entry["event"] == "proxy_not_trusted" for entry in logs)


async def test_a_known_browser_is_no_licence_to_guess(app: Any, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    user, other = await make_user(database), await make_user(database)
    async with browser(app) as client, browser(app, "198.51.100.1") as elsewhere:
        await sign_in(client, user.email)
        known = client.cookies["known_browser"]
        seen = [(await login(client, user.email, "wrong password")).status_code for _ in range(7)]
        assert seen == [401] * 5 + [429] * 2
        assert (await login(elsewhere, user.email, PASSWORD)).status_code == 200, "nor do its failures count against others"
        seen = [(await login(client, other.email, "wrong password")).status_code for _ in range(7)]
        assert seen == [401] * 5 + [429] * 2, "to another account it is a stranger"
        assert (await login(elsewhere, other.email, PASSWORD)).status_code == 200
        for days, found in ((364, True), (367, False)):
            with monkeypatch.context() as later:
                later.setattr("coreplex.account.device_cookie.now", lambda days=days: now() + timedelta(days=days))
                assert (browser_of(known, user) is not None) is found, "a copy of the cookie ends when it does"
        async with database.transaction() as session:
            await recovery.set_password(session, Settings(), await session.get_one(type(user), user.id), "another hash")
            changed = await session.get_one(type(user), user.id)
            assert browser_of(known, changed) is None, "a new password forgets the browsers"


async def test_many_addresses_of_a_network_do_not_add_up(database: Database) -> None:
    """Nor do they keep anybody out elsewhere."""

    async def looked_at(*addresses: str) -> int:
        evaluated = 0
        for address in addresses * 5:
            with suppress(RateLimited, Unauthenticated):
                async with lockout.attempt(database, "ada@example.com", address):
                    evaluated += 1
                    raise Unauthenticated(Message("wrong", "wrong"))
        return evaluated

    assert await looked_at(*(f"192.0.2.{n}" for n in range(1, 11))) == lockout.FREE_IN_NETWORK
    assert await looked_at(*(f"2001:db8:1:{n}::1" for n in range(1, 11))) == lockout.FREE_IN_NETWORK
    assert await looked_at("198.51.100.1", "2001:db8:2::1") == 2 * lockout.FREE_FAILURES
    with pytest.raises(RateLimited):
        async with lockout.attempt(database, "Ada@example.com", "192.0.2.200"):
            pass
    async with lockout.attempt(database, "ada@example.com", "192.0.2.200", browser="known") as attempt:
        attempt.right = True


async def test_the_wait_ends_and_grows(app: Any, database: Database) -> None:
    user = await make_user(database)
    waits = []
    async with browser(app) as client:
        for _ in range(5):
            await login(client, user.email, "wrong password")
        for _ in range(3):
            waits.append(int((await login(client, user.email, "x")).headers["retry-after"]))
            async with database.transaction() as session:
                await session.execute(text("UPDATE failed_logins SET wait_until = now()"))
            assert (await login(client, user.email, "wrong password")).status_code == 401
        async with database.transaction() as session:
            await session.execute(text("UPDATE failed_logins SET wait_until = now()"))
        assert (await login(client, user.email, PASSWORD)).status_code == 200
        async with database.read() as session:
            counters = await session.execute(text("SELECT failures FROM failed_logins ORDER BY failures"))
            assert list(counters.scalars()) == [8], "of the network; those from here are forgotten"
    assert [round(wait / 60) for wait in waits] == [1, 2, 4]


def test_what_a_guesser_gets_who_paces_best() -> None:
    """So many guesses as fast as the waits let, and then none until they are forgotten; the numbers of docs/decisions/0019."""

    def in_an_hour(free: int) -> float:
        periods = {n: sum((lockout.wait_after(k, free) for k in range(1, n + 1)), lockout.MEMORY) for n in range(1, 100)}
        return max(timedelta(hours=1) / period * n for n, period in periods.items())

    assert round(in_an_hour(lockout.FREE_FAILURES)) == 20
    assert round(in_an_hour(lockout.FREE_IN_NETWORK)) == 96


async def test_guesses_sent_at_once_are_counted_one_by_one(app: Any, database: Database) -> None:
    user = await make_user(database)
    async with browser(app) as client:
        answers = await asyncio.gather(*(login(client, user.email, f"wrong password {n}") for n in range(60)))
    seen = [answer.status_code for answer in answers]
    assert seen.count(401) == 5
    assert seen.count(429) == 55


async def test_many_right_logins_at_once_are_all_let_in(app: Any, database: Database) -> None:
    user = await make_user(database)
    async with browser(app) as client:
        answers = await asyncio.gather(*(login(client, user.email, PASSWORD) for _ in range(15)))
    assert {answer.status_code for answer in answers} == {200}


async def test_the_authentication_budget(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    limited = settings.model_copy(update={"rate_limit_authentication": "10/minute"})
    async with serving(limited) as app, browser(app) as client:
        paths = ("login", "register", "forgot-password", "reset-password", "resend-verification")
        left = 10
        for n in range(10):
            answer = await client.post(f"/api/auth/{paths[n % 5]}", json={"email": user.email})
            assert answer.headers["x-ratelimit-limit"] == "10"
            now_left = int(answer.headers["x-ratelimit-remaining"])
            assert now_left in (left - 1, 9), "one less, or a new minute began"
            left = now_left
        while answer.status_code != 429:
            answer = await login(client, user.email, PASSWORD)
        assert int(answer.headers["retry-after"]) <= 60
        assert (await client.get("/health")).status_code == 200


async def test_aliases_buy_no_further_guess(app: Any, database: Database) -> None:
    user = await make_user(database)
    one = f'login(input: {{email: "{user.email}", password: "wrong password"}}) {{ csrfToken }}'
    documents = (
        "mutation { " + " ".join(f"a{n}: {one}" for n in range(10)) + " }",
        "mutation { ...f b: " + one + " } fragment f on Mutation { a: " + one + " }",
    )
    async with browser(app) as client:
        for document in documents:
            answer = await client.post("/graphql", json={"query": document})
            assert answer.status_code == 400, answer.text
        batch = await client.post("/graphql", json=[{"query": f"mutation {{ {one} }}"}] * 10)
        assert batch.status_code in {400, 415, 422}
        async with database.read() as session:
            assert (await session.execute(text("SELECT count(*) FROM failed_logins"))).scalar_one() == 0


async def test_answers_do_not_tell_who_has_an_account(app: Any, database: Database) -> None:
    known, waiting = await make_user(database), await make_user(database, verified=False)
    gone = await make_user(database, active=False)
    emails = (known.email, waiting.email, gone.email, "nobody@example.com")
    async with browser(app) as client:
        for path, body in (
            ("login", {"password": "wrong password"}),
            ("forgot-password", {}),
            ("resend-verification", {}),
        ):
            answers = [shown(await client.post(f"/api/auth/{path}", json={"email": e, **body})) for e in emails]
            assert all(answer == answers[0] for answer in answers), (path, answers)
        made = []
        for email in emails:
            answer = await client.post("/api/auth/register", json={"email": email, "name": "X", "password": "another secret"})
            status, body, headers = shown(answer)
            assert body["user"].pop("email") == email
            assert body["user"].pop("id") not in {str(known.id), str(waiting.id), str(gone.id)}
            made.append((status, body, headers))
        assert all(answer == made[0] for answer in made), made
        assert (await login(client, known.email, "another secret")).status_code == 401, "the account is as it was"
    subjects = [mail.subject for mail in await mails_to(database, known.email)]
    assert subjects == ["Choose a new password", "You have an account already"]
    assert await mails_to(database, gone.email) == []


@pytest.mark.slow
async def test_times_do_not_tell_who_has_an_account(app: Any, database: Database) -> None:
    users = [await make_user(database) for _ in range(300)]
    async with browser(app) as client:
        for path, body in (("login", {"password": "wrong password"}), ("forgot-password", {})):
            times: tuple[list[float], list[float]] = ([], [])
            for n, user in enumerate(users):  # taking turns, so that a busy machine slows both alike
                for kind, email in enumerate((user.email, f"nobody{n}@example.com")):
                    start = time.perf_counter()
                    await client.post(f"/api/auth/{path}", json={"email": email, **body})
                    times[kind].append(time.perf_counter() - start)
            medians = [statistics.median(kind) for kind in times]
            assert abs(medians[0] - medians[1]) <= 0.005, (path, medians)
            assert mannwhitneyu(*times).pvalue > 0.001, (path, medians)
