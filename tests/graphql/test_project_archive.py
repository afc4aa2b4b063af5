"""An archived project is read and answers, and nothing in it changes, at either door, whoever asks."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select, update
from sqlmodel import col

from coreplex.event.table import Event
from coreplex.experiment.table import Experiment
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership.table import Membership, Project, ProjectStatus
from tests.contract.samples import SAMPLES, Call, graphql_calls, rest_calls
from tests.factories.account import browser
from tests.factories.asking import Asker
from tests.factories.snapshot import snapshot
from tests.factories.world import ROW

ARCHIVE = "mutation($id: ID!) { archiveProject(input: {projectId: $id}) { project { id status } } }"
UNARCHIVE = "mutation($id: ID!) { unarchiveProject(input: {projectId: $id}) { project { id status } } }"
STATUS = "query($id: ID!) { project(id: $id) { status } }"
READ = "query($id: ID!) { project(id: $id) { status models { totalCount } timeline { nodes { type } } } }"
SAID = "archived"
STILL = {
    "deleteProject",
    "removeMember",
    "transferProject",
    "archiveProject",
    "unarchiveProject",
    "deactivateDeployment",
    "abortCanary",
    "stopShadow",
    "stopAbTest",
    "createApiKey",
    "revokeInvitation",
    "deleteWebhook",
    "deleteAlert",
    "muteAlert",
    "deleteRetrainPolicy",
}
"""What can be done to an archived project, and what is in none."""
NOWHERE = {"createProject", "predict", "predictModel", "predictAbTest"}


def code(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["extensions"]["code"]).lower()


async def finish(asker: Asker) -> None:
    """End what waits in the project: its queued experiment."""
    async with asker.world.database.transaction() as session:
        await session.execute(update(Job).values(status=JobStatus.cancelled))
        await session.execute(update(Experiment).values(status=JobStatus.cancelled))


@pytest.fixture
async def archived(asker: Asker) -> Asker:
    await finish(asker)
    assert (await asker.data(ARCHIVE, "admin", id=asker.world.ids["project"]))["archiveProject"]["project"][
        "status"
    ] == "ARCHIVED"
    return asker


def changes() -> list[Call]:
    """Every way to change something in a project."""
    calls = [*graphql_calls(), *rest_calls()]
    return [
        call
        for call in calls
        if call.writes and call.kinds and call.permission.role.rank and not {call.field} & (STILL | NOWHERE)
    ]


async def test_what_changes_something_says_why_not(archived: Asker) -> None:
    """Made from the table of fields and endpoints: a new one is asked here without being named."""
    problems = {}
    async with snapshot(archived.world.database) as before:
        seen = await before.digest()
        for call in changes():
            problem = await refused_as_archived(archived, archived.client, call)
            if problem:
                problems[call.name] = problem
        assert not problems
        assert await before.digest() == seen
    asked = {call.field for call in changes()}
    assert {"uploadDataset", "createExperiment", "createDeployment", "addMember", "updateProject", "deleteModel"} <= asked


async def refused_as_archived(asker: Asker, client: AsyncClient, call: Call) -> str:
    ids = {**asker.world.ids}
    if "upload" in call.kinds:
        ids["upload"] = await asker.world.stage("owner")
    client.cookies.clear()
    response = await call.ask(client, ids, asker.world.headers("owner"))
    return (
        "" if SAID in response.text and "conflict" in response.text.lower() else f"{response.status_code} {response.text[:200]}"
    )


async def test_it_is_read_and_answers(archived: Asker) -> None:
    project, deployment = archived.world.ids["project"], archived.world.ids["deployment"]
    read = await archived.data(READ, "viewer", id=project)
    assert (read["project"]["status"], read["project"]["models"]["totalCount"]) == ("ARCHIVED", 3)
    assert read["project"]["timeline"]["nodes"][0]["type"] == "project.archived"
    path = f"/api/mlops/deployments/{deployment}/predict"
    answer = await archived.client.post(path, json={"inputs": ROW}, headers=archived.world.headers("viewer"))
    assert answer.status_code == 200, answer.text
    stop = "mutation($id: ID!) { deactivateDeployment(input: {deploymentId: $id}) { deployment { status } } }"
    await archived.data(stop, "editor", id=deployment)
    async with asyncio.timeout(5):  # the word travels through the database
        while answer.status_code == 200:
            answer = await archived.client.post(path, json={"inputs": ROW}, headers=archived.world.headers("viewer"))
    assert answer.status_code == 409
    listed = "query($f: ProjectFilter) { projects(filter: $f) { nodes { id status } } }"
    for status, there in (("ARCHIVED", True), ("ACTIVE", False)):
        found = (await archived.data(listed, "viewer", f={"status": status}))["projects"]["nodes"]
        assert (project in [one["id"] for one in found]) is there
    shown = (await archived.client.get(f"/api/projects/{project}", headers=archived.world.headers("viewer"))).json()
    assert shown["project"]["status"] == "archived"


async def test_members_may_leave_and_it_comes_back(archived: Asker) -> None:
    project = archived.world.ids["project"]
    leave = "mutation($input: RemoveMemberInput!) { removeMember(input: $input) { __typename } }"
    await archived.data(leave, "viewer", input={"projectId": project, "memberId": archived.world.ids["member"]})
    for actor, wrong in (("editor", "forbidden"), ("stranger", "not_found")):
        assert (await archived.refused(UNARCHIVE, actor, id=project))["code"].lower() == wrong
    assert (await archived.refused(ARCHIVE, id=project))["code"].lower() == "conflict"
    back = (await archived.data(UNARCHIVE, "admin", id=project))["unarchiveProject"]["project"]
    assert back["status"] == "ACTIVE"
    assert (await archived.refused(UNARCHIVE, id=project))["code"].lower() == "conflict"
    rename = "mutation($input: UpdateProjectInput!) { updateProject(input: $input) { project { name } } }"
    await archived.data(rename, input={"projectId": project, "name": "Again"})
    async with archived.world.database.read() as session:
        kinds = await session.scalars(select(Event.type).where(col(Event.entity_id) == UUID(project)).order_by(col(Event.seq)))
        assert list(kinds)[-4:] == ["project.archived", "member.left", "project.unarchived", "project.updated"]


async def test_not_while_a_job_waits(asker: Asker) -> None:
    """It would change something later."""
    project = asker.world.ids["project"]
    for actor, wrong in (("editor", "forbidden"), ("stranger", "not_found"), ("admin", "conflict")):
        assert (await asker.refused(ARCHIVE, actor, id=project))["code"].lower() == wrong
    assert (await asker.data(STATUS, id=project))["project"]["status"] == "ACTIVE"
    await finish(asker)
    await asker.data(ARCHIVE, "admin", id=project)


async def test_a_change_at_the_same_moment_comes_before_or_not_at_all(asker: Asker) -> None:
    """Members are added until it is archived, and none after."""
    await finish(asker)
    project = asker.world.ids["project"]
    add = "mutation($input: AddMemberInput!) { addMember(input: $input) { member { id } } }"
    people = [asker.world.people[name].email for name in ("stranger", "newcomer")]
    for attempt in range(3):
        wanted = [{"projectId": project, "email": email, "role": "VIEWER"} for email in people]
        await asyncio.gather(*(asker.ask(add, input=one) for one in wanted), asker.data(ARCHIVE, id=project))
        async with asker.world.database.read() as session:
            archived_at = await session.scalar(
                select(func.max(Event.seq)).where(col(Event.type) == "project.archived", col(Event.project_id) == UUID(project))
            )
            later = (col(Event.project_id) == UUID(project), col(Event.type) == "member.added", col(Event.seq) > archived_at)
            assert await session.scalar(select(func.count()).select_from(Event).where(*later)) == 0, attempt
            assert (await session.get_one(Project, UUID(project))).status is ProjectStatus.archived
        await asker.data(UNARCHIVE, id=project)
        async with asker.world.database.transaction() as session:
            for name in ("stranger", "newcomer"):
                mine = (col(Membership.project_id) == UUID(project), col(Membership.user_id) == asker.world.people[name].id)
                row = await session.scalar(select(Membership).where(*mine))
                if row is not None:
                    await session.delete(row)


async def test_what_was_done_before_is_found_again(asker: Asker) -> None:
    """Sent again under its key, though the project was archived meanwhile."""
    await finish(asker)
    project = asker.world.ids["project"]
    body = {"name": "Named", "description": ""}
    async with browser(asker.world.app) as client:
        headers = {**asker.world.headers("owner"), "Idempotency-Key": "k"}
        first = await client.put(f"/api/projects/{project}", json=body, headers=headers)
        await asker.data(ARCHIVE, id=project)
        again = await client.put(f"/api/projects/{project}", json=body, headers=headers)
        assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
        new = await client.put(f"/api/projects/{project}", json=body, headers=asker.world.headers("owner"))
        assert new.status_code == 409


def test_the_samples_know_what_is_let_through() -> None:
    assert set(SAMPLES) >= STILL | NOWHERE


async def test_a_front_end_can_say_it_in_its_own_words(archived: Asker) -> None:
    change = (
        "mutation($input: UpdateProjectInput!) { updateProject(input: $input) { project { id } userErrors { code reason } } }"
    )
    wanted = {"projectId": archived.world.ids["project"], "name": "Other"}
    told = (await archived.data(change, input=wanted))["updateProject"]
    assert told == {"project": None, "userErrors": [{"code": "CONFLICT", "reason": "project_archived"}]}
