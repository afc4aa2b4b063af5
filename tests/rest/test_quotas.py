"""How much an account or a project may hold: the last place goes to one of two; a refusal says what to do and changes nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import Response
from sqlalchemy import func, select, text, update
from sqlmodel import col
from starlette.applications import Starlette

from coreplex.account.table import ApiKey, Session, User
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment
from coreplex.experiment.table import Experiment
from coreplex.membership.table import Membership, Project
from coreplex.model.table import Evaluation
from coreplex.platform.database import Database
from coreplex.platform.permissions import UserRole
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.factories.account import browser, make_user, serving, sign_in
from tests.factories.bare import bare
from tests.factories.dataset import PEOPLE, Person, laboratory, staged_files, stored_files
from tests.factories.world import world

TUS = {"Tus-Resumable": "1.0.0"}
Limited = Callable[..., Any]


@pytest.fixture
def limited(settings: Settings, database: Database) -> Limited:
    """The laboratory with some limits lower than usual."""

    @asynccontextmanager
    async def made(**limits: int) -> AsyncIterator[tuple[Starlette, Person]]:
        async with laboratory(settings.model_copy(update=limits), database) as lab:
            yield lab

    return made


async def count(database: Database, table: Any, *conditions: Any) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def refused(answer: Response, setting: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (409, "quota_exceeded"), answer.text
    assert setting in answer.json()["detail"], answer.text


async def race(*asked: Awaitable[Response]) -> list[int]:
    return sorted(answer.status_code for answer in await asyncio.gather(*asked))


async def test_projects(limited: Limited, database: Database) -> None:
    async with limited(max_projects=3) as (_, ada):
        await ada.client.post("/api/projects", json={"name": "Second"})
        some = (ada.client.post("/api/projects", json={"name": f"P{n}"}) for n in range(5))
        assert await race(*some) == [201, 409, 409, 409, 409]
        refused(await ada.client.post("/api/projects", json={"name": "Fourth"}), "MAX_PROJECTS")
        answer = await ada.ask('mutation { createProject(input: {name: "x"}) { project { id } } }')
        assert answer["errors"][0]["extensions"]["code"] == "QUOTA_EXCEEDED"
        assert "You own 3 projects" in answer["errors"][0]["message"]
        assert await count(database, Project) == await count(database, Membership) == 3
        assert (await ada.client.delete(f"/api/projects/{ada.project_id}")).status_code == 200
        assert (await ada.client.post("/api/projects", json={"name": "Third again"})).status_code == 201


async def test_keys_and_an_administrator_has_the_same_limit(limited: Limited, database: Database) -> None:
    async with limited(max_api_keys=3) as (app, _), browser(app) as client:
        root = await make_user(database, role=UserRole.admin)
        token = await sign_in(client, root.email)
        wanted = {"name": "k", "scopes": ["read"]}
        made = [(await client.post("/api/auth/api-keys", json=wanted, headers=token)).json() for _ in range(2)]
        some = (client.post("/api/auth/api-keys", json=wanted, headers=token) for _ in range(4))
        assert await race(*some) == [201, 409, 409, 409]
        refused(await client.post("/api/auth/api-keys", json=wanted, headers=token), "MAX_API_KEYS")
        mine = col(ApiKey.user_id) == root.id
        assert await count(database, ApiKey, mine) == 3
        async with database.transaction() as session:  # one that has expired takes no place
            await session.execute(update(ApiKey).where(col(ApiKey.id) == UUID(made[0]["id"])).values(expires_at=func.now()))
        assert (await client.post("/api/auth/api-keys", json=wanted, headers=token)).status_code == 201
        assert (await client.delete(f"/api/auth/api-keys/{made[1]['id']}", headers=token)).status_code == 200
        assert (await client.post("/api/auth/api-keys", json=wanted, headers=token)).status_code == 201
        refused(await client.post("/api/auth/api-keys", json=wanted, headers=token), "MAX_API_KEYS")


async def test_accounts_and_the_sessions_of_one(limited: Limited, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coreplex.account.signin.MOST_SESSIONS", 2)
    async with limited(max_accounts=2) as (app, ada), browser(app) as client:
        form = {"name": "Eve", "password": "a-long-enough-secret"}
        some = (client.post("/api/auth/register", json={**form, "email": f"e{n}@example.com"}) for n in range(2))
        first = await race(*some)
        assert first[1] == 409
        for taken in ("new@example.com", ada.user.email):
            refused(await client.post("/api/auth/register", json={**form, "email": taken}), "MAX_ACCOUNTS")
        assert await count(database, User) == 2
        browsers = [browser(app) for _ in range(3)]
        for one in browsers:
            await sign_in(one, ada.user.email)
        assert [(await one.get("/api/auth/me")).status_code for one in browsers] == [401, 200, 200]
        assert await count(database, Session) == 2
        for one in browsers:
            await one.aclose()


async def test_versions_and_stored_bytes_of_a_projects_owner(limited: Limited, database: Database) -> None:
    async with limited(max_dataset_versions=3) as (app, ada):
        services: Services = app.state.services
        first = await ada.dataset()
        other = (await ada.client.post("/api/projects", json={"name": "Other"})).json()["id"]
        await ada.dataset(project_id=other)
        assert await race(*(ada.upload(PEOPLE) for _ in range(3))) == [201, 409, 409]
        before = stored_files(services)
        version = first["dataset_version_id"]
        refused(await ada.upload(PEOPLE), "MAX_DATASET_VERSIONS")
        again = {"file": ("t.csv", PEOPLE)}
        refused(await ada.client.post(f"/api/datasets/{first['id']}/versions", files=again), "MAX_DATASET_VERSIONS")
        types = f'{{versionId: "{version}", columns: [{{name: "age", type: CATEGORICAL}}]}}'
        answer = await ada.ask(f"mutation {{ overrideColumnTypes(input: {types}) {{ dataset {{ id }} }} }}")
        assert answer["errors"][0]["extensions"]["code"] == "QUOTA_EXCEEDED", answer
        assert await count(database, DatasetVersion) == 3
        assert stored_files(services) == before
        assert staged_files(services) == []
        async with database.read() as session:
            used = await session.scalar(text("SELECT sum(size_bytes) FROM artifacts"))
    async with limited(max_stored_bytes=used + 10) as (app, _):
        with_ada = {**ada.client.headers}
        async with browser(app) as client:
            form = {"project_id": ada.project_id, "name": "People"}
            answer = await client.post(
                "/api/datasets/upload", data=form, files=again, headers={"Authorization": with_ada["authorization"]}
            )
            refused(answer, "MAX_STORED_BYTES")
            assert f"{used:,} bytes" in answer.json()["detail"]
    assert await count(database, DatasetVersion) == 3
    assert stored_files(services) == before


async def test_staged_bytes_whatever_door_they_come_through(limited: Limited) -> None:
    """Three doors and the exports share one room."""
    async with limited(max_staged_bytes=3_000_000) as (app, ada):
        services: Services = app.state.services

        async def put(size: int) -> Response:
            return await ada.client.post("/api/uploads", params={"filename": "t.csv"}, content=b"x" * size)

        async def begin(size: int) -> Response:
            return await ada.client.post("/api/uploads/tus", headers={**TUS, "Upload-Length": str(size)})

        data = await ada.dataset(b"a,b\n" + b"1,2\n" * 100)
        assert (await put(1_000_000)).status_code == 201
        promised = await begin(900_000)
        assert promised.status_code == 201
        before = staged_files(services), sorted(services.resumable.root.iterdir())
        form = {"files": {"file": ("t.csv", b"x" * 1_200_000)}}
        refused(await ada.client.post("/api/uploads", **form), "MAX_STAGED_BYTES")  # type: ignore[arg-type]
        refused(await put(1_200_000), "MAX_STAGED_BYTES")
        refused(await begin(1_200_000), "MAX_STAGED_BYTES")
        refused(await ada.upload(b"x" * 1_200_000), "MAX_STAGED_BYTES")
        assert (staged_files(services), sorted(services.resumable.root.iterdir())) == before
        assert services.staging.quota.held(ada.user.id) == 1_900_000
        assert await race(put(600_000), put(600_000), begin(600_000)) == [201, 409, 409]
        rest = 3_000_000 - services.staging.quota.held(ada.user.id)
        assert rest == 500_000
        place, bytes_of = promised.headers["location"], {**TUS, "Content-Type": "application/offset+octet-stream"}
        sent = await ada.client.patch(
            place, content=b"a,b\n" + b"12,3\n" * 179_999 + b"\n", headers={**bytes_of, "Upload-Offset": "0"}
        )
        assert sent.status_code == 204, "what was promised has its room"
        assert services.staging.quota.held(ada.user.id) == 2_500_000
        kept, usual = staged_files(services), services.staging.quota.most
        services.staging.quota.most = 2_500_100
        refused(await ada.client.get(f"/api/datasets/{data['id']}/download", params={"format": "csv"}), "MAX_STAGED_BYTES")
        assert staged_files(services) == kept
        services.staging.quota.most = usual
        for _ in range(2):  # the second time it is there already
            export = await ada.client.get(f"/api/datasets/{data['id']}/download", params={"format": "csv"})
            assert export.status_code == 200
        assert (await ada.client.delete(place, headers=TUS)).status_code == 204
        assert services.staging.quota.held(ada.user.id) == 1_600_000 + len(export.content)


async def test_things_of_a_project(settings: Settings, database: Database) -> None:
    async with serving(settings.model_copy(update={"max_items_per_project": 5})) as app, world(app, database) as made:
        owner = made.headers("owner")
        project = UUID(made.ids["project"])
        async with browser(app) as client:

            async def left(table: Any) -> int:
                return 5 - await count(database, table, col(table.project_id) == project)

            model = {"model_id": made.ids["model"], "name": "d", "stage": "staging"}
            experiment = {
                "project_id": made.ids["project"],
                "dataset_version_id": made.ids["version"],
                "name": "e",
                "target_column": "left",
                "problem_type": "classification",
                "config": {"max_runtime_secs": 30},
            }
            rows = {"dataset_version_id": made.ids["version"]}
            person = await make_user(database)
            for number in range(4):  # each costs a child process
                await bare(
                    database, "evaluations", uuid4(), project_id=project, model_id=UUID(made.ids["model"]), filename=str(number)
                )
            for table, path, body in (
                (Deployment, f"/api/mlops/projects/{project}/deployments", model),
                (Experiment, "/api/experiments", experiment),
                (Evaluation, f"/api/models/{made.ids['model']}/evaluate", rows),
                (Membership, f"/api/projects/{project}/members", {"email": person.email, "role": "viewer"}),
            ):
                places = await left(table)
                if table is not Membership:
                    some = (client.post(path, json=body, headers=owner) for _ in range(places + 2))
                    statuses = await race(*some)
                    assert statuses == [201] * places + [409] * 2, (path, statuses)
                else:
                    for _ in range(places):
                        another = {**body, "email": (await make_user(database)).email}
                        assert (await client.post(path, json=another, headers=owner)).status_code == 201
                refused(await client.post(path, json=body, headers=owner), "MAX_ITEMS_PER_PROJECT")
                assert await left(table) == 0
