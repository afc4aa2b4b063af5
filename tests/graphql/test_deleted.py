"""What a deletion leaves behind is in its payload as it is now, so that a cache need not ask again."""

from typing import Any

from tests.factories.asking import Asker

COUNTS = "datasetCount experimentCount modelCount deploymentCount members { totalCount } invitations { totalCount }"
PROJECT = f"project {{ id {COUNTS} }}"
BOARD = "id modelCount bestModel { id } models { nodes { id rank isBest } } engineRuns { bestMetric }"


async def delete(asker: Asker, name: str, shown: str, actor: str = "owner", **wanted: Any) -> Any:
    kind = f"{name[0].upper()}{name[1:]}Input!"
    query = f"mutation($input: {kind}) {{ {name}(input: $input) {{ deletedId {shown} userErrors {{ message }} }} }}"
    found = (await asker.data(query, actor, input=wanted))[name]
    assert found.pop("userErrors") == []
    return found


async def project(asker: Asker) -> Any:
    return (
        await asker.data(
            f"query($id: ID!) {{ {PROJECT.replace('project', 'project(id: $id)', 1)} }}", id=asker.world.ids["project"]
        )
    )["project"]


async def test_the_project_counts_what_is_gone_no_more(asker: Asker) -> None:
    """Each is gone in turn: what counts it is shown without it, and is so when it is asked for."""
    ids = asker.world.ids
    gone: dict[str, tuple[dict[str, Any], str]] = {
        "deleteDeployment": ({"deploymentId": ids["idle"]}, "deploymentCount"),
        "deleteDataset": ({"datasetId": ids["spare_dataset"]}, "datasetCount"),
        "deleteExperiment": ({"experimentId": ids["waiting_experiment"], "force": True}, "experimentCount"),
        "removeMember": ({"projectId": ids["project"], "memberId": ids["member"]}, "members"),
        "revokeInvitation": ({"invitationId": ids["invitation"]}, "invitations"),
    }
    before = await project(asker)
    for name, (wanted, counted) in gone.items():
        found = await delete(asker, name, PROJECT, **wanted)
        assert found["project"] == await project(asker), name
        assert found["project"][counted] != before[counted], name
        before = found["project"]


async def test_the_model_of_a_deployment_that_is_gone(asker: Asker) -> None:
    shown = "model { isProduction deployments { nodes { name } } }"
    found = await delete(asker, "deleteDeployment", shown, deploymentId=asker.world.ids["idle"])
    assert found["model"] == {"isProduction": True, "deployments": {"nodes": [{"name": "production"}]}}


async def test_the_experiment_ranks_its_other_models(asker: Asker) -> None:
    found = await delete(asker, "deleteModel", f"experiment {{ {BOARD} {PROJECT} }}", modelId=asker.world.ids["spare_model"])
    board = found["experiment"]
    assert board.pop("project") == await project(asker)
    assert [one["rank"] for one in board["models"]["nodes"]] == [1, 2]
    asked = await asker.data(f"query($id: ID!) {{ experiment(id: $id) {{ {BOARD} }} }}", id=board["id"])
    assert asked["experiment"] == board


async def test_who_leaves_is_told_nothing_of_the_project(asker: Asker) -> None:
    ids = asker.world.ids
    found = await delete(asker, "removeMember", PROJECT, "viewer", projectId=ids["project"], memberId=ids["member"])
    assert found == {"deletedId": ids["member"], "project": None}


async def test_a_member_leads_to_the_project(asker: Asker) -> None:
    """So does one's own new role."""
    query = (
        """mutation($input: ChangeMemberRoleInput!) { changeMemberRole(input: $input) { member { role project { id role } } } }"""
    )
    ids = asker.world.ids
    admins = "query($id: ID!) { project(id: $id) { members { nodes { id role } } } }"
    own = next(
        one["id"]
        for one in (await asker.data(admins, id=ids["project"]))["project"]["members"]["nodes"]
        if one["role"] == "ADMIN"
    )
    found = await asker.data(query, "admin", input={"projectId": ids["project"], "memberId": own, "role": "EDITOR"})
    assert found["changeMemberRole"]["member"] == {"role": "EDITOR", "project": {"id": ids["project"], "role": "EDITOR"}}
