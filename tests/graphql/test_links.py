"""Objects behind ids: each leads to what its id names, for all objects of a level at once, and nowhere for who might not ask."""

import re
from typing import Any

import pytest
from graphql import GraphQLObjectType, get_named_type

from schema.execution import core_schema
from schema.links import FOUND
from tests.factories.asking import Asker

MODELS = """query($n: Int!) { models(first: $n) { nodes { projectId experimentId datasetVersionId artifactId
  project { id owner { email } } experiment { id project { id } datasetVersion { id dataset { id project { id } } } job { id } }
  datasetVersion { id artifact { id project { id } } uploadArtifact { id } } artifact { id }
  deployments(first: 5) { nodes { modelId model { id } project { id } } } id } } }"""


def links() -> list[tuple[str, str, str]]:
    """Type, id and object of every pair the contract has."""
    found = []
    for kind in core_schema.type_map.values():
        for name in getattr(kind, "fields", {}):
            other = name.removesuffix("Id")
            if isinstance(kind, GraphQLObjectType) and name.endswith("Id") and other in kind.fields:
                found.append((kind.name, name, other))
    return found


def test_ids_that_name_a_thing_have_it_beside_them() -> None:
    without = {
        "deletedId": "what is gone",
        "entityId": "of any kind",
        "privacyPolicyId": "no policies exist yet",
        "requestId": "is no id of a thing",
        "eventId": "is what a receiver knows an event by",
    }
    paired = set(links())
    for kind in core_schema.type_map.values():
        if not isinstance(kind, GraphQLObjectType):
            continue
        for name in kind.fields:
            if name.endswith("Id") and name not in without:
                assert (kind.name, name, name.removesuffix("Id")) in paired, f"{kind.name}.{name} has no object"


async def test_each_leads_to_what_its_id_names(asker: Asker) -> None:
    await asker.data(MODELS, n=1)  # the key is known from here on
    with asker.counted() as one:
        await asker.data(MODELS, n=1)
    with asker.counted() as statements:
        data: Any = await asker.data(MODELS, n=50)
    nodes = data["models"]["nodes"]
    assert len(nodes) > 1
    assert len(statements) == len(one) <= 14, statements
    for node in nodes:
        for name in ("project", "experiment", "datasetVersion", "artifact"):
            assert node[name]["id"] == node[f"{name}Id"], name
        assert node["experiment"]["project"]["id"] == node["datasetVersion"]["artifact"]["project"]["id"] == node["projectId"]
        assert all(one["model"]["id"] == one["modelId"] == node["id"] for one in node["deployments"]["nodes"])
    assert any(node["deployments"]["nodes"] for node in nodes)


async def test_a_key_that_may_not_read_reads_nothing_through_them(asker: Asker) -> None:
    update = """mutation($i: UpdateDeploymentInput!) { updateDeployment(input: $i) { deployment { id
      createdBy { email } previousModel { id } } } }"""
    wanted = {"deploymentId": asker.world.ids["production"], "name": "again"}
    body = await asker.ask(update, "write_only", i=wanted)
    shown = body["data"]["updateDeployment"]["deployment"]
    assert (shown["id"], shown["previousModel"]) == (wanted["deploymentId"], None)


async def test_what_a_thing_cannot_be_without_is_an_error_for_a_key_that_may_not_read(asker: Asker) -> None:
    update = """mutation($i: UpdateDeploymentInput!) { updateDeployment(input: $i) { deployment { project { name } } } }"""
    wanted = {"deploymentId": asker.world.ids["production"], "name": "again"}
    body = await asker.ask(update, "write_only", i=wanted)
    assert body["data"]["updateDeployment"]["deployment"] is None
    assert body["errors"][0]["path"] == ["updateDeployment", "deployment", "project"]
    assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    whole = (await asker.data(update, i=wanted))["updateDeployment"]["deployment"]
    assert whole["project"]["name"]


@pytest.mark.parametrize("noun", sorted(FOUND))
def test_the_place_of_each_type_is_right(noun: str) -> None:
    assert get_named_type(core_schema.type_map[noun]).name == noun
    assert re.fullmatch(r"schema\.\w+", FOUND[noun][0])
