"""Lists within many things: one statement for a level and field, one for their counts, and each page as it would be alone."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlmodel import col

from coreplex.account.table import User
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.event.table import Event, EventKind
from coreplex.job.lifecycle import JobStatus
from coreplex.membership.table import Membership, Project
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.permissions import Role
from schema.cost import MAX_COST
from schema.execution import prepare
from tests.counting import counted
from tests.factories.asking import Asker
from tests.factories.world import add_experiment, make_project

PROJECTS = 12
FIVE = ("datasets", "experiments", "models", "deployments", "members")
SORTS = {
    "datasets": ("CREATED_AT", "NAME", "ROW_COUNT"),
    "experiments": ("CREATED_AT", "STATUS", "FINISHED_AT"),
    "models": ("BEST", "RANK", "AUC"),
    "members": ("EMAIL", "ROLE"),
}
EVERY = "{ projects(first: 20) { nodes { %s } } }"
ALL = "{ projects(first: 500) { nodes { %s } } }"


@pytest.fixture
async def filled(asker: Asker, database: Database) -> Asker:
    """The owner's projects, with none to seven of each thing in them; times and names repeat, so that ids break ties."""
    chance, owner, people = random.Random(5), asker.world.people["owner"], asker.world.people
    for _ in range(PROJECTS):
        project = await make_project(database, owner, {owner.id: Role.owner, people["viewer"].id: Role.viewer})
        await fill(database, asker, project, owner, chance)
    return asker


async def fill(database: Database, asker: Asker, project: Project, owner: User, chance: random.Random) -> None:
    async with database.transaction() as session:
        version = await session.get_one(DatasetVersion, UUID(asker.world.ids["version"]))
        model = await session.get_one(Model, UUID(asker.world.ids["model"]))
        moment = now()
        for number in range(chance.randrange(8)):
            dataset = Dataset(project_id=project.id, name=f"D{number % 3}", created_by=owner.id, created_at=moment)
            session.add(dataset)
            await session.flush()
            own = {"id": UUID(int=chance.getrandbits(128)), "project_id": project.id, "dataset_id": dataset.id}
            session.add(DatasetVersion(**version.model_dump(exclude={*own, "upload_artifact_id"}), **own))
        for number in range(chance.randrange(5)):
            made = await add_experiment(session, project, version, f"E{number % 2}", JobStatus.succeeded)
            made.finished_at = moment if number % 2 else None
            for rank in range(chance.randrange(1, 4)):
                own = {"id": UUID(int=chance.getrandbits(128)), "project_id": project.id, "experiment_id": made.id, "rank": rank}
                own |= {"version_minor": number, "version_patch": rank}
                metrics = {"auc": chance.choice([0.5, 0.75]), "logloss": 1.0}
                session.add(Model(**model.model_dump(exclude={*own, "metrics", "name"}), **own, metrics=metrics, name=f"M{rank}"))
            for line in range(3):
                said = {"entity_type": "experiment", "entity_id": made.id, "kind": EventKind.log, "type": "experiment.log"}
                session.add(Event(project_id=project.id, level="info", message=f"line {line}", **said))


def page(arguments: str, inner: str = "id") -> str:
    given = f"({arguments})" if arguments else ""
    return f"{given} {{ totalCount nodes {{ {inner} }} edges {{ cursor }} pageInfo {{ hasNextPage hasPreviousPage }} }}"


async def together_and_alone(asker: Asker, fields: str) -> list[Any]:
    """The same selection of all projects at once and of each by itself."""
    many = (await asker.data(EVERY % f"id {fields}"))["projects"]["nodes"]
    assert len(many) > PROJECTS
    for project in many:
        alone = await asker.data(f"query($id: ID!) {{ project(id: $id) {{ id {fields} }} }}", id=project["id"])
        assert alone["project"] == project
    return list(many)


async def test_each_page_is_as_it_would_be_alone(filled: Asker) -> None:
    chance = random.Random(3)
    cursors: dict[str, list[str]] = {}
    for round_ in range(3):
        for name, sorts in SORTS.items():
            field, direction = chance.choice(sorts), chance.choice(["ASC", "DESC"])
            sort = f"sort: {{field: {field}, direction: {direction}}}"
            word = "viewer" if name == "members" else "1"
            where = ("", "offset: 1", f'search: "{word}"')[round_]
            found = await together_and_alone(filled, f"{name}{page(f'first: 2, {sort}, {where}')}")
            cursors[name] = [edge["cursor"] for project in found for edge in project[name]["edges"]][:1]
            for cursor in cursors[name]:
                after = f'first: 2, {sort}, after: "{cursor}"'
                behind = await together_and_alone(filled, f"{name}{page(after)}")
                assert any(project[name]["pageInfo"]["hasPreviousPage"] for project in behind)
    assert all(cursors.values())


async def test_lists_of_two_levels(filled: Asker) -> None:
    """Rows and counts of every list, by what the database holds."""
    inner = f"models{page('first: 2', 'rank')} logs{page('first: 2', 'message')}"
    found = await together_and_alone(filled, f"experiments{page('first: 3', f'id {inner}')} timeline{page('first: 2', 'type')}")
    experiments = [one for project in found for one in project["experiments"]["nodes"]]
    async with filled.world.services.database.read() as session:
        ranks: dict[str, list[int]] = {}
        for row in await session.scalars(select(Model).order_by(col(Model.rank), col(Model.id))):
            ranks.setdefault(str(row.experiment_id), []).append(row.rank)
    assert len(experiments) > PROJECTS
    for experiment in experiments:
        expected = ranks.get(experiment["id"], [])
        assert [model["rank"] for model in experiment["models"]["nodes"]] == expected[:2]
        assert experiment["models"]["totalCount"] == len(expected)
        assert experiment["models"]["pageInfo"]["hasNextPage"] == (len(expected) > 2)
        assert [line["message"] for line in experiment["logs"]["nodes"]] in ([], ["line 0", "line 1"])


async def test_statements_do_not_grow_with_the_projects(filled: Asker) -> None:
    await filled.data("{ me { id } }")
    for given in ("(first: 8)", "(first: 8) @include(if: true)"):
        for inner in ("{ totalCount }", "{ nodes { id } }", "{ totalCount nodes { id } pageInfo { hasNextPage } }"):
            with counted(filled.world.services.database) as statements:
                found = await filled.data(EVERY % " ".join(f"{name}{given} {inner}" for name in FIVE))
            assert len(found["projects"]["nodes"]) > PROJECTS
            assert len(statements) <= 10, statements
    for directive in ("", "@include(if: true)"):
        inner = "models(first: 5) { nodes { id } } logs(first: 5) { totalCount }"
        deep = f"experiments(first: 5) {directive} {{ nodes {{ {inner} }} }}"
        with counted(filled.world.services.database) as statements:
            await filled.data(EVERY % deep)
        assert len(statements) == 4, statements
    with counted(filled.world.services.database) as statements:
        await filled.data(ALL % " ".join(f"{name} {{ totalCount }}" for name in FIVE))
    assert len(statements) <= 6, statements


async def test_the_price_is_of_objects_and_of_one_statement_a_field() -> None:
    operation = prepare(ALL % " ".join(f"{name} {{ totalCount }}" for name in FIVE))
    assert operation.cost(operation.coerce({})) == 501 + 5 * 500 + 5 + 5 * 2 * 5 <= MAX_COST


async def test_a_wrong_page_is_said_for_each_list(filled: Asker) -> None:
    for arguments, word in (("first: 501", "first"), ('after: "nonsense"', "after"), ("offset: -1", "offset")):
        body = await filled.ask(EVERY % f"id datasets({arguments}) {{ totalCount }}")
        assert body["data"] == {"projects": None}
        assert word in body["errors"][0]["message"]


async def test_selections_that_meet_are_one_and_others_are_their_own(filled: Asker) -> None:
    """A fragment's `totalCount` stands alone in one place and meets `nodes` in another."""
    query = """{ projects(first: 20) { nodes {
            ...Counts one: datasets(first: 1) { nodes { id } } datasets(first: 8) { nodes { id } } } }
        again: projects(first: 20) { nodes { ...Counts } } }
        fragment Counts on Project { datasets(first: 8) { totalCount } }"""
    found = await filled.data(query)
    for project, again in zip(found["projects"]["nodes"], found["again"]["nodes"], strict=True):
        assert len(project["datasets"]["nodes"]) == project["datasets"]["totalCount"] == again["datasets"]["totalCount"]
        assert project["one"]["nodes"] == project["datasets"]["nodes"][:1]


async def test_each_mutation_of_a_request_sees_the_list_as_it_is_then(asker: Asker, database: Database) -> None:
    project = asker.world.ids["project"]
    async with database.read() as session:
        viewer = asker.world.people["viewer"]
        query = select(Membership).where(col(Membership.project_id) == UUID(project), col(Membership.user_id) == viewer.id)
        membership = await session.scalar(query)
    assert membership is not None
    mutation = """mutation($u: UpdateProjectInput!, $r: RemoveMemberInput!) {
        before: updateProject(input: $u) { ...Members }
        removeMember(input: $r) { deletedId }
        after: updateProject(input: $u) { ...Members } }
        fragment Members on UpdateProjectPayload { project { members { totalCount nodes { user { email } } } } }"""
    removed = {"projectId": project, "memberId": str(membership.id)}
    found = await asker.data(mutation, u={"projectId": project, "name": "Same"}, r=removed)
    before, after = (found[name]["project"]["members"] for name in ("before", "after"))
    assert len(before["nodes"]) == before["totalCount"] == after["totalCount"] + 1
    assert viewer.email not in [member["user"]["email"] for member in after["nodes"]]


async def test_a_stranger_sees_no_list_of_another(filled: Asker) -> None:
    for actor in ("stranger", "viewer", "bound"):
        fields = " ".join(f"{name}(first: 8) {{ nodes {{ id }} }}" for name in FIVE)
        found = (await filled.data(EVERY % f"id {fields}", actor=actor))["projects"]["nodes"]
        own = {project["id"] for project in found}
        assert own
        for project in found:
            for name in FIVE[:4]:
                for node in project[name]["nodes"]:
                    told = await filled.data(f"query($id: ID!) {{ {name[:-1]}(id: $id) {{ projectId }} }}", actor, id=node["id"])
                    assert told[name[:-1]]["projectId"] in own
