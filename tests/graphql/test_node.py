"""`node` and `nodes`: everything that has an id, had by it, with the rights its own field asks for: each type of the contract."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import GraphQLObjectType, GraphQLSchema, is_leaf_type, is_required_argument
from sqlalchemy import select
from sqlmodel import SQLModel, col

from coreplex.event.table import Event, EventKind
from coreplex.experiment.table import EngineRun
from coreplex.model.table import Evaluation
from coreplex.serving.table import InferenceLog
from resolvers.node import MAX_IDS
from schema.execution import core_schema, prepare
from schema.node import NODES
from tests.contract.samples import SAMPLES as CALLS
from tests.contract.samples import filled
from tests.factories.asking import Asker

NODE = "query($id: ID!) { node(id: $id) { __typename id } }"
MANY = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
TYPES = sorted(kind.name for kind in core_schema.get_possible_types(core_schema.type_map["Node"]))  # type: ignore[arg-type]
NOT_NODES: dict[str, str] = {}
"""Types that have an `id` and are no nodes, each with the reason."""
OWN = {"ApiKey", "BrowserSession", "File"}
"""What belongs to a person and to no project."""
BY_SESSION = {"ApiKey", "BrowserSession"}
"""What a key does not get."""
EVERYWHERE = {*OWN, "User"}
"""What is had by its owner with a key of whatever project."""


async def stored(asker: Asker, row: SQLModel, by: str = "id") -> str:
    async with asker.world.database.transaction() as session:
        session.add(row)
        await session.flush()
        return str(getattr(row, by))


def known(asker: Asker, *names: str) -> dict[str, Any]:
    return {f"{name.removesuffix('_')}_id": UUID(asker.world.ids[name]) for name in names}


async def evaluation(asker: Asker) -> str:
    return await stored(asker, Evaluation(**known(asker, "project", "model"), rows=9, rows_used=9))


async def logged(asker: Asker) -> str:
    names = known(asker, "project", "model") | {"deployment_id": UUID(asker.world.ids["production"])}
    return await stored(asker, InferenceLog(**names, request_id="r", inputs={"a": 1}))


async def happened(asker: Asker, kind: EventKind = EventKind.audit) -> str:
    about = {"entity_type": "project", "entity_id": UUID(asker.world.ids["project"]), "type": "project.updated"}
    return await stored(asker, Event(**known(asker, "project"), **about, kind=kind, message="Changed."), "seq")


async def engine_run(asker: Asker) -> str:
    async with asker.world.database.read() as session:
        query = select(col(EngineRun.id)).where(col(EngineRun.experiment_id) == UUID(asker.world.ids["experiment"]))
        return str(await session.scalar(query))


async def api_key(asker: Asker) -> str:
    return str(asker.world.key_rows["owner"].id)


async def person(asker: Asker) -> str:
    return str(asker.world.people["owner"].id)


def of_world(name: str) -> Callable[[Asker], Awaitable[str]]:
    async def found(asker: Asker) -> str:
        return asker.world.ids[name]

    return found


async def issue(asker: Asker) -> str:
    text = "query($id: ID!) { datasetVersion(id: $id) { quality { issues { id } } } }"
    found = (await asker.data(text, id=asker.world.ids["version"]))["datasetVersion"]["quality"]["issues"]
    return str(found[0]["id"])


async def browser_session(asker: Asker) -> str:
    return asker.world.elsewhere


SAMPLES: dict[str, Callable[[Asker], Awaitable[str]]] = {
    "Rollout": of_world("rollout"),
    "ApiKey": api_key,
    "Artifact": of_world("artifact"),
    "BrowserSession": browser_session,
    "Dataset": of_world("dataset"),
    "DatasetIssue": issue,
    "DatasetVersion": of_world("version"),
    "Deployment": of_world("production"),
    "EngineRun": engine_run,
    "Evaluation": evaluation,
    "Experiment": of_world("experiment"),
    "File": lambda asker: asker.world.stage("owner"),
    "Alert": of_world("alert"),
    "AlertEvent": of_world("alert_event"),
    "InferenceLogEntry": logged,
    "Invitation": of_world("invitation"),
    "Job": of_world("job"),
    "Member": of_world("member"),
    "Model": of_world("model"),
    "Project": of_world("project"),
    "RetrainRun": of_world("retrain_run"),
    "Replay": of_world("replay"),
    "MetricChange": of_world("metric_change"),
    "TimelineEvent": happened,
    "User": person,
    "WebhookDelivery": of_world("delivery"),
}
"""The id of something of each type, which the owner may have; of others what the sample of their `create…` makes."""


async def sample(asker: Asker, kind: str) -> str:
    if kind in SAMPLES:
        return await SAMPLES[kind](asker)
    name, field = f"create{kind}", kind[0].lower() + kind[1:]
    assert name in CALLS, f"{kind} has no sample: add one to SAMPLES"
    text = f"mutation($input: Create{kind}Input!) {{ {name}(input: $input) {{ {field} {{ id }} }} }}"
    made = await asker.data(text, **filled(CALLS[name], asker.world.ids))
    return str(made[name][field]["id"])


async def codes(asker: Asker, actor: str, identity: str) -> list[str]:
    """The code of what is wrong with asking; nothing may be told beside it."""
    body = await asker.ask(NODE, actor, id=identity)
    assert not (body.get("data") or {}).get("node")
    return [error["extensions"]["code"] for error in body["errors"]]


@pytest.mark.parametrize("kind", TYPES)
async def test_each_type_is_had_by_its_id_by_those_who_may(asker: Asker, kind: str) -> None:
    identity = await sample(asker, kind)
    expected = {"node": {"__typename": kind, "id": identity}}
    assert await asker.data(NODE, "session", id=identity) == expected
    for actor in () if kind in BY_SESSION else ("owner", "read_only"):
        assert await asker.data(NODE, actor, id=identity) == expected
    for actor in () if kind in {*OWN, "Invitation"} else ("viewer", "editor"):
        assert await asker.data(NODE, actor, id=identity) == expected
    if kind in BY_SESSION:
        assert await codes(asker, "owner", identity) == ["FORBIDDEN"], "its owner, who has no session here"
    for actor in ("stranger", *(("viewer",) if kind in {*OWN, "Invitation"} else ())):
        assert await codes(asker, actor, identity) == ["NOT_FOUND"]
    if kind not in EVERYWHERE:
        assert await codes(asker, "bound", identity) == ["NOT_FOUND"], "of another project than the key's"
    for actor, code in (("predict_only", "FORBIDDEN"), ("write_only", "FORBIDDEN"), ("anonymous", "UNAUTHENTICATED")):
        assert await codes(asker, actor, identity) == [code]


@pytest.mark.parametrize("kind", TYPES)
async def test_it_is_what_its_own_field_gives(asker: Asker, kind: str) -> None:
    """Every leaf of it; for types without a field of their own, that there are leaves and no errors."""
    identity = await sample(asker, kind)
    definition = core_schema.type_map[kind]
    assert isinstance(definition, GraphQLObjectType)
    wanted = {name for name, one in definition.fields.items() if is_leaf_type(unwrapped(one.type))}
    wanted -= {name for name, one in definition.fields.items() if any(map(is_required_argument, one.args.values()))}
    leaves = " ".join(sorted(wanted - {"curves", "explanation"}))
    own = own_field(core_schema, kind)
    beside = f"own: {own}(id: $id) {{ {leaves} }}" if own else ""
    found = await asker.data(
        f"query($id: ID!) {{ node(id: $id) {{ ... on {kind} {{ {leaves} }} }} {beside} }}", "session", id=identity
    )
    assert found["node"]["id"] == identity
    assert not own or found["own"] == found["node"]


def unwrapped(kind: Any) -> Any:
    while hasattr(kind, "of_type"):
        kind = kind.of_type
    return kind


def own_field(schema: GraphQLSchema, kind: str) -> str | None:
    """The root field that gives one of a type by its id alone."""
    assert schema.query_type is not None
    fields = schema.query_type.fields.items()
    return next((name for name, one in fields if unwrapped(one.type).name == kind and list(one.args) == ["id"]), None)


def test_every_type_with_an_identifier_is_a_node() -> None:
    kinds = [kind for kind in core_schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
    named = {kind.name for kind in kinds if str(getattr(kind.fields.get("id"), "type", "")) == "ID!"}
    assert {name for name in named if not name.endswith("Payload")} - NOT_NODES.keys() == set(TYPES)
    assert len(TYPES) == len(NODES.kinds) + len(NODES.elsewhere)


NO_ISSUES = (":", ":0", ":0:", ":0::nothing", ":0:nothing:plan", "::::")
WRONG = ("nonsense", "", "0", "-1", "00", "99999999999999999999", "9223372036854775808", str(uuid4()), "٣")


async def test_what_is_not_there_is_null_with_an_error_in_its_place(asker: Asker) -> None:
    ids, foreign = asker.world.ids, asker.world.foreign
    issues = [version + rest for version in (str(uuid4()), foreign["version"], ids["version"], "") for rest in NO_ISSUES]
    for wrong in (*issues, *WRONG, foreign["project"], foreign["model"], await happened(asker, EventKind.log)):
        assert await codes(asker, "owner", wrong) == ["NOT_FOUND"]
    wanted = [ids["project"], WRONG[0], ids["model"], foreign["dataset"], str(uuid4()), ids["project"].upper()]
    body = await asker.ask(MANY, ids=wanted)
    project, model = ({"__typename": kind, "id": ids[name]} for kind, name in (("Project", "project"), ("Model", "model")))
    assert body["data"]["nodes"] == [project, None, model, None, None, project]
    assert [error["path"] for error in body["errors"]] == [["nodes", 1], ["nodes", 3], ["nodes", 4]]
    assert {error["extensions"]["code"] for error in body["errors"]} == {"NOT_FOUND"}
    assert (await asker.data(MANY, ids=[]))["nodes"] == []
    other = await asker.ask(f'{{ me {{ id }} node(id: "{uuid4()}") {{ id }} }}')
    assert (other["data"]["me"]["id"], other["data"]["node"]) == (str(asker.world.people["owner"].id), None)


async def test_people_are_had_by_those_they_work_with(asker: Asker) -> None:
    people = {name: str(person.id) for name, person in asker.world.people.items()}
    for actor in ("owner", "viewer"):
        for name in ("owner", "viewer", "editor", "admin"):
            assert (await asker.data(NODE, actor, id=people[name]))["node"]["id"] == people[name]
        for name in ("stranger", "newcomer"):
            assert await codes(asker, actor, people[name]) == ["NOT_FOUND"]
    assert (await asker.data(NODE, "bound", id=people["owner"]))["node"]["id"] == people["owner"]
    assert await codes(asker, "bound", people["viewer"]) == ["NOT_FOUND"], "of a project that is not the key's"
    private = "query($id: ID!) { node(id: $id) { ... on User { name plan } } }"
    assert (await asker.data(private, "viewer", id=people["owner"]))["node"]["plan"] is None


async def test_rows_of_a_deployment_that_is_gone_are_gone(asker: Asker) -> None:
    names = known(asker, "project", "model") | {"deployment_id": uuid4()}
    assert await codes(asker, "owner", await stored(asker, InferenceLog(**names, request_id="r", inputs={}))) == ["NOT_FOUND"]


async def test_things_of_many_tables_cost_a_statement_a_table(asker: Asker) -> None:
    ids = asker.world.ids
    five = [ids[name] for name in ("project", "dataset", "version", "experiment", "model")]
    many = [*five, *[ids[name] for name in ("spare_dataset", "waiting_experiment", "spare_model")]]
    await asker.data("{ me { id } }")
    for wanted in (five, many, many * 9):
        with asker.counted() as statements:
            found = await asker.data(MANY, ids=wanted)
        assert [one["id"] for one in found["nodes"]] == wanted
        assert len(statements) == 1 + 5, statements
    inner = "... on Model { experimentName } ... on Dataset { versionCount } ... on Experiment { modelCount bestModel { name } }"
    with asker.counted() as statements:
        await asker.data(MANY.replace("__typename id", f"id {inner}"), ids=many)
    assert len(statements) == 1 + 5 + 4, statements
    same = " ".join(f"... on {kind} {{ project {{ name }} }}" for kind in ("Model", "Dataset", "DatasetVersion", "Experiment"))
    with asker.counted() as statements:
        await asker.data(MANY.replace("__typename id", f"id {same}"), ids=many)
    assert len(statements) == 1 + 5 + 1, statements
    aliases = " ".join(f'n{number}: node(id: "{identity}") {{ id }}' for number, identity in enumerate(many))
    with asker.counted() as statements:
        found = await asker.data(f"{{ {aliases} }}")
    assert [one["id"] for one in found.values()] == many
    assert len(statements) == 1 + 5, statements


ABOUT = "entity { __typename ... on Experiment { name bestModel { name } } ... on Project { name } ... on ApiKey { prefix } }"


async def test_what_jobs_and_events_are_about_is_had_from_them(asker: Asker) -> None:
    """Of each root field its list, which tables, and these; and what an experiment has. A key is not had with a key."""
    ids = asker.world.ids
    for kind, identity in (("project", ids["project"]), ("api_key", await api_key(asker)), ("model", str(uuid4()))):
        about = {"entity_type": kind, "entity_id": UUID(identity), "type": f"{kind}.touched"}
        await stored(asker, Event(**known(asker, "project"), **about, kind=EventKind.audit), "seq")
    timeline = f"project(id: $id) {{ timeline(first: 3) {{ nodes {{ type {ABOUT} }} }} }}"
    query = f"query($id: ID!) {{ {timeline} jobs {{ nodes {{ {ABOUT} }} }} }}"
    await asker.data("{ me { id } }")
    with asker.counted() as statements:
        found = await asker.data(query, id=ids["project"])
    assert len(statements) <= (1 + 1 + 1 + 2) + (1 + 1 + 1) + 1, statements
    things = {one["type"]: one["entity"] for one in found["project"]["timeline"]["nodes"]}
    assert (things["project.touched"]["__typename"], things["api_key.touched"], things["model.touched"]) == (
        "Project",
        None,
        None,
    )
    assert {job["entity"]["__typename"] for job in found["jobs"]["nodes"] if job["entity"]} == {"Experiment", "PredictionBatch"}
    signed_in = (await asker.data(query, "session", id=ids["project"]))["project"]["timeline"]["nodes"]
    assert [one["entity"]["__typename"] for one in signed_in if one["type"] == "api_key.touched"] == ["ApiKey"]
    theirs = (await asker.data(query, "viewer", id=ids["project"]))["project"]["timeline"]["nodes"]
    assert [one["entity"] for one in theirs if one["type"] == "api_key.touched"] == [None]


async def test_who_may_not_read_reads_nothing_behind_what_was_changed(asker: Asker) -> None:
    cancel = f"mutation($id: ID!) {{ cancelJob(input: {{jobId: $id}}) {{ job {{ id {ABOUT} }} }} }}"
    (job,) = [(await asker.data(cancel, "write_only", id=asker.world.ids["job"]))["cancelJob"]["job"]]
    assert (job["id"], job["entity"]) == (asker.world.ids["job"], None)


async def test_no_more_than_a_page_of_ids(asker: Asker) -> None:
    wanted = [asker.world.ids["project"]] * MAX_IDS
    assert len((await asker.data(MANY, ids=wanted))["nodes"]) == MAX_IDS
    refused = await asker.refused(MANY, ids=[*wanted, wanted[0]])
    assert (refused["status"], "ids" in refused["message"]) == (422, True)
    operation = prepare(MANY)
    one, all_ = (operation.cost(operation.coerce({"ids": wanted[:length]})) for length in (1, MAX_IDS))
    assert all_ - one == (1 + 2) * (MAX_IDS - 1)
