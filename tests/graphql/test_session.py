"""Who asks: the first question of a front-end, which is no refusal for a stranger; and what of a person others see."""

import hashlib
import tomllib
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import delete

from coreplex.account.cache import forget
from coreplex.account.table import ApiKey, Session
from coreplex.membership.table import Membership
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.permissions import Role, UserRole
from coreplex.platform.settings import Settings
from schema.export import SDL
from tests.factories.account import PASSWORD, bearer, browser, make_user, serving, sign_in
from tests.factories.asking import Asker
from tests.stack import ROOT

SESSION = """{ session { user { id email role plan emailVerifiedAt } csrfToken scopes projectId project { name } expiresAt
  apiKey { id name } } }"""
SERVER = """{ session { server { version mode publicUrl registrationOpen emailVerificationRequired introspection sdlHash
  passwordRules { minLength maxLength } uploads { maxDatasetBytes formats }
  operations { defaultPageSize maxPageSize maxCost maxDepth maxLength maxRootFields } } } }"""
NOBODY = {
    "user": None,
    "csrfToken": None,
    "scopes": [],
    "projectId": None,
    "project": None,
    "expiresAt": None,
    "apiKey": None,
}


async def ask(client: AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
    answer = await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["session"]


async def test_a_stranger_is_told_of_the_server(client: AsyncClient) -> None:
    assert await ask(client, SESSION) == NOBODY
    server = (await ask(client, SERVER))["server"]
    assert server["sdlHash"] == hashlib.sha256(SDL.read_bytes()).hexdigest()
    assert (server["mode"], server["registrationOpen"], server["introspection"]) == ("DEVELOPMENT", True, True)
    assert server["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert server["publicUrl"] == "http://localhost:8888"
    assert server["passwordRules"]["minLength"] == 8
    assert server["uploads"]["maxDatasetBytes"] == 500 * 1024**2
    assert {".csv", ".parquet", ".xlsx"} <= set(server["uploads"]["formats"])
    assert server["operations"] == {
        "defaultPageSize": 50,
        "maxPageSize": 500,
        "maxCost": 5000,
        "maxDepth": 12,
        "maxLength": 20_000,
        "maxRootFields": 20,
    }


async def test_somebody_signed_in(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email, remember=True)
    said = await ask(client, SESSION)
    assert said["user"]["email"] == user.email
    assert (said["user"]["role"], said["user"]["plan"]) == ("USER", "ENTERPRISE")
    assert said["csrfToken"] == headers["X-CSRF-Token"]
    assert said["scopes"] == ["READ", "WRITE", "PREDICT", "ADMIN"]
    assert (said["apiKey"], said["project"]) == (None, None)
    assert said["expiresAt"] > (now() + timedelta(days=29)).isoformat()[:10]


async def test_a_program_with_a_key_for_one_project(asker: Asker) -> None:
    said = (await asker.data(SESSION, "bound"))["session"]
    assert said["project"]["name"] == "Project of owner@example.com"
    assert (said["csrfToken"], said["expiresAt"]) == (None, None)
    assert said["apiKey"]["name"] == "key"
    assert said["projectId"] != asker.world.ids["project"]


async def test_a_key_that_may_not_read_sees_no_project(asker: Asker) -> None:
    """As if it asked for it by id."""
    bound = (await asker.data(SESSION, "bound"))["session"]
    async with asker.world.database.transaction() as session:
        row = await session.get_one(ApiKey, UUID(bound["apiKey"]["id"]))
        row.scopes = ["write"]
    forget(asker.world.services, row.id)
    blind = (await asker.data(SESSION, "bound"))["session"]
    assert (blind["project"], blind["projectId"]) == (None, bound["projectId"])


async def test_a_session_that_has_ended_is_a_stranger_and_loses_its_cookies(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    await sign_in(client, user.email)
    async with database.transaction() as session:
        await session.execute(delete(Session))
    client.cookies.set("session", client.cookies["session"][::-1], domain="localhost.local", path="/")  # no process knows it
    assert await ask(client, SESSION) == NOBODY
    assert "session" not in client.cookies
    assert "csrf_token" not in client.cookies


async def test_a_wrong_key_is_refused_all_the_same(client: AsyncClient) -> None:
    answer = await client.post("/graphql", json={"query": SESSION}, headers=bearer("cpx_live.nonsense"))
    assert answer.status_code == 401


@pytest.mark.parametrize(("word", "introspection"), [("off", False), ("on", True)])
async def test_what_production_tells(settings: Settings, database: Database, word: str, introspection: bool) -> None:
    own = {"mode": "production", "introspection": word, "public_url": "https://ml.example.com", "registration": "invited"}
    chosen = Settings.model_validate(settings.model_dump() | own)
    async with serving(chosen) as app, browser(app, base_url="https://ml.example.com") as client:
        server = (await ask(client, SERVER))["server"]
        assert (server["mode"], server["publicUrl"]) == ("PRODUCTION", "https://ml.example.com")
        assert (server["registrationOpen"], server["introspection"]) == (False, False), "a stranger"
        user = await make_user(database)
        await sign_in(client, user.email)
        assert (await ask(client, SERVER))["server"]["introspection"] is introspection


PEOPLE = """query($id: ID!) { project(id: $id) { ownerId owner { id email role plan emailVerifiedAt }
  members(first: 10) { nodes { userId role user { id name email role plan emailVerifiedAt } } }
  timeline(first: 5) { nodes { actor { email role plan } } } } me { id role } }"""


async def test_others_see_of_a_person_what_they_need(asker: Asker) -> None:
    data = await asker.data(PEOPLE, "viewer", id=asker.world.ids["project"])
    project = data["project"]
    assert project["owner"] == {
        "id": project["ownerId"],
        "email": "owner@example.com",
        "role": None,
        "plan": None,
        "emailVerifiedAt": None,
    }
    people = {member["user"]["email"]: member for member in project["members"]["nodes"]}
    assert all(member["userId"] == member["user"]["id"] for member in people.values())
    mine = people.pop("viewer@example.com")["user"]
    assert (mine["role"], mine["plan"], mine["id"]) == ("USER", "ENTERPRISE", data["me"]["id"])
    assert mine["emailVerifiedAt"] is not None
    assert {(one["user"]["role"], one["user"]["plan"], one["user"]["emailVerifiedAt"]) for one in people.values()} == {
        (None,) * 3
    }
    assert all(event["actor"]["role"] is None for event in project["timeline"]["nodes"])


async def test_an_administrator_sees_the_accounts(asker: Asker) -> None:
    admin = asker.world.people["viewer"]
    async with asker.world.database.transaction() as session:
        (await session.get_one(type(admin), admin.id)).role = UserRole.admin
    project = (await asker.data(PEOPLE, "viewer", id=asker.world.ids["project"]))["project"]
    assert {one["user"]["plan"] for one in project["members"]["nodes"]} == {"ENTERPRISE"}


async def test_who_signs_in_is_shown_what_is_theirs(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    login = "mutation($input: LoginInput!) { login(input: $input) { user { id role plan emailVerifiedAt } } }"
    body = {"query": login, "variables": {"input": {"email": user.email, "password": PASSWORD}}}
    told = (await client.post("/graphql", json=body)).json()["data"]["login"]["user"]
    assert (told["role"], told["plan"]) == ("USER", "ENTERPRISE")


async def test_people_cost_one_statement_whatever_their_number(asker: Asker) -> None:
    numbers = []
    for more in (0, 8):
        async with asker.world.database.transaction() as session:
            project = UUID(asker.world.ids["project"])
            for _ in range(more):
                user = await make_user(asker.world.database)
                session.add(Membership(project_id=project, user_id=user.id, role=Role.viewer))
        query = "query($id: ID!) { project(id: $id) { owner { name } members(first: 50) { nodes { user { name } } } } }"
        await asker.data(query, id=str(project))
        with asker.counted() as sent:
            found = await asker.data(query, id=str(project))
        assert len(found["project"]["members"]["nodes"]) == 4 + more
        numbers.append(len(sent))
    assert numbers[0] == numbers[1] <= 4
