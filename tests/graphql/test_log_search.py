"""Times, requests, sides and failures find entries of a log however long it is; the rest is looked for in the newest of them."""

from uuid import UUID

import pytest
from sqlalchemy import text

from coreplex.serving.log.listing import NEWEST
from tests.factories.asking import Asker

FILL = text(
    """INSERT INTO inference_logs
        (id, project_id, deployment_id, model_id, request_id, row_index, inputs, latency_ms, created_at, error, arm,
         retention_week)
    SELECT gen_random_uuid(), :project, :deployment, :model, 'r' || i, 0, jsonb_build_object('town', 'T' || i), i,
        now() - make_interval(secs => i),
        CASE WHEN i > :last THEN jsonb_build_object('message', 'odd', 'reason', 'odd', 'parameters', '{}'::jsonb) END,
        CASE WHEN i > :last THEN 'baseline' END, 0
    FROM generate_series(1, :rows) AS i"""
)
ONE = "query($id: ID!) { deployment(id: $id) { logs(%s) { totalCount nodes { requestId } } } }"
MANY = """query($id: ID!) { project(id: $id) { deployments(sort: {field: NAME}) { nodes {
    name logs(%s) { totalCount nodes { requestId } } } } } }"""


@pytest.fixture
async def long(asker: Asker) -> Asker:
    ids = {name: UUID(asker.world.ids[name]) for name in ("project", "deployment", "production", "model")}
    async with asker.world.database.transaction() as session:
        given = {"project": ids["project"], "model": ids["model"]}
        for name, rows in (("deployment", NEWEST + 50), ("production", 3)):
            await session.execute(FILL, {**given, "deployment": ids[name], "rows": rows, "last": NEWEST + 48})
    return asker


async def logs(asker: Asker, arguments: str) -> tuple[int, list[str]]:
    """Of one deployment alone, which is what it has among others too."""
    alone = (await asker.data(ONE % arguments, id=asker.world.ids["deployment"]))["deployment"]["logs"]
    many = (await asker.data(MANY % arguments, id=asker.world.ids["project"]))["project"]["deployments"]["nodes"]
    assert next(one["logs"] for one in many if one["name"] == "staging") == alone
    return alone["totalCount"], [node["requestId"] for node in alone["nodes"]]


async def test_search_ends_after_the_newest_entries(long: Asker) -> None:
    assert await logs(long, f'search: "t{NEWEST}"') == (1, [f"r{NEWEST}"])
    assert await logs(long, f'search: "t{NEWEST + 1}"') == (0, [])
    assert (await logs(long, 'first: 1, search: "t"'))[0] == NEWEST
    assert (await logs(long, 'last: 1, search: "t"'))[1] == [f"r{NEWEST}"]


async def test_what_an_index_finds_is_found_beyond_them(long: Asker) -> None:
    assert await logs(long, f'filter: {{requestId: ["R{NEWEST + 1}"]}}') == (1, [f"r{NEWEST + 1}"])
    failed = (2, [f"r{NEWEST + 49}", f"r{NEWEST + 50}"])
    assert await logs(long, "filter: {failed: true}") == failed
    assert await logs(long, "filter: {arm: [BASELINE, SHADOW]}") == failed
    assert await logs(long, f'filter: {{failed: true, and: [{{requestId: "r{NEWEST + 50}"}}]}}') == (1, failed[1][1:])
    assert (await logs(long, "first: 1, filter: {failed: false}"))[0] == NEWEST + 48
    assert (await logs(long, "first: 1"))[0] == NEWEST + 50
    assert (await logs(long, 'first: 1, filter: {createdAt: {gt: "2020-01-01T00:00:00Z"}}'))[0] == NEWEST + 50
    assert await logs(long, "last: 1") == (NEWEST + 50, [f"r{NEWEST + 50}"])


async def test_the_rest_is_looked_for_in_what_they_leave(long: Asker) -> None:
    assert (await logs(long, f"first: 1, filter: {{latencyMs: {{gt: {NEWEST - 2}}}}}"))[0] == 2
    assert (await logs(long, f"filter: {{failed: true, latencyMs: {{gt: {NEWEST + 49}}}}}")) == (1, [f"r{NEWEST + 50}"])
    assert (await logs(long, f'search: "odd", filter: {{arm: BASELINE, latencyMs: {{lt: {NEWEST + 50}}}}}'))[0] == 1
    assert (await logs(long, f'filter: {{or: [{{requestId: "r{NEWEST}"}}, {{requestId: "r{NEWEST + 1}"}}]}}'))[0] == 1
    assert (await logs(long, 'search: "odd"'))[0] == 0


async def test_each_log_has_its_own_newest_entries(long: Asker) -> None:
    found = await long.data(MANY % 'first: 1, search: "t"', id=long.world.ids["project"])
    assert [one["logs"]["totalCount"] for one in found["project"]["deployments"]["nodes"]] == [NEWEST, 3, 0, 0]
