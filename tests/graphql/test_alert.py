"""How many alerts a project may have."""

import pytest

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
