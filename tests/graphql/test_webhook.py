"""Webhooks through GraphQL: made, shown to whom, tried, sent again, disabled, deleted; what is sent is what libraries verify."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlmodel import col
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.applications import Starlette

from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.webhook import outbox
from coreplex.webhook.table import Webhook, WebhookDelivery
from tests.factories.asking import Asker
from tests.factories.clock import work
from tests.factories.dataset import Person
from tests.factories.receiver import Receiver, receiving

CREATE = """mutation($input: CreateWebhookInput!) { createWebhook(input: $input) { secret webhook {
  id url host eventTypes isEnabled previousSecretEndsAt } } }"""
UPDATE = """mutation($input: UpdateWebhookInput!) { updateWebhook(input: $input) {
  webhook { id isEnabled disabledReason { reason } } } }"""
ROTATE = """mutation($input: RotateWebhookSecretInput!) { rotateWebhookSecret(input: $input) {
  secret webhook { previousSecretEndsAt } } }"""
DELETE = "mutation($input: DeleteWebhookInput!) { deleteWebhook(input: $input) { deletedId } }"
TEST = "mutation($input: TestWebhookInput!) { testWebhook(input: $input) { delivery { id eventId status nextAttemptAt } } }"
REPLAY = """mutation($input: ReplayWebhookDeliveryInput!) { replayWebhookDelivery(input: $input) {
  delivery { status error { message } } } }"""
LOG = """query($id: ID!) { webhook(id: $id) { isEnabled disabledReason { reason message } failingSince deliveries { nodes {
  id eventId type subject data status attemptCount nextAttemptAt error { reason message }
  attempts { at durationMs statusCode error { message } } } } } }"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Webhooks may go to this machine."""
    return settings.model_copy(update={"webhook_allowed_networks": ("127.0.0.1/32",)})


@pytest.fixture
def services(lab: tuple[Starlette, Person]) -> Services:
    found: Services = lab[0].state.services
    return found


async def made(ada: Person, receiver: Receiver, **more: Any) -> tuple[str, str]:
    """A webhook to the receiver: its id and its secret."""
    said = {"projectId": ada.project_id, "url": f"http://127.0.0.1:{receiver.port}/in?token=abc", **more}
    found = (await ada.data(CREATE, input=said))["createWebhook"]
    return found["webhook"]["id"], found["secret"]


async def log(ada: Person, webhook_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await ada.data(LOG, id=webhook_id))["webhook"]
    return found


async def refused(ada: Person, document: str, **variables: Any) -> dict[str, Any]:
    error = (await ada.ask(document, **variables))["errors"][0]
    return {**error["extensions"], "message": error["message"]}


async def happen(services: Services, ada: Person, type: str = "deployment.promoted", also: str = "", **data: Any) -> int:
    """An event, and another in the same transaction; how many webhooks are told of the first."""
    async with services.database.transaction() as session:
        told_of = await outbox.send(session, UUID(ada.project_id), type, data, subject="deployment/1")
        if also:
            await outbox.send(session, UUID(ada.project_id), also, data)
        return told_of


async def test_an_event_arrives_signed_and_in_its_envelope(services: Services, ada: Person) -> None:
    async with receiving() as receiver:
        webhook_id, secret = await made(ada, receiver, eventTypes=["deployment.promoted"])
        assert secret.startswith("whsec_")
        assert await happen(services, ada, name="Zürich “1”") == 1
        assert await happen(services, ada, "canary.stopped") == 0, "it is told of nothing else"
        await work(services)
        (request,) = receiver.requests
        event = Verifier(secret).verify(request.body.decode(), request.headers)
        assert {name: event[name] for name in ("specversion", "type", "subject", "datacontenttype", "data")} == {
            "specversion": "1.0",
            "type": "deployment.promoted",
            "subject": "deployment/1",
            "datacontenttype": "application/json",
            "data": {"name": "Zürich “1”"},
        }
        assert event["source"].endswith(f"/api/projects/{ada.project_id}")
        assert abs(datetime.fromisoformat(event["time"]) - datetime.now(UTC)) < timedelta(minutes=1)
        assert request.line == "POST /in?token=abc HTTP/1.1"
        assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        (delivery,) = (await log(ada, webhook_id))["deliveries"]["nodes"]
        assert (delivery["status"], delivery["attemptCount"], delivery["error"]) == ("DELIVERED", 1, None)
        assert request.headers["webhook-id"] == event["id"] == delivery["eventId"]
        assert delivery["attempts"][0]["statusCode"] == 204


async def test_each_changed_byte_is_refused_and_so_is_another_secret(services: Services, ada: Person) -> None:
    async with receiving() as receiver:
        webhook_id, secret = await made(ada, receiver)
        _, other = await made(ada, receiver)
        await ada.data(TEST, input={"webhookId": webhook_id})
        await work(services)
        (request,) = receiver.requests
        good, body = Verifier(secret), request.body.decode()
        good.verify(body, request.headers)
        for place in range(len(body)):
            with pytest.raises(WebhookVerificationError):
                good.verify(body[:place] + chr(ord(body[place]) ^ 1) + body[place + 1 :], request.headers)
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            with pytest.raises(WebhookVerificationError):
                good.verify(body, {**request.headers, name: "9" + request.headers[name][1:]})
        with pytest.raises(WebhookVerificationError):
            Verifier(other).verify(body, request.headers)


async def test_two_secrets_sign_for_a_day(services: Services, ada: Person) -> None:
    async with receiving() as receiver:
        webhook_id, first = await made(ada, receiver)
        answer = (await ada.data(ROTATE, input={"webhookId": webhook_id}))["rotateWebhookSecret"]
        second, ends = answer["secret"], datetime.fromisoformat(answer["webhook"]["previousSecretEndsAt"])
        assert timedelta(hours=23) < ends - datetime.now(UTC) <= timedelta(hours=24)
        await ada.data(TEST, input={"webhookId": webhook_id})
        await work(services)
        for secret in (first, second):
            Verifier(secret).verify(receiver.requests[0].body.decode(), receiver.requests[0].headers)
        async with services.database.transaction() as session:
            await session.execute(text("UPDATE webhooks SET rotated_at = rotated_at - interval '24 hours'"))
        await ada.data(TEST, input={"webhookId": webhook_id})
        await work(services)
        last = receiver.requests[1]
        Verifier(second).verify(last.body.decode(), last.headers)
        with pytest.raises(WebhookVerificationError):
            Verifier(first).verify(last.body.decode(), last.headers)


async def test_the_secret_is_in_no_row_and_is_never_shown_again(services: Services, ada: Person) -> None:
    async with receiving() as receiver:
        webhook_id, secret = await made(ada, receiver)
    async with services.database.read() as session:
        (row,) = (await session.execute(text("SELECT webhooks::text FROM webhooks"))).scalars()
        events = (await session.execute(text("SELECT string_agg(events::text, ' ') FROM events"))).scalar_one()
    assert secret.removeprefix("whsec_") not in row
    assert "token=abc" not in events, "the timeline is everybody's, and a URL may hold a token"
    assert "secret" not in json.dumps(await log(ada, webhook_id))


async def test_a_failure_is_tried_again_under_the_same_id_until_it_arrives(services: Services, ada: Person) -> None:
    async with receiving(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\ntop secret"[:-1]) as receiver:
        webhook_id, secret = await made(ada, receiver)
        await happen(services, ada)
        await run_due(services, 2)
        await work(services)
        assert len(receiver.requests) == 2, "before its time nothing is tried"
        waiting = await log(ada, webhook_id)
        assert waiting["failingSince"] is not None
        assert waiting["deliveries"]["nodes"][0]["status"] == "WAITING"
        assert "top" not in json.dumps(waiting), "what a receiver wrote is nobody's business"
        receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        await run_due(services)
        first, second, third = receiver.requests
        assert first.body == second.body == third.body
        assert first.headers["webhook-id"] == third.headers["webhook-id"]
        Verifier(secret).verify(third.body.decode(), third.headers)
        found = await log(ada, webhook_id)
        (delivery,) = found["deliveries"]["nodes"]
        assert (delivery["status"], delivery["nextAttemptAt"], found["failingSince"]) == ("DELIVERED", None, None)
        assert [one["statusCode"] for one in delivery["attempts"]] == [503, 503, 200]
        assert delivery["attempts"][0]["error"]["message"] == "It answered 503."


async def run_due(services: Services, times: int = 1) -> None:
    """Run what waits for its time too, so often."""
    for _ in range(times):
        async with services.database.transaction() as session:
            await session.execute(text("UPDATE jobs SET not_before = NULL WHERE status = 'queued'"))
            await session.execute(text("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'waiting'"))
        await work(services)


async def test_when_the_schedule_is_through_it_has_failed_and_can_be_sent_again(services: Services, ada: Person) -> None:
    async with receiving(b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n") as receiver:
        webhook_id, _ = await made(ada, receiver)
        await happen(services, ada)
        await run_due(services, 12)
        (delivery,) = (await log(ada, webhook_id))["deliveries"]["nodes"]
        assert (delivery["status"], delivery["attemptCount"], len(receiver.requests)) == ("FAILED", 11, 11)
        assert delivery["error"]["message"] == "It answered 301; redirects are not followed."
        receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        await ada.data(REPLAY, input={"deliveryId": delivery["id"]})
        await work(services)
        (again,) = (await log(ada, webhook_id))["deliveries"]["nodes"]
        assert (again["status"], again["attemptCount"], again["error"]) == ("DELIVERED", 12, None)
        assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1


async def test_the_schedule_is_the_one_that_is_printed() -> None:
    pauses = [outbox.pause_after(tries) for tries in range(1, 12)]
    assert pauses.pop() is None
    for pause, least in zip(pauses, outbox.SCHEDULE, strict=True):
        assert pause is not None
        assert least <= pause <= 1.2 * least
    assert timedelta(days=3) < sum(outbox.SCHEDULE, timedelta()) < timedelta(days=3.5)
    seconds = "5 60 300 1800 7200 18000 36000 50400 72000 86400"
    assert [f"{one.total_seconds():.0f}" for one in outbox.SCHEDULE] == seconds.split()


async def test_who_answers_410_is_sent_nothing_more(services: Services, ada: Person) -> None:
    async with receiving(b"HTTP/1.1 410 Gone\r\n\r\n") as receiver:
        webhook_id, _ = await made(ada, receiver)
        for _ in range(3):
            await happen(services, ada)
        await run_due(services, 3)
        assert len(receiver.requests) == 1
        found = await log(ada, webhook_id)
        assert (found["isEnabled"], found["disabledReason"]["reason"]) == (False, "webhook_gone")
        assert {one["status"] for one in found["deliveries"]["nodes"]} == {"FAILED"}
        assert await happen(services, ada) == 0
        assert "webhook.disabled" in await told(ada)
        for document, said in (
            (TEST, {"webhookId": webhook_id}),
            (REPLAY, {"deliveryId": found["deliveries"]["nodes"][0]["id"]}),
        ):
            assert (await refused(ada, document, input=said))["code"] == "CONFLICT"
        await run_due(services)
        assert len(receiver.requests) == 1
        receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
        answer = (await ada.data(UPDATE, input={"webhookId": webhook_id, "isEnabled": True}))["updateWebhook"]["webhook"]
        assert (answer["isEnabled"], answer["disabledReason"]) == (True, None)
        await ada.data(TEST, input={"webhookId": webhook_id})
        await work(services)
        assert len(receiver.requests) == 2


async def test_who_fails_for_days_is_sent_nothing_more(services: Services, ada: Person) -> None:
    async with receiving(b"HTTP/1.1 500 No\r\n\r\n") as receiver:
        webhook_id, _ = await made(ada, receiver)
        await happen(services, ada)
        await work(services)
        assert (await log(ada, webhook_id))["isEnabled"]
        async with services.database.transaction() as session:
            await session.execute(text("UPDATE webhooks SET failing_since = now() - interval '121 hours'"))
        await run_due(services)
        found = await log(ada, webhook_id)
        assert (found["isEnabled"], found["disabledReason"]["reason"]) == (False, "webhook_given_up")
        assert "webhook.disabled" in await told(ada)


async def told(ada: Person) -> list[str]:
    document = "query($id: ID!) { project(id: $id) { timeline { nodes { type } } } }"
    return [one["type"] for one in (await ada.data(document, id=ada.project_id))["project"]["timeline"]["nodes"]]


async def test_who_does_not_answer_is_left_alone_and_others_are_not(services: Services, ada: Person) -> None:
    async with receiving() as closed:
        pass
    async with receiving() as receiver:
        dead, _ = await made(ada, closed)
        await made(ada, receiver)
        for _ in range(5):
            await happen(services, ada)
        await work(services)
        assert len(receiver.requests) == 5
        attempts = [one["attemptCount"] for one in (await log(ada, dead))["deliveries"]["nodes"]]
        assert sorted(attempts) == [0, 0, 0, 0, 1], "one try tells that it is away"
        await run_due(services)
        assert sum(one["attemptCount"] for one in (await log(ada, dead))["deliveries"]["nodes"]) == 1
        async with services.database.transaction() as session:
            await session.execute(
                text("UPDATE webhooks SET rests_until = now(), failing_since = failing_since - interval '200 s'")
            )
            await session.execute(text("DELETE FROM jobs"))
            await session.execute(text("UPDATE webhook_deliveries SET next_attempt_at = now() - interval '2 minutes'"))
            await session.execute(text("UPDATE schedules SET next_at = now() WHERE name = 'webhooks_waiting'"))
        await work(services)
        assert sum(one["attemptCount"] for one in (await log(ada, dead))["deliveries"]["nodes"]) == 2, "jobs were lost"
        async with services.database.read() as session:
            of_dead = text("SELECT rests_until - now() FROM webhooks WHERE id = :id")
            rests = await session.scalar(of_dead, {"id": dead})
        assert timedelta(seconds=180) < rests < timedelta(seconds=300), "as long as it has been away"


async def test_of_two_jobs_at_a_webhook_one_sends(services: Services, ada: Person) -> None:
    async with receiving() as receiver:
        webhook_id, _ = await made(ada, receiver)
        await happen(services, ada)
        async with services.database.transaction() as session:
            sender = Job(type=outbox.SEND, status=JobStatus.running, lease_until=datetime.now(UTC) + timedelta(minutes=1))
            session.add(sender)
            await session.flush()
            (await session.scalars(select(Webhook))).one().sender_id = sender.id
        await work(services)
        assert not receiver.requests, "the other is at it"
        async with services.database.transaction() as session:
            await session.execute(text("UPDATE jobs SET lease_until = now() WHERE status = 'running'"))
        await ada.data(TEST, input={"webhookId": webhook_id})
        await work(services)
        assert len(receiver.requests) == 2, "the other is dead"


async def test_what_waits_goes_with_its_webhook(services: Services, ada: Person) -> None:
    async with receiving(b"HTTP/1.1 500 No\r\n\r\n") as receiver:
        webhook_id, _ = await made(ada, receiver)
        await happen(services, ada)
        await work(services)
        await ada.data(DELETE, input={"webhookId": webhook_id})
        await run_due(services)
        assert len(receiver.requests) == 1
    async with services.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(WebhookDelivery)) == 0
        assert await session.scalar(select(func.count()).where(col(Job.status) != JobStatus.succeeded)) == 0
    assert (await refused(ada, LOG, id=webhook_id))["code"] == "NOT_FOUND"


async def test_an_event_that_is_taken_back_was_never_sent(services: Services, ada: Person) -> None:
    async with receiving() as receiver:
        await made(ada, receiver)
        with pytest.raises(LookupError, match="no concept declares the type of event `canary"):
            await happen(services, ada, "canary.stopped", also="canary.stoped")
        await work(services)
        assert receiver.connections == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://receiver.example/", "url_not_http"),
        ("https://user:pass@receiver.example/", "url_user"),
        ("https://receiver.example/ x", "url_characters"),
        ("https://10.1.2.3/", "url_not_public"),
        ("https://[::ffff:127.0.0.1]/", "url_not_public"),
        ("http://localhost:9000/", None),
        ("http://127.0.0.2/", "url_not_public"),
        ("http://0x7f.1/", "url_address"),
        ("http://receiver.example:0/", "url_port"),
        ("http://receiver.example:99999/", "url_port"),
        ("https://receiver.example/#x", "url_fragment"),
        ("https://" + "a" * 2000, "string_too_long"),
    ],
)
async def test_a_url_that_leads_inside_is_refused_at_once(ada: Person, url: str, reason: str | None) -> None:
    said = {"projectId": ada.project_id, "url": url}
    if reason is None:  # the network of this test is open
        await ada.data(CREATE, input=said)
        return
    refusal = await refused(ada, CREATE, input=said)
    assert (refusal["code"], refusal["errors"][0]["loc"][-1], refusal["errors"][0]["reason"]) == ("INVALID", "url", reason)
    document = "query($id: ID!) { project(id: $id) { webhooks { totalCount } } }"
    assert (await ada.data(document, id=ada.project_id))["project"]["webhooks"]["totalCount"] == 0


async def test_an_unknown_event_is_refused_with_the_nearest(ada: Person) -> None:
    said = {"projectId": ada.project_id, "url": "https://receiver.example/", "eventTypes": ["deployment.promotd"]}
    refusal = await refused(ada, CREATE, input=said)
    assert "deployment.promoted" in refusal["message"]
    types = (await ada.data("{ webhookEventTypes { name description } }"))["webhookEventTypes"]
    assert {"canary.stopped", "deployment.promoted", "experiment.succeeded"} <= {one["name"] for one in types}
    assert all(one["description"] for one in types)


async def test_a_promotion_and_its_end_are_told(asker: Asker) -> None:
    ids = asker.world.ids
    act = "mutation($id: ID!) { %s(input: {deploymentId: $id%s}) { deployment { name } } }"
    await asker.data(act % ("promoteDeployment", ", toStage: PRODUCTION"), id=ids["deployment"])
    await asker.data(act % ("deactivateDeployment", ""), id=ids["deployment"])
    document = """query($id: ID!) { webhook(id: $id) { deliveries(filter: {status: WAITING}, sort: {direction: ASC}) {
      nodes { type subject data } } } }"""
    found = (await asker.data(document, id=ids["webhook"]))["webhook"]["deliveries"]["nodes"]
    assert [one["type"] for one in found] == ["deployment.promoted", "deployment.deactivated"]
    assert {one["subject"] for one in found} == {f"deployment/{ids['deployment']}"}
    assert found[0]["data"]["deployment_id"] == ids["deployment"]
    assert "production" in found[0]["data"]["message"]
