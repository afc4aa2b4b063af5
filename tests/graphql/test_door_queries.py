"""Lists do not ask the database more often for having more rows."""

from uuid import uuid4

import pytest
from httpx import AsyncClient

from coreplex.account.table import User
from coreplex.membership.table import Membership, Project
from coreplex.platform.database import Database
from coreplex.platform.permissions import Role
from coreplex.platform.services import Services
from tests.counting import counted
from tests.factories.account import make_key, make_user
from tests.factories.asking import Asker

LIST = "query($id: ID) {{ {kind}(filter: {{projectId: $id}}) {{ nodes {{ id }} }} }}"
DASHBOARD = """{ projects(first: 50) { totalCount nodes {
  id name role datasetCount experimentCount modelCount deploymentCount
} edges { node { id name } } pageInfo { hasNextPage endCursor } } }"""


async def make_projects(database: Database, user: User, count: int) -> None:
    async with database.transaction() as session:
        for number in range(count):
            project = Project(owner_id=user.id, name=f"P{number}")
            session.add(project)
            await session.flush()
            session.add(Membership(project_id=project.id, user_id=user.id, role=Role.owner))


@pytest.mark.parametrize("rows", [30])
async def test_projects(client: AsyncClient, services: Services, database: Database, rows: int) -> None:
    user = await make_user(database)
    _, token = await make_key(database, user)
    counts = []
    for more in (1, rows):
        await make_projects(database, user, more)
        headers = {"authorization": f"Bearer {token}"}
        await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)  # the key is known from here on
        with counted(services.database) as statements:
            answer = await client.post("/graphql", json={"query": DASHBOARD}, headers=headers)
        assert answer.json()["data"]["projects"]["totalCount"] == len(answer.json()["data"]["projects"]["nodes"])
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 10, counts


@pytest.mark.parametrize("kind", ["datasets", "experiments", "models", "jobs"])
async def test_a_list_of_a_project_asks_for_the_project_only_when_it_is_empty(asker: Asker, kind: str) -> None:
    document = LIST.format(kind=kind)
    await asker.data(document, id=asker.world.ids["project"])
    with asker.counted() as statements:
        assert (await asker.data(document, id=asker.world.ids["project"]))[kind]["nodes"]
    assert len([text for text in statements if "memberships" in text]) == 1, statements
    foreign = await asker.refused(document, id=asker.world.foreign["project"])
    assert foreign["code"] == "NOT_FOUND"
    assert foreign == await asker.refused(document, id=str(uuid4())) | {"requestId": foreign["requestId"]}
