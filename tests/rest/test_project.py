"""Projects, members and timelines over REST (contract B.2)."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from coreplexml import CorePlexMLClient
from sqlalchemy import func, select
from sqlmodel import col

from coreplex.dataset.table import Dataset
from coreplex.job import service as job
from coreplex.job.jobs import remove_files
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership.table import Membership, Project
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Role
from tests.counting import counted
from tests.factories.account import make_user
from tests.factories.dataset import Person, person, stored_files
from tests.stack import Stack

PROJECT = {
    *("id", "name", "description", "status", "owner_id", "role", "dataset_count", "experiment_count", "model_count"),
    *("deployment_count", "created_at", "updated_at"),
}
SORTS = ("created_at", "updated_at", "name", "dataset_count", "experiment_count", "model_count", "deployment_count")


async def names(ada: Person, **params: Any) -> list[str]:
    answer = await ada.client.get("/api/projects", params=params)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_create_read_update_delete(ada: Person) -> None:
    made = await ada.client.post("/api/projects", json={"name": "  Churn  ", "description": "who leaves", "unknown": 1})
    body = made.json()
    assert (made.status_code, body["project"]["name"]) == (201, "Churn")
    assert body["warnings"] == ["This endpoint takes no key 'unknown', which is ignored."]
    assert body["id"] == body["project_id"] == body["project"]["id"]
    assert set(body["project"]) == PROJECT
    assert (body["project"]["role"], body["project"]["status"]) == ("owner", "active")
    one = f"/api/projects/{body['id']}"
    assert (await ada.client.get(one)).json() == {"project": body["project"]}
    renamed = (await ada.client.put(one, json={"name": "Loss"})).json()["project"]
    assert (renamed["name"], renamed["description"]) == ("Loss", "who leaves")
    emptied = (await ada.client.put(one, json={"name": "Loss", "description": ""})).json()["project"]
    assert emptied["description"] == ""
    assert (await ada.client.put(one, json={"description": "no name"})).status_code == 422
    assert (await ada.client.delete(one)).json() == {"ok": True}
    for method in ("get", "delete"):
        assert (await getattr(ada.client, method)(one)).json()["detail"] == "Project not found"


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": " \t "}, {"name": None}, {"name": 3}, {"name": "x" * 201}, {"name": "a\0b"}, {"name": ["x"]}],
)
async def test_names_that_are_none(ada: Person, body: dict[str, Any]) -> None:
    answer = await ada.client.post("/api/projects", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == "name"
    assert await names(ada) == ["Tables"]


async def test_search_takes_every_sign_for_itself(ada: Person) -> None:
    for name, description in (("100 % wool", ""), ("snake_case", ""), ("Plain", "with % in it"), ("Größe", r"back\slash")):
        await ada.client.post("/api/projects", json={"name": name, "description": description})
    assert await names(ada, search="%") == ["Plain", "100 % wool"]
    assert await names(ada, search="_") == ["snake_case"]
    assert await names(ada, search="\\") == ["Größe"]
    assert await names(ada, search="GRÖSSE") == []
    assert await names(ada, search="größe") == ["Größe"]
    assert await names(ada, search="pl\0ain") == ["Plain"]
    assert len(await names(ada, search="")) == 5
    assert (await ada.client.get("/api/projects", params={"search": "x" * 201})).status_code == 422


async def test_every_sort_both_ways_and_pages_without_gaps(ada: Person, database: Database) -> None:
    made = [(await ada.client.post("/api/projects", json={"name": f"p{i % 3}-{i}"})).json()["id"] for i in range(6)]
    async with database.transaction() as session:
        for count, project in enumerate(made[:4]):
            session.add_all(Dataset(project_id=UUID(project), name=f"d{n}") for n in range(count))
    for sort in SORTS:
        for direction in ("asc", "desc"):
            order = {"sort_field": sort, "sort_direction": direction}
            whole = await names(ada, **order)
            assert len(whole) == 7
            paged = [name for offset in range(0, 8, 2) for name in await names(ada, limit=2, offset=offset, **order)]
            assert paged == whole, order
    assert (await names(ada, sort_field="dataset_count"))[0] == "p0-3"
    assert await names(ada, sort_field="name", sort_dir="asc") == sorted(await names(ada), key=str.lower)
    page = (await ada.client.get("/api/projects", params={"limit": 3, "offset": 6})).json()
    assert (len(page["items"]), page["total"], page["limit"], page["offset"]) == (1, 7, 3, 6)


@pytest.mark.parametrize(
    "params",
    [
        *({"limit": value} for value in ("0", "501", "x", "-1", "1.5", "9" * 30)),
        *({"offset": value} for value in ("-1", "x", "10000001")),
        *({"sort_field": "password_hash"}, {"sort_direction": "up"}),
    ],
)
async def test_pages_that_are_none(ada: Person, params: dict[str, str]) -> None:
    answer = await ada.client.get("/api/projects", params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == next(iter(params))
    assert answer.json()["message"].startswith(f"{next(iter(params))}: must be ")


@pytest.mark.parametrize("offset", [2**31 - 1, 2**31, -(2**31) - 1, 10**30])
async def test_an_offset_beyond_every_list_is_told_the_range(ada: Person, offset: int) -> None:
    (wrong,) = (await ada.client.get("/api/projects", params={"offset": offset})).json()["detail"]
    assert (wrong["loc"], wrong["msg"]) == (["query", "offset"], "must be from 0 to 10000000")


async def test_members_and_roles(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    members = f"/api/projects/{ada.project_id}/members"
    async with person(app, database) as grace:
        email = grace.user.email
        assert (await grace.client.get(members)).status_code == 404
        added = await ada.client.post(members, json={"email": f" {email.upper()} "})
        assert added.status_code == 201, added.text
        member = added.json()["member"]
        assert added.json()["id"] == added.json()["member_id"] == member["id"]
        assert (member["role"], member["email"], member["user_id"]) == ("editor", email, str(grace.user.id))
        assert (await ada.client.post(members, json={"email": email})).status_code == 409
        assert (await ada.client.post(members, json={"email": "nobody@example.com"})).status_code == 404
        told = (await ada.client.post(members, json={"email": email, "role": "king"})).json()["message"]
        assert told == "role: must be one of viewer, editor, admin"
        for role in ("owner", "king", 1):
            assert (await ada.client.post(members, json={"email": email, "role": role})).status_code == 422
        listed = (await grace.client.get(members, params={"sort_field": "email", "sort_direction": "asc"})).json()
        assert listed["total"] == 2
        assert {item["role"] for item in listed["items"]} == {"owner", "editor"}
        assert (await grace.client.get(f"/api/projects/{ada.project_id}")).json()["project"]["role"] == "editor"
        assert (await grace.client.put(f"/api/projects/{ada.project_id}", json={"name": "Mine"})).status_code == 403
        assert (await grace.client.post(members, json={"email": email})).status_code == 403
        owner = next(item["id"] for item in listed["items"] if item["role"] == "owner")
        assert (await ada.client.delete(f"{members}/{owner}")).status_code == 409
        for nobody in (str(uuid4()), "nonsense"):
            assert (await ada.client.delete(f"{members}/{nobody}")).json()["detail"] == "Member not found"
        assert (await ada.client.delete(f"{members}/{member['id']}")).json() == {"ok": True}
        assert (await grace.client.get(members)).status_code == 404


async def test_members_may_leave_and_only_managers_remove_others(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    members = f"/api/projects/{ada.project_id}/members"
    async with person(app, database) as grace, person(app, database) as alan:
        added = {
            one.user.email: (await ada.client.post(members, json={"email": one.user.email, "role": role})).json()["id"]
            for one, role in ((grace, "viewer"), (alan, "editor"))
        }
        again = await ada.client.post(members, json={"email": grace.user.email, "role": "editor"})
        assert "already, as viewer; changeMemberRole" in again.json()["detail"]
        listed = (await ada.client.get(members)).json()["items"]
        owner = next(item["id"] for item in listed if item["role"] == "owner")
        for other in (owner, added[alan.user.email]):
            refused = await grace.client.delete(f"{members}/{other}")
            assert (refused.status_code, "admin or higher" in refused.json()["detail"]) == (403, True)
        assert (await grace.client.delete(f"{members}/{added[grace.user.email]}")).json() == {"ok": True}
        assert (await grace.client.get(members)).status_code == 404
        assert (await ada.client.delete(f"{members}/{added[alan.user.email]}")).json() == {"ok": True}
    assert (await ada.client.delete(f"{members}/{owner}")).status_code == 409
    events = (await ada.client.get(f"/api/projects/{ada.project_id}/timeline")).json()["events"]
    assert [event["type"] for event in events[:2]] == ["member.removed", "member.left"]


async def test_the_timeline_tells_who_did_what(ada: Person) -> None:
    await ada.client.put(f"/api/projects/{ada.project_id}", json={"name": "Renamed"})
    made = await ada.dataset()
    await ada.client.delete(f"/api/datasets/{made['id']}")
    found = (await ada.client.get(f"/api/projects/{ada.project_id}/timeline")).json()
    assert found["events"] == found["items"]
    types = [entry["type"] for entry in found["events"]]
    assert types == ["dataset.deleted", "dataset.uploaded", "project.updated", "project.created"]
    assert {entry["user"]["email"] for entry in found["events"]} == {ada.user.email}
    assert [set(entry) for entry in found["events"]] == [
        {"id", "type", "entity_type", "entity_id", "message", "user", "created_at"}
    ] * 4
    page = (await ada.client.get(f"/api/projects/{ada.project_id}/timeline", params={"limit": 1, "offset": 1})).json()
    assert [entry["type"] for entry in page["events"]] == ["dataset.uploaded"]
    assert (page["total"], page["limit"]) == (4, 1)


async def test_things_of_one_name_are_allowed_and_said(ada: Person) -> None:
    first = (await ada.client.post("/api/projects", json={"name": "Same"})).json()
    second = (await ada.client.post("/api/projects", json={"name": "sAME"})).json()
    assert (first["warnings"], first["id"] == second["id"]) == ([], False)
    assert second["warnings"] == [
        "The name “sAME” is taken already: another project is called so. Both stay; their identifiers tell them apart."
    ]
    project = first["id"]
    answers = [await ada.dataset(project_id=project, name="Table") for _ in range(3)]
    assert [len(answer["warnings"]) for answer in answers] == [0, 1, 1]
    assert "2 other datasets are called so" in answers[2]["warnings"][0]


async def test_deletion_takes_everything(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    await ada.dataset()
    kept = (await ada.client.post("/api/projects", json={"name": "Kept"})).json()["id"]
    await ada.dataset(project_id=kept)
    async with database.transaction() as session:
        waiting = await job.enqueue(session, "probe", project_id=UUID(ada.project_id), entity_type="probe", entity_id=new_id())
    services = app.state.services
    before = stored_files(services)
    assert (await ada.client.delete(f"/api/projects/{ada.project_id}")).json() == {"ok": True}
    async with database.read() as session:
        assert await session.get(Job, waiting.id) is None
        assert await session.scalar(select(func.count()).select_from(Dataset)) == 1
        left = (await session.scalars(select(Job).where(col(Job.status) == JobStatus.queued))).all()
    assert [row.type for row in left] == ["storage_delete"]

    class Context:
        storage, database = services.storage, services.database

    await remove_files(left[0], Context())  # type: ignore[arg-type]
    after = stored_files(services)
    assert after == [key for key in before if f"projects/{kept}/" in key]
    assert after


async def test_a_longer_list_needs_no_more_queries(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    numbers = []
    for more in (0, 40):
        async with database.transaction() as session:
            for i in range(more):
                project = Project(owner_id=ada.user.id, name=f"n{i}", created_at=now())
                session.add(project)
                await session.flush()
                session.add(Membership(project_id=project.id, user_id=ada.user.id, role=Role.owner))
        await ada.client.get("/api/projects")
        with counted(app.state.services.database) as sent:
            listed = (await ada.client.get("/api/projects")).json()
        assert len(listed["items"]) == 1 + more
        numbers.append(len(sent))
    assert numbers[0] == numbers[1] < 20


async def test_members_and_timeline_need_no_query_per_row(lab: tuple[Any, Person], database: Database) -> None:
    app, ada = lab
    one, numbers = f"/api/projects/{ada.project_id}", []
    for more in (1, 20):
        for _ in range(more):
            user = await make_user(database)
            assert (await ada.client.post(f"{one}/members", json={"email": user.email})).status_code == 201
        with counted(app.state.services.database) as sent:
            for part in ("members", "timeline"):
                assert (await ada.client.get(f"{one}/{part}")).json()["total"] > more
        numbers.append(len(sent))
    assert numbers[0] == numbers[1]


def test_the_published_client(stack: Stack) -> None:
    client = CorePlexMLClient(base_url=stack.base_url, api_key=stack.key())
    project = client.projects.create(name="By the client", description="d")
    assert client.projects.get(project["id"])["name"] == "By the client"
    assert [item["id"] for item in client.projects.list(search="client")["items"]] == [project["id"]]
    assert client.projects.update(project["id"], description="only this")["name"] == "By the client"
    assert client.projects.members(project["id"])["total"] == 1
    assert client.projects.timeline(project["id"])["events"][-1]["type"] == "project.created"
    assert client.projects.delete(project["id"]) == {"ok": True}
