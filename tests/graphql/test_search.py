"""The search over all nouns: what is found, in which order, by whom, page by page."""

from uuid import UUID

import pytest

from coreplex.membership.table import Project
from tests.factories.asking import Asker

SEARCH = """query($text: String!, $kinds: [SearchKind!], $first: Int, $after: String) {
    search(text: $text, kinds: $kinds, first: $first, after: $after) {
        totalCount pageInfo { hasNextPage hasPreviousPage endCursor }
        nodes { __typename ... on Node { id } ... on Project { name } ... on Dataset { name latestVersion { number } }
            ... on Experiment { name } ... on Model { name projectName } ... on Deployment { name modelName }
            ... on Job { name: message type } } } }"""


@pytest.fixture
async def named(asker: Asker) -> Asker:
    """Things whose names say `staging`, a part of it, or only mention it."""
    async with asker.world.database.transaction() as session:
        project = await session.get_one(Project, UUID(asker.world.ids["project"]))
        project.name, project.description = "Churn", "Everything about Staging areas"
    create = "mutation($i: UpdateDatasetInput!) { updateDataset(input: $i) { dataset { id } } }"
    await asker.data(create, i={"datasetId": asker.world.ids["dataset"], "name": "Pre-staging data"})
    await asker.data(create, i={"datasetId": asker.world.ids["spare_dataset"], "name": "Staging areas"})
    return asker


async def found(asker: Asker, actor: str = "owner", **variables: object) -> list[tuple[str, str]]:
    nodes = (await asker.data(SEARCH, actor, **variables))["search"]["nodes"]
    return [(node["__typename"], node["name"]) for node in nodes]


BEST_FIRST = [
    ("Deployment", "staging"),
    ("Dataset", "Staging areas"),
    ("Dataset", "Pre-staging data"),
    ("Project", "Churn"),
]


async def test_what_is_called_so_comes_first(named: Asker) -> None:
    assert await found(named, text="STAGING") == BEST_FIRST
    assert await found(named, text="  staging ") == BEST_FIRST
    assert await found(named, text="staging", kinds=["DATASET"]) == BEST_FIRST[1:3]
    assert {name for _, name in await found(named, text="gbm_")} == {"GBM_0", "GBM_1", "GBM_2"}
    assert {kind for kind, _ in await found(named, text="automl_train")} == {"Job"}
    assert await found(named, text="%") == await found(named, text="nothing is called so") == []


async def test_pages_lead_through_what_was_found(named: Asker) -> None:
    walked, after = [], None
    while True:
        page = (await named.data(SEARCH, text="staging", first=1, after=after))["search"]
        walked += [(node["__typename"], node["name"]) for node in page["nodes"]]
        assert page["totalCount"] == len(BEST_FIRST)
        assert page["pageInfo"]["hasPreviousPage"] == (after is not None)
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert walked == BEST_FIRST
    counted = (await named.data(SEARCH, text="staging", first=0))["search"]
    assert (counted["totalCount"], counted["nodes"]) == (len(BEST_FIRST), [])


async def test_nobody_finds_what_is_another_persons(named: Asker) -> None:
    assert await found(named, "viewer", text="staging") == BEST_FIRST
    assert await found(named, "stranger", text="staging") == [("Deployment", "staging")]  # of the stranger's own project
    assert await found(named, "bound", text="staging") == []
    assert (await named.refused(SEARCH, "anonymous", text="staging"))["code"] == "UNAUTHENTICATED"


async def test_as_many_statements_as_there_are_kinds(named: Asker) -> None:
    await found(named, text="a")
    document = "query($t: String!) { search(text: $t) { nodes { __typename ... on Node { id } } } }"
    with named.counted() as statements:
        await named.data(document, t="a")
    assert len(statements) <= 7, statements


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"text": ""}, "text: must have 1 to 200 characters"),
        ({"text": " \0 "}, "text: must have 1 to 200 characters"),
        ({"text": "x" * 201}, "text: must have 1 to 200 characters"),
        ({"text": "x", "first": 501}, "first: must be from 0 to 500"),
        ({"text": "x", "after": "bm8"}, "after: is not a cursor of this list in this order; begin again without it"),
    ],
)
async def test_what_is_wrong_is_said(asker: Asker, variables: dict[str, object], said: str) -> None:
    assert (await asker.refused(SEARCH, **variables))["message"] == said
