"""What members may do, and who owns a project: changed by those who may, at once, and never twice at a time."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlmodel import col

from coreplex.account.table import User
from coreplex.event.table import Event
from coreplex.membership.table import Membership, Project
from coreplex.platform.permissions import Role
from tests.factories.asking import Asker

MEMBERS = "query($id: ID!) { project(id: $id) { ownerId role members(first: 20) { nodes { id role user { id email } } } } }"
CHANGE = "mutation($input: ChangeMemberRoleInput!) { changeMemberRole(input: $input) { member { id role user { email } } } }"
TRANSFER = "mutation($input: TransferProjectInput!) { transferProject(input: $input) { project { id role owner { email } } } }"
RENAME = "mutation($input: UpdateProjectInput!) { updateProject(input: $input) { project { name } } }"


async def members(asker: Asker) -> dict[str, dict[str, Any]]:
    """Memberships by the first part of the address, which is the actor's name."""
    project = (await asker.data(MEMBERS, id=asker.world.ids["project"], actor="viewer"))["project"]
    return {one["user"]["email"].partition("@")[0]: one for one in project["members"]["nodes"]}


async def roles(asker: Asker) -> dict[str, str]:
    return {name: one["role"] for name, one in (await members(asker)).items()}


async def change(asker: Asker, actor: str, member: str, role: str) -> dict[str, Any]:
    found = (await members(asker))[member]["id"]
    wanted = {"projectId": asker.world.ids["project"], "memberId": found, "role": role}
    return await asker.ask(CHANGE, actor, input=wanted)


async def transfer(asker: Asker, actor: str, member: str) -> dict[str, Any]:
    found = (await members(asker))[member]["id"]
    return await asker.ask(TRANSFER, actor, input={"projectId": asker.world.ids["project"], "memberId": found})


def code(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["extensions"]["code"]).lower()


async def kinds(asker: Asker) -> list[str]:
    async with asker.world.database.read() as session:
        query = select(Event.type).where(col(Event.project_id) == UUID(asker.world.ids["project"]))
        return list(await session.scalars(query.order_by(col(Event.seq))))


async def test_a_role_counts_from_the_next_request_on(asker: Asker) -> None:
    renamed = {"projectId": asker.world.ids["project"], "name": "Other"}
    assert (await asker.refused(RENAME, "viewer", input=renamed))["code"].lower() == "forbidden"
    changed = await change(asker, "admin", "viewer", "ADMIN")
    assert changed["data"]["changeMemberRole"]["member"]["role"] == "ADMIN"
    assert (await asker.data(RENAME, "viewer", input=renamed))["updateProject"]["project"]["name"] == "Other"
    await change(asker, "viewer", "admin", "VIEWER")
    assert (await asker.refused(RENAME, "admin", input=renamed))["code"].lower() == "forbidden"
    assert await roles(asker) == {"owner": "OWNER", "admin": "VIEWER", "editor": "EDITOR", "viewer": "ADMIN"}
    assert (await kinds(asker))[-1] == "member.role_changed"
    before = len(await kinds(asker))
    await change(asker, "owner", "admin", "VIEWER")
    assert len(await kinds(asker)) == before, "nothing changed"


@pytest.mark.parametrize("actor", ["viewer", "editor", "stranger", "write_only"])
async def test_who_may_not_changes_nothing(asker: Asker, actor: str) -> None:
    """Nobody below an admin changes a role, oneself least of all; the owner's stays whoever asks."""
    before = await roles(asker)
    for member, role in (("viewer", "ADMIN"), ("editor", "ADMIN"), ("admin", "VIEWER")):
        if actor != "write_only":
            assert code(await change(asker, actor, member, role)) == ("not_found" if actor == "stranger" else "forbidden")
    for someone in ("owner", "admin", actor):
        assert code(await change(asker, someone, "owner", "VIEWER")) in {"conflict", "forbidden", "not_found"}
    assert "errors" in await change(asker, "owner", "viewer", "OWNER"), "there is no such role to give"
    assert await roles(asker) == before


async def test_a_member_of_another_project_is_none_here(asker: Asker) -> None:
    wanted = {"projectId": asker.world.ids["project"], "memberId": asker.world.foreign["member"], "role": "ADMIN"}
    assert (await asker.refused(CHANGE, input=wanted))["code"].lower() == "not_found"
    given = {"projectId": asker.world.ids["project"], "memberId": asker.world.foreign["member"]}
    assert (await asker.refused(TRANSFER, input=given))["code"].lower() == "not_found"


async def test_a_project_gets_another_owner(asker: Asker) -> None:
    project = asker.world.ids["project"]
    for actor in ("admin", "editor", "viewer"):
        assert code(await transfer(asker, actor, "admin")) == "forbidden"
    given = await transfer(asker, "owner", "editor")
    assert given["data"]["transferProject"]["project"]["owner"]["email"] == "editor@example.com"
    assert given["data"]["transferProject"]["project"]["role"] == "ADMIN"
    assert await roles(asker) == {"owner": "ADMIN", "admin": "ADMIN", "editor": "OWNER", "viewer": "VIEWER"}
    assert (await kinds(asker))[-1] == "project.transferred"
    assert code(await transfer(asker, "owner", "owner")) == "forbidden", "it is not theirs to take back"
    assert code(await transfer(asker, "editor", "editor")) == "conflict"
    delete = "mutation($id: ID!) { deleteProject(input: {projectId: $id, force: true}) { __typename } }"
    assert (await asker.refused(delete, "owner", id=project))["code"].lower() == "forbidden"


async def test_of_transfers_at_once_one_happens(asker: Asker) -> None:
    """Or a project could have two owners, or none."""
    answers = await asyncio.gather(*(transfer(asker, "owner", name) for name in ("admin", "editor", "viewer")))
    assert sum("errors" not in one for one in answers) == 1
    assert {code(one) for one in answers if "errors" in one} == {"forbidden"}
    async with asker.world.database.read() as session:
        project = await session.get_one(Project, UUID(asker.world.ids["project"]))
        query = select(Membership).where(col(Membership.project_id) == project.id, col(Membership.role) == Role.owner)
        (owner,) = (await session.scalars(query)).all()
        assert owner.user_id == project.owner_id


async def test_who_leaves_meanwhile_does_not_become_owner(asker: Asker) -> None:
    leave = "mutation($p: ID!, $m: ID!) { removeMember(input: {projectId: $p, memberId: $m}) { __typename } }"
    gone = (await members(asker))["editor"]["id"]
    left, given = await asyncio.gather(
        asker.ask(leave, "editor", p=asker.world.ids["project"], m=gone), transfer(asker, "owner", "editor")
    )
    assert ("errors" in left) != ("errors" in given), (left, given)
    async with asker.world.database.read() as session:
        mine = (col(Membership.project_id) == UUID(asker.world.ids["project"]), col(Membership.role) == Role.owner)
        assert await session.scalar(select(func.count()).select_from(Membership).where(*mine)) == 1


async def test_of_two_who_demote_each_other_one_does(asker: Asker) -> None:
    await change(asker, "owner", "editor", "ADMIN")
    first, second = await asyncio.gather(change(asker, "admin", "editor", "VIEWER"), change(asker, "editor", "admin", "VIEWER"))
    assert ("errors" in first) != ("errors" in second)


async def test_a_new_owner_needs_room(asker: Asker) -> None:
    settings = asker.world.services.settings
    editor = asker.world.people["editor"]
    async with asker.world.database.transaction() as session:
        session.add(Project(owner_id=editor.id, name="Own"))
    for setting, most in (("max_projects", 1), ("max_dataset_versions", 1), ("max_stored_bytes", 10)):
        asker.world.services.settings = settings.model_copy(update={setting: most})
        refused = await transfer(asker, "owner", "editor")
        assert code(refused) == "quota_exceeded", setting
        assert setting.upper() in refused["errors"][0]["message"]
    asker.world.services.settings = settings
    assert (await roles(asker))["owner"] == "OWNER"
    assert "errors" not in await transfer(asker, "owner", "editor")


async def test_a_deactivated_account_owns_nothing_new(asker: Asker) -> None:
    async with asker.world.database.transaction() as session:
        (await session.get_one(User, asker.world.people["editor"].id)).is_active = False
    assert code(await transfer(asker, "owner", "editor")) == "conflict"
    assert (await roles(asker))["owner"] == "OWNER"
