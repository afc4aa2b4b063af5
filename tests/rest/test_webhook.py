"""Webhooks by REST: who sees the address, what is refused without a change, the list of deliveries, what leaves no trace."""

import asyncio
from typing import Any

from coreplex.platform.server_key import FILE
from tests.factories.asking import Asker

URL = "https://hooks.example.com/services/T0/token"


async def rest(asker: Asker, actor: str, method: str, path: str, **body: Any) -> tuple[int, Any]:
    asker.client.cookies.clear()
    answer = await asker.client.request(method, f"/api/mlops{path}", json=body or None, headers=asker.world.headers(actor))
    return answer.status_code, answer.json()


async def made(asker: Asker, actor: str = "editor", **more: Any) -> dict[str, Any]:
    path = f"/projects/{asker.world.ids['project']}/webhooks"
    status, body = await rest(asker, actor, "POST", path, **{"url": URL, **more})
    assert status == 201, body
    return dict(body)


async def test_a_viewer_sees_where_it_leads_and_not_by_what_token(asker: Asker) -> None:
    found = await made(asker, description="Tells the team", event_types=["canary.stopped", "canary.stopped"])
    assert (found["id"], found["webhook"]["event_types"]) == (found["webhook"]["id"], ["canary.stopped"])
    for actor, url in (("viewer", None), ("editor", URL), ("admin", URL), ("owner", URL)):
        status, body = await rest(asker, actor, "GET", f"/webhooks/{found['id']}")
        assert (status, body["webhook"]["url"], body["webhook"]["host"]) == (200, url, "hooks.example.com")
        _, listed = await rest(asker, actor, "GET", f"/projects/{asker.world.ids['project']}/webhooks?search=team")
        assert [one["url"] for one in listed["items"]] == [url]
        assert "secret" not in body["webhook"]
        _, guessed = await rest(asker, actor, "GET", f"/projects/{asker.world.ids['project']}/webhooks?search=token")
        assert guessed["total"] == 0, "a search would tell it letter by letter"


async def test_who_may_not_change_a_webhook_changes_nothing(asker: Asker) -> None:
    one = f"/webhooks/{(await made(asker))['id']}"
    before = await rest(asker, "owner", "GET", one)
    acts = (("PUT", one), ("DELETE", one), ("POST", f"{one}/rotate-secret"), ("POST", f"{one}/test"))
    for method, path in acts:
        said = {"url": "https://evil.example/"} if method == "PUT" else {}
        assert (await rest(asker, "viewer", method, path, **said))[0] == 403
        assert (await rest(asker, "stranger", method, path, **said))[0] == 404
    assert await rest(asker, "owner", "GET", one) == before
    assert (await rest(asker, "owner", "GET", f"{one}/deliveries"))[1]["total"] == 0


async def test_what_is_wrong_with_a_change_changes_nothing(asker: Asker) -> None:
    one = f"/webhooks/{(await made(asker))['id']}"
    before = await rest(asker, "owner", "GET", one)
    for wrong in (
        {"url": "http://169.254.169.254/"},
        {"url": "http://localhost/"},
        {"event_types": ["canary.stoped"]},
        {"url": ""},
    ):
        status, body = await rest(asker, "owner", "PUT", one, **wrong)
        assert (status, body["detail"][0]["loc"][0]) == (422, "body"), body
    assert await rest(asker, "owner", "GET", one) == before
    status, body = await rest(asker, "owner", "PUT", one, url="https://other.example:8443/", is_enabled=False)
    assert (status, body["webhook"]["host"], body["webhook"]["is_enabled"]) == (200, "other.example:8443", False)
    assert (await rest(asker, "owner", "POST", f"{one}/test"))[0] == 409


async def test_a_project_has_so_many_webhooks(asker: Asker) -> None:
    for _ in range(49):  # one is of the world
        await made(asker)
    status, body = await rest(asker, "owner", "POST", f"/projects/{asker.world.ids['project']}/webhooks", url=URL)
    assert (status, "50 webhooks" in body["detail"]) == (409, True)


async def test_deliveries_are_listed_by_what_became_of_them(asker: Asker) -> None:
    one = f"/webhooks/{(await made(asker))['id']}"
    status, body = await rest(asker, "editor", "POST", f"{one}/test")
    assert (status, body["status"], body["delivery"]["type"]) == (202, "waiting", "ping")
    for asked, total in (("status=waiting", 1), ("status=failed", 0), ("type=ping", 1), ("type=canary.stopped", 0)):
        assert (await rest(asker, "viewer", "GET", f"{one}/deliveries?{asked}"))[1]["total"] == total
    delivery = f"/webhook-deliveries/{body['id']}"
    assert (await rest(asker, "viewer", "GET", delivery))[1]["delivery"]["attempts"] == []
    assert (await rest(asker, "stranger", "GET", delivery))[0] == 404
    assert (await rest(asker, "editor", "POST", f"{delivery}/replay"))[0] == 202


async def test_types_are_listed(asker: Asker) -> None:
    status, body = await rest(asker, "viewer", "GET", "/webhook-event-types?search=canary")
    assert (status, [one["name"] for one in body["items"]]) == (200, ["canary.completed", "canary.stopped"])


async def test_the_key_of_the_server_is_made_once_for_its_account_alone(asker: Asker) -> None:
    first, second = [await made(asker), await made(asker)]
    assert first["secret"] != second["secret"]
    path = asker.world.services.settings.data_dir / FILE
    found = await asyncio.to_thread(path.stat)
    assert (found.st_mode & 0o777, found.st_size) == (0o600, 32)
    assert [one.name for one in path.parent.glob(f"{FILE}*")] == [FILE]
