"""`Idempotency-Key`: what is sent again is done once, whenever the first answer was lost, at both doors."""

import asyncio
from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy import inspect, text
from sqlmodel import SQLModel

from coreplex.errors.tree import Message
from coreplex.idempotency.service import Attempt
from coreplex.membership.table import Membership
from coreplex.platform.database import Database
from coreplex.platform.permissions import Role, Scope
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from schema.execution import core_schema, permission_of
from schema.field import Declared
from tests.factories.account import PASSWORD, bearer, browser, make_key, make_user, serving, sign_in
from tests.factories.dataset import PEOPLE, Person, staged_files, stored_files

CREATE = "mutation($name: String!) { createProject(input: {name: $name}) { project { id name } } }"


def keyed(key: str, **more: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **more}


def replayed(answer: Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


@pytest.fixture(params=["answer kept", "answer not kept"])
def fate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the second, nothing is written after the commit of the act, as when the process is killed there."""

    async def killed(*_: Any) -> None:
        pass

    if request.param != "answer kept":
        monkeypatch.setattr(Attempt, "keep", killed)


async def count(database: Database, table: str) -> int:
    async with database.read() as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_each_act_happens_once(
    ada: Person, database: Database, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written after the commit of an act, as when the process dies there: the retry makes nothing and answers."""
    keep = Attempt.keep

    async def killed(*_: Any) -> None:
        pass

    async def sent_again(path: str, key: str, **request: Any) -> Any:
        monkeypatch.setattr(Attempt, "keep", killed)
        await ada.client.post(path, headers=keyed(key), **request)
        monkeypatch.setattr(Attempt, "keep", keep)
        rebuilt, again = [await ada.client.post(path, headers=keyed(key), **request) for _ in range(2)]
        assert 200 <= rebuilt.status_code < 300, rebuilt.text
        assert replayed(rebuilt)
        assert replayed(again)
        assert again.content == rebuilt.content
        return rebuilt.json()

    other = await make_user(database)
    project = await sent_again("/api/projects", "a", json={"name": "Once"})
    form = {"project_id": project["project_id"], "name": "People"}
    dataset = await sent_again("/api/datasets/upload", "b", data=form, files={"file": ("p.csv", PEOPLE)})
    await sent_again(f"/api/datasets/{dataset['id']}/versions", "c", files={"file": ("p.csv", PEOPLE)})
    staged = await sent_again("/api/uploads", "d", files={"file": ("p.csv", PEOPLE)})
    member = {"email": other.email, "role": "viewer"}
    await sent_again(f"/api/projects/{project['project_id']}/members", "e", json=member)
    body = {"query": CREATE, "variables": {"name": "By GraphQL"}}
    named = await sent_again("/graphql", "f", json=body)
    assert named["data"]["createProject"]["project"]["name"] == "By GraphQL"
    gone = named["data"]["createProject"]["project"]["id"]
    delete = {"query": "mutation($id: ID!) { deleteProject(input: {projectId: $id}) { deletedId } }", "variables": {"id": gone}}
    assert (await sent_again("/graphql", "g", json=delete))["data"]["deleteProject"]["deletedId"] == gone
    assert await count(database, "projects") == 2
    assert await count(database, "datasets") == 1
    assert await count(database, "dataset_versions") == 2
    assert await count(database, "memberships") == 3
    assert staged_files(services) == [staged["id"]] or len(staged_files(services)) <= 2, "one file and its facts"
    assert len(stored_files(services)) == 4, "a table and a raw file of each version"


async def test_parallel_equal_requests_make_one(ada: Person, settings: Settings, database: Database) -> None:
    """In one process and in two, at both doors."""
    body = {"query": CREATE, "variables": {"name": "Parallel"}}
    async with serving(settings) as other, browser(other) as elsewhere:
        elsewhere.headers.update(bearer(ada.key))
        clients = [ada.client, elsewhere] * 20
        rest = await asyncio.gather(*(c.post("/api/projects", json={"name": "P"}, headers=keyed("r")) for c in clients))
        graphql = await asyncio.gather(*(c.post("/graphql", json=body, headers=keyed("g")) for c in clients))
    assert {answer.status_code for answer in rest} == {201}
    assert len({answer.content for answer in rest}) == 1, "identical bodies"
    assert len({answer.json()["data"]["createProject"]["project"]["id"] for answer in graphql}) == 1
    assert sum(not replayed(answer) for answer in rest) == sum(not replayed(answer) for answer in graphql) == 1
    assert await count(database, "projects") == 3
    for answer in (
        await ada.client.post("/api/projects", json={"name": "Q"}, headers=keyed("r")),
        await ada.client.post("/graphql", json={**body, "variables": {"name": "Q"}}, headers=keyed("g")),
        await ada.client.post("/graphql", json=body, headers=keyed("r")),
    ):
        assert answer.status_code == 409
        assert "another request" in answer.text
    assert await count(database, "projects") == 3


async def test_a_slow_request_is_not_taken_for_abandoned(
    ada: Person, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the first runs, the second waits for it, or is told to come again; it never runs beside it."""
    begun, end, record = asyncio.Event(), asyncio.Event(), Attempt.record

    async def slowly(*given: Any) -> None:
        begun.set()
        await end.wait()
        await record(*given)

    monkeypatch.setattr(Attempt, "record", slowly)
    monkeypatch.setattr("coreplex.idempotency.service.WAIT_SECS", 0.2)
    first = asyncio.create_task(ada.client.post("/api/projects", json={"name": "Slow"}, headers=keyed("s")))
    await begun.wait()
    async with database.transaction() as session:
        await session.execute(text("UPDATE idempotency_keys SET created_at = created_at - interval '10 minutes'"))
    told = await ada.client.post("/api/projects", json={"name": "Slow"}, headers=keyed("s"))
    assert (told.status_code, "still running" in told.text) == (409, True)
    end.set()
    made = await first
    assert made.status_code == 201
    again = await ada.client.post("/api/projects", json={"name": "Slow"}, headers=keyed("s"))
    assert (again.content, replayed(again)) == (made.content, True)


async def test_fields_done_are_not_done_again(ada: Person, database: Database) -> None:
    """Of several fields each is remembered: what was refused runs when it is sent again, what was done does not."""
    user = await make_user(database)
    document = """mutation($p: ID!, $email: String!) {
        one: createProject(input: {name: "one"}) { project { id } }
        two: addMember(input: {projectId: $p, email: $email, role: VIEWER}) { member { id } }
        three: createProject(input: {name: "three"}) { project { id } }
    }"""
    body = {"query": document, "variables": {"p": ada.project_id, "email": "later@example.com"}}
    first = (await ada.client.post("/graphql", json=body, headers=keyed("k"))).json()
    assert [error["path"] for error in first["errors"]] == [["two"]], first
    async with database.transaction() as session:
        row = await session.get_one(type(user), user.id)
        row.email = "later@example.com"
    again = await ada.client.post("/graphql", json=body, headers=keyed("k"))
    assert "errors" not in again.json(), again.text
    third = await ada.client.post("/graphql", json=body, headers=keyed("k"))
    assert third.content == again.content
    assert await count(database, "projects") == 3
    assert await count(database, "memberships") == 4


async def test_the_replay_respects_the_callers_rights(lab: tuple[Any, Person], database: Database, fate: None) -> None:
    """Another key's project and scopes, a role taken away, a membership ended: refused as the act itself would be."""
    app, ada = lab
    user = await make_user(database)
    async with database.transaction() as session:
        membership = Membership(project_id=ada.project_id, user_id=user.id, role=Role.editor)
        session.add(membership)
    _, full = await make_key(database, user)
    _, reader = await make_key(database, user, [Scope.read, Scope.predict])
    bound_row, bound = await make_key(database, user)
    async with browser(app) as bob:
        own = (await bob.post("/api/projects", json={"name": "Own"}, headers=bearer(full))).json()["project_id"]
        async with database.transaction() as session:
            (await session.get_one(type(bound_row), bound_row.id)).project_id = own
        form = {"project_id": ada.project_id, "name": "Hers"}
        graphql = {
            "query": "mutation($i: UpdateDatasetInput!) { updateDataset(input: $i) { dataset { id name } } }",
        }

        async def upload(key: str) -> Response:
            return await bob.post(
                "/api/datasets/upload", data=form, files={"file": ("p.csv", PEOPLE)}, headers={**bearer(key), **keyed("u")}
            )

        made = await upload(full)
        dataset = (await bob.get("/api/datasets", headers=bearer(full))).json()["items"][0]["id"]
        graphql["variables"] = {"i": {"datasetId": dataset, "name": "Renamed"}}  # type: ignore[assignment]

        async def rename(key: str) -> Response:
            return await bob.post("/graphql", json=graphql, headers={**bearer(key), **keyed("n")})

        assert made.status_code == 201
        await rename(full)
        for again in (await upload(full), await rename(full)):
            assert again.status_code in {200, 201}, again.text
            assert replayed(again)
        for key, status in ((bound, 404), (reader, 403)):
            for refused in (await upload(key), await rename(key)):
                seen = refused.json()
                found = refused.status_code if "errors" not in seen else seen["errors"][0]["extensions"]["status"]
                assert (found, replayed(refused)) == (status, False), refused.text
                assert dataset not in refused.text or status == 404
        for role, status in ((Role.viewer, 403), (None, 404)):
            async with database.transaction() as session:
                row = await session.get_one(Membership, membership.id)
                if role is None:
                    await session.delete(row)
                else:
                    row.role = role
            for refused in (await upload(full), await rename(full)):
                seen = refused.json()
                found = refused.status_code if "errors" not in seen else seen["errors"][0]["extensions"]["status"]
                assert found == status, refused.text
                assert "Hers" not in refused.text
                assert "Renamed" not in refused.text
    assert await count(database, "datasets") == 1


async def test_the_replay_shows_no_more_than_the_scopes_of_its_key(lab: tuple[Any, Person], database: Database) -> None:
    """What a key may do but not see is done once and not shown, though another key of the person was shown it."""
    app, ada = lab
    _, writer = await make_key(database, ada.user, [Scope.write])
    document = """mutation { createProject(input: {name: "Seen"}) { project { id datasets { totalCount } } } }"""
    async with browser(app) as client:
        seen = await client.post("/graphql", json={"query": document}, headers={**bearer(ada.key), **keyed("k")})
        assert seen.json()["data"]["createProject"]["project"]["datasets"] == {"totalCount": 0}
        hidden = await client.post("/graphql", json={"query": document}, headers={**bearer(writer), **keyed("k")})
        assert hidden.json()["errors"][0]["extensions"]["status"] == 403
        assert "totalCount" not in hidden.text
        again = await client.post("/graphql", json={"query": document}, headers={**bearer(ada.key), **keyed("k")})
        assert again.content == seen.content
    assert await count(database, "projects") == 2


async def test_a_mutation_answered_as_a_stream_is_done_once_too(ada: Person, database: Database) -> None:
    body = {"query": CREATE, "variables": {"name": "Streamed"}}
    first, again = [await ada.client.post("/graphql/stream", json=body, headers=keyed("k")) for _ in range(2)]
    assert "Streamed" in first.text
    assert (again.text, replayed(first), replayed(again)) == (first.text, False, True)
    assert (await ada.client.post("/graphql", json=body, headers=keyed("k"))).status_code == 409, "asked for otherwise"
    assert await count(database, "projects") == 2


async def test_a_secret_is_stored_nowhere_and_made_once(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    async with browser(app) as page:
        csrf = await sign_in(page, ada.user.email)
        wanted = {"name": "ci", "scopes": ["read"]}
        made = await page.post("/api/auth/api-keys", json=wanted, headers={**csrf, **keyed("k")})
        assert made.status_code == 201, made.text
        again = await page.post("/api/auth/api-keys", json=wanted, headers={**csrf, **keyed("k")})
        assert again.status_code == 409
        assert "shown once" in again.text
        listed = (await page.get("/api/auth/api-keys", headers=csrf)).json()
        assert [item["name"] for item in listed["items"]].count("ci") == 1
    async with database.read() as session:
        stored = (await session.execute(text("SELECT outcomes::text, body FROM idempotency_keys WHERE key = 'k'"))).one()
    assert made.json()["key"] not in stored[0]
    assert stored[1] is None


async def test_refusals_and_old_answers_free_the_key(ada: Person, database: Database) -> None:
    refused = await ada.client.post("/api/projects", json={"name": ""}, headers=keyed("k"))
    assert refused.status_code == 422
    assert await count(database, "idempotency_keys") == 0
    made = await ada.client.post("/api/projects", json={"name": "Mended"}, headers=keyed("k"))
    assert (made.status_code, replayed(made)) == (201, False)
    async with database.transaction() as session:
        await session.execute(text("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'"))
    other = await ada.client.post("/api/projects", json={"name": "A day later"}, headers=keyed("k"))
    assert (other.status_code, replayed(other)) == (201, False)
    again = await ada.client.post("/api/projects", json={"name": "A day later"}, headers=keyed("k"))
    assert again.content == other.content
    assert await count(database, "projects") == 3


async def test_a_key_is_one_header_of_ascii(ada: Person, database: Database) -> None:
    """Which of two would count, or how bytes beyond ASCII are read, is not for a server or proxy to choose."""
    bad = ([""], ["x" * 256], ["tab\there"], ["caf\u00e9"], ["\u20ac"], ["one", "one"], ["one", "two"])
    for keys in bad:
        headers = [(b"Idempotency-Key", key.encode()) for key in keys]
        rest = await ada.client.post("/api/projects", json={"name": "n"}, headers=headers)
        graphql = await ada.client.post("/graphql", json={"query": CREATE, "variables": {"name": "n"}}, headers=headers)
        for answer in (rest, graphql):
            assert (answer.status_code, "Idempotency-Key" in answer.text) == (422, True), answer.text
    assert (await count(database, "projects"), await count(database, "idempotency_keys")) == (1, 0)


async def test_a_key_without_effect_is_said(lab: tuple[Any, Person], database: Database) -> None:
    """Reads, sign-ins and what ends the credential it came with run each time; other fields of the request are done once."""
    app, ada = lab
    async with browser(app) as page:
        credentials = {"email": ada.user.email, "password": PASSWORD}
        login = await page.post("/api/auth/login", json=credentials, headers=keyed("l"))
        csrf = {"X-CSRF-Token": login.json()["csrf_token"]}
        mixed = """mutation($input: LoginInput!) {
            login(input: $input) { csrfToken }
            createProject(input: {name: "Mixed"}) { project { id } }
        }"""
        asked = {"query": mixed, "variables": {"input": credentials}}
        first = await page.post("/graphql", json=asked, headers={**csrf, **keyed("m")})
        csrf = {"X-CSRF-Token": first.json()["data"]["login"]["csrfToken"]}
        again = await page.post("/graphql", json=asked, headers={**csrf, **keyed("m")})
        assert first.json()["data"]["createProject"] == again.json()["data"]["createProject"]
        assert first.json()["data"]["login"] != again.json()["data"]["login"], "who signs in again has a session of their own"
        csrf = {"X-CSRF-Token": again.json()["data"]["login"]["csrfToken"]}
        change = f"""mutation {{
            changePassword(input: {{currentPassword: "{PASSWORD}", newPassword: "another-long-secret"}}) {{ csrfToken }}
        }}"""
        changed = await page.post("/graphql", json={"query": change}, headers={**csrf, **keyed("c")})
        listed = await ada.client.get("/api/projects", headers=keyed("g"))
        asked = {"query": "{ projects { totalCount } }"}
        queried, streamed = [
            await ada.client.post(path, json=asked, headers=keyed("q")) for path in ("/graphql", "/graphql/stream")
        ]
    for answer in (login, changed, listed, queried, streamed):
        assert answer.status_code == 200, answer.text
        assert "no effect" in answer.headers["warning"]
        assert not replayed(answer)
    assert not any("warning" in answer.headers for answer in (first, again))
    assert (replayed(first), replayed(again)) == (False, True)
    assert await count(database, "projects") == 2
    async with database.read() as session:
        rows = await session.execute(text("SELECT key, body FROM idempotency_keys"))
        assert rows.all() == [("m", None)], "a token of a session is kept in no answer"


async def test_what_was_made_and_is_gone_is_not_made_again(ada: Person, database: Database) -> None:
    first = await ada.client.post("/api/projects", json={"name": "Short"}, headers=keyed("k"))
    assert (await ada.client.delete(f"/api/projects/{first.json()['project_id']}")).status_code < 300
    again = await ada.client.post("/api/projects", json={"name": "Short"}, headers=keyed("k"))
    assert again.status_code == 404
    assert await count(database, "projects") == 1


async def test_changes_and_deletions_are_done_once_too(ada: Person, fate: None) -> None:
    """A retry by PUT undoes no later change, and a deletion sent again is answered as the first time."""
    made = (await ada.client.post("/api/projects", json={"name": "Once"})).json()
    path = f"/api/projects/{made['project_id']}"
    for name, key in (("Twice", "p"), ("Thrice", "q"), ("Twice", "p")):
        answer = await ada.client.put(path, json={"name": name}, headers=keyed(key))
        assert answer.status_code == 200, answer.text
    assert replayed(answer)
    assert "Thrice" in (await ada.client.get(path)).text

    first, again = [await ada.client.delete(path, headers=keyed("d")) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert again.content == first.content
    assert (replayed(first), replayed(again)) == (False, True)
    assert (await ada.client.delete(path, headers=keyed("e"))).status_code == 404


def test_every_mutation_of_a_signed_in_caller_is_done_once() -> None:
    """Save those that end the credential they came with, and predictions, which make nothing."""
    assert core_schema.mutation_type is not None
    fields = {name for name in core_schema.mutation_type.fields if not _public(name)}
    assert {name for name in fields if not _done_once(name)} == {
        "logout",
        "changePassword",
        "predict",
        "predictModel",
        "predictAbTest",
    }


def test_what_a_mutation_makes_can_be_found_again() -> None:
    """By one key of a table: it is what is remembered under the request's key."""
    services = [calls for name in core_schema.mutation_type.fields if (calls := _calls(name)).__module__.startswith("coreplex.")]
    made = {kind for calls in services for kind in _kinds(get_type_hints(calls)["return"])}
    tables = {kind for kind in made if issubclass(kind, SQLModel)}
    assert len(tables) > 10
    assert {kind.__name__ for kind in tables if len(inspect(kind).primary_key) > 1} == set()
    assert made - tables <= {UUID, int, str, Message, NoneType}


def _kinds(annotation: Any) -> Iterator[type]:
    parts = [part for part in get_args(annotation) if part is not Ellipsis]
    yield from [kind for part in parts for kind in _kinds(part)] if parts else [annotation]


def _done_once(name: str) -> bool:
    """Whether a mutation only calls a service, which its declaration does once, or has a resolver that `once` wraps."""
    calls = _calls(name)
    return calls.__module__.startswith("coreplex.") or hasattr(calls, "__wrapped__")


def _calls(name: str) -> Any:
    resolver = core_schema.mutation_type.fields[name].extensions["strawberry-definition"].base_resolver
    return resolver.calls if isinstance(resolver, Declared) else resolver.wrapped_func


def _public(name: str) -> bool:
    permission = permission_of(core_schema.mutation_type, name)
    return permission is not None and permission.public
