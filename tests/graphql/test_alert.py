"""How many alerts a project may have, and what people hear of one that is gone while it fires."""

import pytest
from sqlalchemy import text

from coreplex.alert import service
from tests.factories.asking import Asker

CREATE = """mutation($input: CreateAlertInput!) { createAlert(input: $input) {
  alert { id } userErrors { code reason message } } }"""
COUNT = "query($id: ID!) { project(id: $id) { alerts { totalCount } } }"


async def test_a_project_has_so_many_and_no_more(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_ALERTS", 2)
    ids = asker.world.ids
    wanted = {"projectId": ids["project"], "deploymentId": ids["deployment"], "name": "Slow", "kind": "NO_TRAFFIC"}
    first, second = [(await asker.data(CREATE, input=wanted))["createAlert"] for _ in range(2)]
    assert first["alert"]
    (said,) = second["userErrors"]
    assert (said["code"], said["reason"]) == ("QUOTA_EXCEEDED", "too_many_alerts")
    assert "has 2 alerts, the most there may be" in said["message"]
    assert (await asker.data(COUNT, id=ids["project"]))["project"]["alerts"]["totalCount"] == 2


KNOWN = text("UPDATE alerts SET told_state = 'firing', told_at = now()")
TOLD = text("SELECT data->>'message' FROM webhook_deliveries WHERE type = 'alert.resolved'")


@pytest.mark.parametrize(
    ("wanted", "input", "said"),
    [
        ("deleteAlert", {"alertId": "alert"}, "It was deleted."),
        ("updateAlert", {"alertId": "alert", "isEnabled": False}, "It was switched off."),
        ("deleteDeployment", {"deploymentId": "deployment"}, "Its deployment was deleted."),
        ("deleteModel", {"modelId": "model"}, "Its deployment was deleted."),
    ],
)
async def test_one_that_goes_while_it_fires_tells_that_it_is_over(
    asker: Asker, wanted: str, input: dict[str, object], said: str
) -> None:
    ids = asker.world.ids
    async with asker.world.services.database.transaction() as session:
        await session.execute(KNOWN)
        await session.execute(text("UPDATE deployments SET status = 'inactive'"))
        await session.execute(text("UPDATE rollouts SET status = 'aborted'"))
        await session.execute(text("UPDATE prediction_batches SET status = 'succeeded'"))
        await session.execute(text("UPDATE replays SET status = 'succeeded'"))
    named = {key: ids.get(str(value), value) for key, value in input.items()}
    kind = wanted[0].upper() + wanted[1:]
    await asker.data(f"mutation($input: {kind}Input!) {{ {wanted}(input: $input) {{ __typename }} }}", input=named)
    async with asker.world.services.database.read() as session:
        (told,) = (await session.scalars(TOLD)).all()
    assert told == f"The alert “Alert 0” is resolved: {said}"
