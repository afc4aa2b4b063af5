"""Events: each kind a type, of a thing, of a project and of all the caller's projects; live, resumed, only where one may look."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from httpx import AsyncClient
from httpx_sse import EventSource

from coreplex.account.table import User
from coreplex.event import service as event
from coreplex.event.stream import LATE, Taken
from coreplex.event.table import Event, EventKind
from coreplex.membership.table import Membership, Project
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Role
from tests.factories.account import make_key, make_user
from tests.factories.asking import Asker
from tests.graphql.followed import make_job, tell

KINDS = """{ __typename seq type message entityType entityId
  ... on LogLine { level } ... on Progress { progress } ... on StateChanged { status attempt job { id status } }
  ... on ModelTrained { experiment { id modelCount } model { id name } bestModel { id } }
  ... on TimelineEvent { id actor { email } } }"""
PROJECT = "subscription($p: ID!, $after: Long) { projectEvents(projectId: $p, after: $after) " + KINDS + " }"
ACCOUNT = "subscription($after: Long) { accountEvents(after: $after) " + KINDS + " }"
EXPERIMENT = "subscription($e: ID!) { experimentEvents(experimentId: $e) " + KINDS + " }"


@asynccontextmanager
async def heard(
    address: str, query: str, headers: dict[str, str], **variables: Any
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    body = {"query": query, "variables": variables}
    async with AsyncClient(base_url=f"http://{address}", timeout=20) as web:
        more = {"accept": "text/event-stream", **headers}
        async with web.stream("POST", "/graphql", json=body, headers=more) as response:
            assert response.status_code == 200, await response.aread()
            yield _payloads(EventSource(response).aiter_sse())


async def _payloads(events: Any) -> AsyncIterator[dict[str, Any]]:
    async for one in events:
        if one.event == "next":
            told = one.json()
            assert "errors" not in told, told
            (payload,) = told["data"].values()
            yield payload


async def key_of(database: Database, user: User) -> dict[str, str]:
    _, token = await make_key(database, user)
    return {"authorization": f"Bearer {token}"}


async def another_project(database: Database, user: User) -> UUID:
    async with database.transaction() as session:
        project = Project(owner_id=user.id, name="Second")
        session.add(project)
        await session.flush()
        session.add(Membership(project_id=project.id, user_id=user.id, role=Role.owner))
        await session.flush()
        await event.audit(session, user.id, project, "project.created", "Second was made.")
        return project.id


async def test_each_kind_is_a_type_of_its_own(address: str, database: Database) -> None:
    user = await make_user(database)
    made = await make_job(database, user)
    key = await key_of(database, user)
    entity = {"entity_type": "probe", "entity_id": made.entity_id, "project_id": made.project_id}
    async with heard(address, PROJECT, key, p=str(made.project_id), after=0) as events:
        first = await anext(events)
        assert (first["__typename"], first["status"], first["job"]["id"]) == ("StateChanged", "QUEUED", str(made.id))
        async with database.transaction() as session:
            await event.append(session, **entity, kind=EventKind.progress, type="probe.progress", data={"progress": 12.5})
            await event.append(session, **entity, kind=EventKind.log, type="probe.log", message="hm", level="warning")
            project = await session.get_one(Project, made.project_id)
            await event.audit(session, user.id, project, "project.updated", "It was changed.")
        progress, line, deed = [await anext(events) for _ in range(3)]
        assert (progress["__typename"], progress["progress"]) == ("Progress", 12.5)
        assert (line["__typename"], line["level"], line["message"]) == ("LogLine", "WARNING", "hm")
        assert (deed["__typename"], deed["id"], deed["actor"]) == ("TimelineEvent", str(deed["seq"]), {"email": user.email})
        end = "mutation($i: CancelJobInput!) { cancelJob(input: $i) { job { status } } }"
        async with AsyncClient(base_url=f"http://{address}", timeout=20) as web:
            await web.post("/graphql", json={"query": end, "variables": {"i": {"jobId": str(made.id)}}}, headers=key)
        while (ended := await anext(events))["__typename"] != "StateChanged":
            pass
        assert (ended["status"], ended["job"]["status"]) == ("CANCELLED", "CANCELLED"), "loaded afresh for each event"


async def test_a_model_that_is_finished_brings_itself_and_its_experiment(address: str, asker: Asker) -> None:
    ids = asker.world.ids
    figures = {"model_id": ids["model"], "best_model_id": ids["model"], "rank": 1}
    async with asker.world.database.transaction() as session:
        await event.append(
            session,
            entity_type="experiment",
            entity_id=UUID(ids["experiment"]),
            project_id=UUID(ids["project"]),
            kind=EventKind.state,
            type="model.trained",
            data=figures,
        )
    async with heard(address, EXPERIMENT, asker.world.headers("owner"), e=ids["experiment"]) as events:
        async for told in events:
            if told["__typename"] == "ModelTrained":
                break
    assert (told["experiment"]["id"], told["model"]["id"], told["bestModel"]["id"]) == (
        ids["experiment"],
        ids["model"],
        ids["model"],
    )
    assert told["experiment"]["modelCount"] > 0


async def test_the_account_hears_all_its_projects_and_no_others(address: str, database: Database) -> None:
    user, stranger = await make_user(database), await make_user(database, "eve@example.com")
    made, theirs = await make_job(database, user), await make_job(database, stranger)
    key = await key_of(database, user)
    async with heard(address, ACCOUNT, key, after=0) as events:
        assert (await anext(events))["entityId"] == str(made.entity_id)
        await tell(database, theirs, "not for you")
        await tell(database, made, "for you")
        assert (await anext(events))["message"] == "for you"
        second = await another_project(database, user)
        joined = await anext(events)
        assert (joined["__typename"], joined["entityId"]) == ("TimelineEvent", str(second))
    async with heard(address, ACCOUNT, key) as events:
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.5)
        assert not waiting.done(), "without a cursor it begins now"
        await tell(database, made, "now")
        assert (await waiting)["message"] == "now"


async def test_a_project_of_another_person_is_not_there(asker: Asker) -> None:
    for document in (PROJECT,):
        told = await asker.ask(document, "stranger", p=asker.world.ids["project"])
        assert "errors" in told


async def test_what_commits_late_is_not_missed(address: str, database: Database) -> None:
    """Numbers are handed out before a commit: of two things in a project the later one may be seen first."""
    user = await make_user(database)
    slow, quick = await make_job(database, user), await make_job(database, user)
    async with database.transaction() as session:
        (await session.get_one(type(quick), quick.id)).project_id = slow.project_id
    quick.project_id = slow.project_id
    key = await key_of(database, user)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with database.transaction() as session:
            about = {"entity_type": "probe", "entity_id": slow.entity_id or new_id(), "project_id": slow.project_id}
            await event.append(session, **about, kind=EventKind.log, type="probe.log", message="slow")  # type: ignore[arg-type]
            begun.set()
            await go_on.wait()

    async with heard(address, PROJECT, key, p=str(slow.project_id)) as events:
        await asyncio.sleep(0.5)
        writing = asyncio.create_task(late())
        await begun.wait()
        (cursor,) = await tell(database, quick, "quick")
        first = await anext(events)
        assert (first["message"], first["seq"]) == ("quick", cursor)
    go_on.set()
    await writing
    async with heard(address, PROJECT, key, p=str(slow.project_id), after=cursor) as events:
        again = [await anext(events)]
        while again[-1]["message"] != "slow":
            again.append(await anext(events))
        assert again[-1]["seq"] < cursor


def test_single_numbers_are_forgotten_when_nothing_can_come_before_them() -> None:
    taken, moment = Taken(5), now()
    for seq, age in ((6, 3 * LATE), (9, 2 * LATE), (8, LATE / 2)):
        taken.add(Event(seq=seq, entity_type="x", entity_id=new_id(), kind=EventKind.log, type="x.log", created_at=moment - age))
    taken.settle(moment)
    assert (taken.floor, sorted(taken.beyond)) == (9, [])
