"""Projects in GraphQL: cursors, what hangs below a project, and what a list costs."""

import pytest

from coreplex.membership.table import Membership, Project
from coreplex.platform.permissions import Role
from tests.factories.asking import Asker

CREATE = "mutation($input: CreateProjectInput!) { createProject(input: $input) { project { id name role status } } }"
LIST = """query($first: Int!, $after: String, $offset: Int! = 0, $search: String, $sort: ProjectSort) {
  projects(first: $first, after: $after, offset: $offset, search: $search, sort: $sort) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id name } } } }"""
TREE = """query($id: ID!) { project(id: $id) {
  name role datasetCount experimentCount modelCount deploymentCount
  members(first: 10) { nodes { role user { email } } }
  datasets(first: 5) { totalCount nodes { name latestVersion { rowCount } } }
  experiments(first: 5) { nodes { name modelCount bestModel { name } engineRuns { engine } } }
  models(first: 5) { nodes { name projectName experimentName isProduction isStaging } }
  deployments(first: 5) { nodes { name modelName } }
  timeline(first: 5) { nodes { type actor { email } } } } }"""


async def make_projects(asker: Asker, count: int) -> None:
    owner = asker.world.people["owner"]
    async with asker.world.database.transaction() as session:
        for i in range(count):
            project = Project(owner_id=owner.id, name=f"p{i:02d}")
            session.add(project)
            await session.flush()
            session.add(Membership(project_id=project.id, user_id=owner.id, role=Role.owner))


@pytest.mark.parametrize("field", ["CREATED_AT", "NAME", "DATASET_COUNT", "UPDATED_AT", "MODEL_COUNT"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_cursors_miss_nothing_and_repeat_nothing(asker: Asker, field: str, direction: str) -> None:
    await make_projects(asker, 7)
    sort = {"field": field, "direction": direction}
    whole = (await asker.data(LIST, first=50, sort=sort))["projects"]
    assert whole["totalCount"] == len(whole["edges"]) == 9
    assert not whole["pageInfo"]["hasNextPage"]
    found, after = [], None
    while True:
        page = (await asker.data(LIST, first=2, after=after, sort=sort))["projects"]
        found += page["edges"]
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [edge["node"] for edge in found] == [edge["node"] for edge in whole["edges"]]


async def test_pages_that_are_none(asker: Asker) -> None:
    for wrong in ({"first": -1}, {"first": 501}, {"first": 5, "offset": -1}, {"first": 5, "after": "nonsense"}):
        refused = await asker.refused(LIST, **wrong)
        assert (refused["code"], refused["status"]) == ("INVALID", 422), wrong
    by_name = (await asker.data(LIST, first=1, sort={"field": "NAME"}))["projects"]["pageInfo"]["endCursor"]
    assert (await asker.refused(LIST, first=1, after=by_name, sort={"field": "CREATED_AT"}))["status"] == 422
    assert (await asker.refused(LIST, first=1, after=by_name, offset=1))["status"] == 422


async def test_everything_below_a_project(asker: Asker) -> None:
    found = (await asker.data(TREE, id=asker.world.ids["project"]))["project"]
    assert (found["role"], found["datasetCount"], found["experimentCount"]) == ("OWNER", 2, 2)
    assert (found["modelCount"], found["deploymentCount"]) == (3, 4)
    assert {node["role"] for node in found["members"]["nodes"]} == {"OWNER", "ADMIN", "EDITOR", "VIEWER"}
    assert {node["latestVersion"]["rowCount"] for node in found["datasets"]["nodes"]} == {120}
    experiments = {node["name"]: node for node in found["experiments"]["nodes"]}
    assert (experiments["finished"]["modelCount"], experiments["finished"]["bestModel"]["name"]) == (3, "GBM_0")
    assert experiments["waiting"]["bestModel"] is None
    models = {node["name"]: node for node in found["models"]["nodes"]}
    assert (models["GBM_0"]["isStaging"], models["GBM_1"]["isProduction"], models["GBM_2"]["isProduction"]) == (True, True, False)
    assert {node["modelName"] for node in found["deployments"]["nodes"]} == {"GBM_0", "GBM_1"}
    assert (await asker.refused(TREE, "stranger", id=asker.world.ids["project"]))["status"] == 404


async def test_what_a_list_costs_does_not_grow(asker: Asker) -> None:
    query = "{ projects(first: 100) { nodes { name role datasetCount modelCount datasets(first: 1) { totalCount } } } }"
    flat = "{ projects(first: 100) { nodes { name role datasetCount experimentCount modelCount deploymentCount } } }"
    await asker.data(query)
    numbers = []
    for more in (0, 20):
        await make_projects(asker, more)
        with asker.counted() as sent:
            assert len((await asker.data(flat))["projects"]["nodes"]) == 2 + more
        numbers.append(len(sent))
    assert numbers[0] == numbers[1]


async def test_errors_name_the_field(asker: Asker) -> None:
    refused = await asker.refused(CREATE, input={"name": " "})
    assert (refused["status"], refused["errors"][0]["loc"]) == (422, ["name"])
    assert (await asker.data(CREATE, input={"name": "Ö"}))["createProject"]["project"]["role"] == "OWNER"


async def test_two_mutations_are_two_transactions(asker: Asker) -> None:
    both = """mutation { a: createProject(input: {name: "kept"}) { project { name } }
      b: createProject(input: {name: ""}) { project { name } } }"""
    assert "errors" in await asker.ask(both)
    assert (await asker.data(LIST, first=5, search="kept"))["projects"]["totalCount"] == 1
