"""Accounts by GraphQL: the same rights, rules and answers as by REST."""

from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import text

from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope, UserRole
from tests.factories.account import PASSWORD, bearer, browser, mails_to, make_key, make_user, token_in

LOGIN = "mutation($input: LoginInput!) { login(input: $input) { user { id email name role plan } csrfToken } }"
ME = "{ me { id email role emailVerifiedAt } session { scopes csrfToken projectId } }"
CREATE_KEY = """mutation($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { key apiKey { id name prefix scopes expiresAt revokedAt } }
}"""
REVOKE = "mutation($id: ID!) { revokeApiKey(input: {apiKeyId: $id}) { apiKey { id revokedAt } } }"
CHANGE = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { csrfToken } }"


async def ask(client: AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
    answer = await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    assert answer.status_code < 500, answer.text
    return answer.json()


def codes(answer: Any) -> list[str]:
    return [error["extensions"]["code"] for error in answer.get("errors", [])]


async def sign_in(client: AsyncClient, email: str, password: str = PASSWORD) -> dict[str, str]:
    answer = await ask(client, LOGIN, input={"email": email, "password": password})
    return {"X-CSRF-Token": answer["data"]["login"]["csrfToken"]}


async def test_from_registration_to_logout(client: AsyncClient, database: Database) -> None:
    register = "mutation($input: RegisterInput!) { register(input: $input) { user { email } verificationRequired } }"
    ada = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    assert (await ask(client, register, input=ada))["data"]["register"]["verificationRequired"] is True
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    assert codes(await ask(client, LOGIN, input=credentials)) == ["FORBIDDEN"]

    again = 'mutation { resendVerification(input: {email: "ada@example.com"}) { ok } }'
    assert (await ask(client, again))["data"]["resendVerification"]["ok"] is True
    token = token_in((await mails_to(database, "ada@example.com"))[-1])
    verify = "mutation($token: String!) { verifyEmail(input: {token: $token}) { ok } }"
    assert (await ask(client, verify, token=token))["data"]["verifyEmail"]["ok"] is True
    assert codes(await ask(client, verify, token=token)) == ["BAD_INPUT"]

    headers = await sign_in(client, "ada@example.com")
    assert headers["X-CSRF-Token"] == client.cookies["csrf_token"]
    session = (await ask(client, ME))["data"]["session"]
    assert session["scopes"] == ["READ", "WRITE", "PREDICT", "ADMIN"]
    assert session["csrfToken"] == headers["X-CSRF-Token"]
    assert codes(await ask(client, "mutation { logout { ok } }")) == ["FORBIDDEN"]
    assert (await ask(client, "mutation { logout { ok } }", headers))["data"]["logout"]["ok"] is True
    assert codes(await ask(client, ME)) == ["UNAUTHENTICATED"]


async def test_wrong_inputs_name_their_fields(client: AsyncClient) -> None:
    register = "mutation($input: RegisterInput!) { register(input: $input) { user { id } } }"
    answer = await ask(client, register, input={"email": "nobody", "name": "", "password": "short"})
    assert codes(answer) == ["INVALID"]
    errors = answer["errors"][0]["extensions"]["errors"]
    assert [error["loc"] for error in errors] == [["email"], ["name"], ["password"]]
    assert "short" not in str([error["msg"] for error in errors]).replace("shorter", "")


async def test_the_life_of_an_api_key(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    made = (await ask(client, CREATE_KEY, headers, input={"name": "ci", "scopes": ["PREDICT", "READ"], "expiresInDays": 7}))[
        "data"
    ]
    key, row = made["createApiKey"]["key"], made["createApiKey"]["apiKey"]
    assert row["scopes"] == ["PREDICT", "READ"]
    assert row["expiresAt"] is not None
    async with browser(app) as program:
        said = (await ask(program, ME, bearer(key)))["data"]
        assert said["me"]["email"] == user.email
        assert said["session"] == {"scopes": ["READ", "PREDICT"], "csrfToken": None, "projectId": None}
        for query, variables in (
            (CREATE_KEY, {"input": {"name": "x", "scopes": ["ADMIN"]}}),
            (REVOKE, {"id": row["id"]}),
            ("{ apiKeys { nodes { id } } }", {}),
            ("mutation { logout { ok } }", {}),
            (CHANGE, {"input": {"currentPassword": PASSWORD, "newPassword": "another secret"}}),
        ):
            assert codes(await ask(program, query, bearer(key), **variables)) == ["FORBIDDEN"], query
        listed = "{ apiKeys(sort: {field: NAME}) { totalCount nodes { id name lastUsedAt revokedAt } } }"
        assert (await ask(client, listed))["data"]["apiKeys"]["nodes"][0]["lastUsedAt"] is not None
        assert (await ask(client, REVOKE, headers, id=row["id"]))["data"]["revokeApiKey"]["apiKey"]["id"] == row["id"]
        assert codes(await ask(program, ME, bearer(key))) == ["UNAUTHENTICATED"]
    assert codes(await ask(client, CREATE_KEY, headers, input={"name": "x", "scopes": ["root"]}))
    assert codes(await ask(client, REVOKE, headers, id="nonsense")) == ["NOT_FOUND"]


@pytest.mark.parametrize("scope", list(Scope))
async def test_scopes_are_enforced_here_too(client: AsyncClient, database: Database, scope: Scope) -> None:
    user = await make_user(database)
    _, key = await make_key(database, user, [scope])
    create = 'mutation { createProject(input: {name: "p"}) { project { id } } }'
    assert bool(codes(await ask(client, create, bearer(key)))) is (scope is not Scope.write)
    assert bool(codes(await ask(client, "{ projects { totalCount } }", bearer(key)))) is (scope is not Scope.read)


async def test_an_admin_key_of_an_administrator_may_do_all(client: AsyncClient, database: Database) -> None:
    admin = await make_user(database, role=UserRole.admin)
    _, key = await make_key(database, admin, [Scope.admin])
    create = 'mutation { createProject(input: {name: "p"}) { project { id } } }'
    assert codes(await ask(client, create, bearer(key))) == []


async def test_a_new_password_replaces_every_session(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database)
    async with browser(app) as other:
        await sign_in(other, user.email)
        headers = await sign_in(client, user.email)
        before = client.cookies["session"]
        wrong = {"currentPassword": "wrong password", "newPassword": "another-long-secret"}
        assert codes(await ask(client, CHANGE, headers, input=wrong)) == ["INVALID"]
        right = wrong | {"currentPassword": PASSWORD}
        token = (await ask(client, CHANGE, headers, input=right))["data"]["changePassword"]["csrfToken"]
        assert client.cookies["session"] != before
        assert (await ask(client, ME))["data"]["session"]["csrfToken"] == token, "still signed in, in a new session"
        assert codes(await ask(other, ME)) == ["UNAUTHENTICATED"], "signed out elsewhere"
        client.cookies.set("session", before, domain="localhost.local")
    async with browser(app) as thief:
        thief.cookies.set("session", before)
        assert codes(await ask(thief, ME)) == ["UNAUTHENTICATED"]
        assert codes(await ask(thief, LOGIN, input={"email": user.email, "password": PASSWORD})) == ["UNAUTHENTICATED"]
        await sign_in(thief, user.email, "another-long-secret")


async def test_a_forgotten_password(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    await ask(client, "mutation($e: String!) { forgotPassword(input: {email: $e}) { ok } }", e=user.email)
    reset = "mutation($t: String!, $p: String!) { resetPassword(input: {token: $t, password: $p}) { ok } }"
    token = token_in((await mails_to(database, user.email))[0])
    assert codes(await ask(client, reset, t=token, p="password")) == ["INVALID"], "weak, and the token is still good"
    assert (await ask(client, reset, t=token, p="another-long-secret"))["data"]["resetPassword"]["ok"] is True
    assert codes(await ask(client, reset, t=token, p="another-long-secret")) == ["BAD_INPUT"]
    await sign_in(client, user.email, "another-long-secret")


async def test_what_happened_is_on_record(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    made = (await ask(client, CREATE_KEY, headers, input={"name": "ci", "scopes": ["READ"]}))["data"]["createApiKey"]
    await ask(client, REVOKE, headers, id=made["apiKey"]["id"])
    await ask(client, CHANGE, headers, input={"currentPassword": PASSWORD, "newPassword": "another-long-secret"})
    async with database.read() as session:
        types = list(await session.scalars(text("SELECT type FROM events WHERE actor_id = :me ORDER BY seq"), {"me": user.id}))
        messages = " ".join(await session.scalars(text("SELECT message || data::text FROM events")))
    assert types == ["api_key.created", "api_key.revoked", "password.changed"]
    assert made["key"] not in messages


SHOWN_ONCE = {"WebhookSecretPayload", "CreateWebhookPayload", "RotateWebhookSecretPayload"}
"""They have the secret that was made just now, by which its receiver verifies what is sent."""


async def test_secrets_have_no_field(client: AsyncClient) -> None:
    answer = await ask(client, "{ __schema { types { name fields { name } inputFields { name } } } }")
    kinds = [kind for kind in answer["data"]["__schema"]["types"] if kind["name"] not in SHOWN_ONCE]
    names = {field["name"].lower() for kind in kinds for field in kind["fields"] or ()}
    for secret in ("passwordHash", "secretHash", "tokenHash", "password", "token", "secret"):
        assert secret.lower() not in names
