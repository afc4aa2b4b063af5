"""A person gives their account another e-mail: by a link in a mail to it, or at once where this server confirms none."""

from typing import Any

import pytest
from httpx import AsyncClient

from coreplex.account.table import User
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests.factories.account import PASSWORD, browser, mails_to, make_user, serving, sign_in, token_in

CHANGE = """mutation($input: ChangeEmailInput!) { changeEmail(input: $input) {
  user { email emailVerifiedAt } verificationRequired userErrors { code field reason } } }"""
VERIFY = "mutation($t: String!) { verifyEmail(input: {token: $t}) { ok userErrors { code reason } } }"
ME = "{ me { email emailVerifiedAt } }"
NEW = "ada@new.example.com"


async def ask(client: AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
    answer = (await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)).json()
    assert "errors" not in answer, answer
    return next(iter(answer["data"].values()))


@pytest.fixture
async def user(database: Database) -> User:
    return await make_user(database)


async def test_a_new_email_counts_once_its_link_is_opened(client: AsyncClient, database: Database, user: User) -> None:
    headers = await sign_in(client, user.email)
    asked = await ask(client, CHANGE, headers, input={"email": NEW, "password": PASSWORD})
    assert (asked["user"]["email"], asked["verificationRequired"], asked["userErrors"]) == (user.email, True, [])
    (sent,) = await mails_to(database, NEW)
    assert user.name not in sent.body
    assert (await ask(client, ME))["email"] == user.email, "not before the link is opened"
    assert (await ask(client, VERIFY, t=token_in(sent)))["ok"]
    assert (await ask(client, ME))["email"] == NEW, "at once, in the session that is open"
    assert [mail.subject for mail in await mails_to(database, user.email)] == ["Your e-mail was changed"]
    assert (await ask(client, VERIFY, t=token_in(sent)))["userErrors"][0]["code"] == "BAD_INPUT"
    await sign_in(client, NEW)
    old = await client.post("/api/auth/login", json={"email": user.email, "password": PASSWORD})
    assert old.status_code == 401


async def test_links_that_went_to_the_old_email_end(client: AsyncClient, database: Database, user: User) -> None:
    headers = await sign_in(client, user.email)
    await client.post("/api/auth/forgot-password", json={"email": user.email})
    (reset,) = await mails_to(database, user.email)
    await ask(client, CHANGE, headers, input={"email": NEW, "password": PASSWORD})
    await ask(client, VERIFY, t=token_in((await mails_to(database, NEW))[0]))
    again = await client.post("/api/auth/reset-password", json={"token": token_in(reset), "password": "another-long-secret"})
    assert again.status_code == 400


async def test_who_does_not_know_the_password_or_names_no_other_address(
    client: AsyncClient, database: Database, user: User
) -> None:
    headers = await sign_in(client, user.email)
    wrong = await ask(client, CHANGE, headers, input={"email": NEW, "password": "not-the-password"})
    assert wrong["userErrors"][0]["field"] == ["input", "password"]
    same = await ask(client, CHANGE, headers, input={"email": user.email, "password": PASSWORD})
    assert same["userErrors"][0]["field"] == ["input", "email"]
    assert await mails_to(database, NEW) == []


async def test_a_taken_email_is_not_told_but_to_its_owner(client: AsyncClient, database: Database, user: User) -> None:
    headers = await sign_in(client, user.email)
    free = await ask(client, CHANGE, headers, input={"email": NEW, "password": PASSWORD})
    other = await make_user(database)
    taken = await ask(client, CHANGE, headers, input={"email": other.email, "password": PASSWORD})
    assert taken == free
    (told,) = await mails_to(database, other.email)
    assert (told.subject, "token=" in told.body) == ("You have an account already", False)
    await make_user(database, NEW)  # takes it before the link is opened
    refused = await ask(client, VERIFY, t=token_in((await mails_to(database, NEW))[0]))
    assert [(one["code"], one["reason"]) for one in refused["userErrors"]] == [("CONFLICT", "email_taken")]
    assert (await ask(client, ME))["email"] == user.email


async def test_where_nobody_is_asked_to_confirm_it_counts_at_once(settings: Settings, database: Database, user: User) -> None:
    trusting = settings.model_copy(update={"require_email_verification": False})
    async with serving(trusting) as app, browser(app) as client:
        headers = await sign_in(client, user.email)
        made = await ask(client, CHANGE, headers, input={"email": NEW, "password": PASSWORD})
        assert made["user"] == {"email": NEW, "emailVerifiedAt": None}
        assert made["verificationRequired"] is False
        assert (await ask(client, ME))["email"] == NEW
        other = await make_user(database)
        taken = await ask(client, CHANGE, headers, input={"email": other.email, "password": PASSWORD})
        assert taken["userErrors"][0]["reason"] == "email_taken"
