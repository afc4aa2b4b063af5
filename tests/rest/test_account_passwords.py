"""Passwords over HTTP: forgotten, set anew by mail, never sent back."""

import base64
import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from coreplex.platform.clock import now
from coreplex.platform.database import Database
from tests.factories.account import ADA, PASSWORD, bearer, browser, mails_to, make_key, make_user, sign_in, token_in


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
    assert (await client.post("/api/auth/reset-password", json=new)).json()["ok"] is True


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
        done = {"ok": True, "active_api_keys": 0, "revoked_api_keys": 0}
        assert (await client.post("/api/auth/reset-password", json=new)).json() == done
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
        assert answer == {"ok": True, "active_api_keys": 0, "revoked_api_keys": 2}
        assert "2 API keys were revoked" in mail
    else:
        assert "2 API keys of this account still work" in answer["warnings"][0]
        assert (answer["active_api_keys"], answer["revoked_api_keys"]) == (2, 0)
        assert "2 API keys of the account still work" in mail
    assert await statuses() == [401 if revoke else 200] * 2 + [200]
    change = """mutation($all: Boolean!) { changePassword(input: {currentPassword: "another-long-secret",
        newPassword: "a-third-long-secret", revokeApiKeys: $all}) { activeApiKeys revokedApiKeys warnings { message } } }"""
    csrf = await sign_in(client, user.email, "another-long-secret")
    changed = await client.post("/graphql", json={"query": change, "variables": {"all": not revoke}}, headers=csrf)
    told = changed.json()["data"]["changePassword"]
    assert told == {"activeApiKeys": 0, "revokedApiKeys": 0 if revoke else 2, "warnings": []}
    assert await statuses() == [401, 401, 200]


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
