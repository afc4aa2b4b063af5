"""When an alert fires, when it is over, and who is told how often: by looks at made-up moments, on the real database."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.account.table import User
from coreplex.alert import jobs, judging, telling
from coreplex.alert.judging import judge
from coreplex.alert.looking import NOT_SERVING, Seen
from coreplex.alert.table import Alert, AlertEvent, AlertKind, AlertState
from coreplex.errors.tree import Message
from coreplex.job.table import Job
from coreplex.membership.table import Membership
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.permissions import Role
from coreplex.runtime import monitor
from coreplex.webhook.table import Webhook, WebhookDelivery
from tests.factories.account import mails_to
from tests.factories.outside import alert_of
from tests.factories.served import Served, serve

WRONG, FINE, UNSAID = Seen(0.9, True, Message("broke", "It broke.")), Seen(0.0, wrong=False), Seen(None, None)


class Clock:
    """What `now` says."""

    def __init__(self) -> None:
        self.moment = now()

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    made = Clock()
    for module in (judging, telling):
        monkeypatch.setattr(module, "now", made)
    return made


class Looked:
    """An alert with a webhook, and the looks at it."""

    def __init__(self, database: Database, served: Served, clock: Clock) -> None:
        self.database, self.served, self.clock = database, served, clock
        self.alert_id = UUID(int=0)

    async def make(self, **rule: object) -> None:
        async with self.database.transaction() as session:
            project = (await self.served.run("SELECT project_id FROM deployments"))[0][0]
            alert = alert_of(project, self.served.deployment_id, 0)
            alert.sqlmodel_update({"state": AlertState.ok, "window_secs": 60, "reason": None, **rule})
            session.add_all([alert, Webhook(project_id=project, url="https://receiver.invalid/")])
            self.alert_id = alert.id

    async def see(self, *seen: Seen, every: timedelta = timedelta(seconds=20)) -> AlertState:
        for one in seen:
            self.clock.moment += every
            async with self.database.transaction() as session:
                alert = await session.get_one(Alert, self.alert_id)
                await judge(session, alert, one, self.clock.moment)
                session.add(alert)
        return alert.state

    async def change(self, change: Callable[[Alert], None]) -> None:
        async with self.database.transaction() as session:
            alert = await session.get_one(Alert, self.alert_id)
            change(alert)
            session.add(alert)

    async def told(self) -> list[str]:
        async with self.database.read() as session:
            return list(await session.scalars(select(col(WebhookDelivery.type)).order_by(col(WebhookDelivery.id))))

    async def messages(self) -> list[str]:
        async with self.database.read() as session:
            data = await session.scalars(select(col(WebhookDelivery.data)).order_by(col(WebhookDelivery.id)))
            return [one["message"] for one in data]

    async def became(self) -> list[str]:
        async with self.database.read() as session:
            return list(await session.scalars(select(col(AlertEvent.state)).order_by(col(AlertEvent.id))))


@pytest.fixture
async def looked(database: Database, clock: Clock) -> Looked:
    return Looked(database, await serve(database), clock)


async def test_it_fires_by_k_of_n_and_is_over_when_a_window_was_fine(looked: Looked) -> None:
    await looked.make()
    assert await looked.see(WRONG, FINE, FINE, UNSAID, WRONG, FINE) is AlertState.ok
    assert await looked.see(WRONG) is AlertState.firing
    assert await looked.see(FINE, FINE, WRONG, FINE, FINE, FINE) is AlertState.firing, "not fine for a whole window yet"
    assert await looked.see(FINE) is AlertState.resolved
    assert await looked.see(*[FINE] * 5, WRONG) is AlertState.resolved
    assert await looked.told() == ["alert.firing", "alert.resolved"]
    assert await looked.became() == ["firing", "resolved"]


async def test_of_one_that_flaps_people_hear_once_an_hour(looked: Looked) -> None:
    await looked.make(breaches_needed=1, looks_counted=1)
    hours = 6
    for _ in range(hours * 12):  # five minutes each: two wrong, three fine
        await looked.see(WRONG, WRONG, FINE, FINE, FINE, every=timedelta(minutes=1))
    assert len(await looked.became()) == hours * 24
    assert 3 <= len(await looked.told()) <= hours + 1
    await looked.see(*[FINE] * 200, every=timedelta(minutes=1))
    assert (await looked.told())[-1] == "alert.resolved"


async def test_a_muted_one_tells_later_what_still_holds(looked: Looked) -> None:
    await looked.make()

    def mute(alert: Alert) -> None:
        alert.muted_until = looked.clock.moment + timedelta(minutes=30)

    await looked.change(mute)
    assert await looked.see(WRONG, WRONG, WRONG) is AlertState.firing
    assert await looked.told() == []
    await looked.see(WRONG, every=timedelta(minutes=31))
    await looked.see(WRONG, WRONG)
    assert await looked.told() == ["alert.firing"]


async def test_what_was_over_before_anybody_was_told_is_not_told(looked: Looked) -> None:
    await looked.make()

    def mute(alert: Alert) -> None:
        alert.muted_until = looked.clock.moment + timedelta(minutes=10)

    await looked.change(mute)
    assert await looked.see(WRONG, WRONG, *[FINE] * 5) is AlertState.resolved
    await looked.see(FINE, FINE, every=timedelta(minutes=31))
    assert await looked.told() == []
    assert await looked.see(WRONG, WRONG) is AlertState.firing
    assert await looked.told() == ["alert.firing"]


async def test_one_that_begins_anew_says_so_though_it_is_muted_and_tells_again(looked: Looked) -> None:
    await looked.make(muted_until=None)
    await looked.see(WRONG, WRONG)
    await looked.see(*[FINE] * 5)
    await looked.see(WRONG, WRONG, every=timedelta(hours=2))

    def mute(alert: Alert) -> None:
        alert.muted_until = looked.clock.moment + timedelta(seconds=30)

    await looked.change(mute)
    for _ in range(2):  # the second has nothing to add
        async with looked.database.transaction() as session:
            alert = await session.get_one(Alert, looked.alert_id)
            await telling.conclude(session, alert, Message("anew", "Anew."), None, is_kept=True)
    told = ["alert.firing", "alert.resolved"] * 2
    assert await looked.told() == told
    assert (await looked.messages())[-1].endswith("is resolved: Anew.")
    assert await looked.see(WRONG, WRONG) is AlertState.firing
    assert await looked.told() == [*told, "alert.firing"]


async def test_acknowledging_holds_back_no_end(looked: Looked) -> None:
    await looked.make()
    await looked.see(WRONG, WRONG)
    async with looked.database.transaction() as session:
        alert = await session.get_one(Alert, looked.alert_id)
        await telling.change(session, alert, AlertState.acknowledged, alert.reason)
    assert await looked.see(*[FINE] * 5) is AlertState.resolved
    assert await looked.told() == ["alert.firing", "alert.acknowledged", "alert.resolved"]
    assert "is acknowledged: It broke." in (await looked.messages())[1]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (FINE, "is resolved: Nothing wrong was seen since 20"),
        (UNSAID, "UTC, but the last look had too few requests or rows to tell."),
        (NOT_SERVING, "is resolved: Its deployment does not serve any more."),
    ],
)
async def test_the_end_says_why(looked: Looked, last: Seen, said: str) -> None:
    await looked.make()
    await looked.see(WRONG, WRONG)
    assert await looked.see(*[last] * 5) is AlertState.resolved
    assert said in (await looked.messages())[-1]


async def test_missing_requests_are_over_with_the_first_that_comes(looked: Looked) -> None:
    await looked.make(kind=AlertKind.no_traffic, window_secs=3600)
    nobody, somebody = Seen(0.0, True, Message("nobody", "Nobody.")), Seen(2.0, False, Message("again", "It is asked again."))
    assert await looked.see(nobody, nobody, nobody) is AlertState.firing
    assert await looked.see(Seen(0.0, wrong=False)) is AlertState.firing, "deployed anew, and not asked yet"
    assert await looked.see(somebody, somebody, somebody) is AlertState.resolved
    assert await looked.became() == ["firing", "resolved"]
    assert (await looked.messages())[-1].endswith(" is resolved: It is asked again.")


async def test_what_says_nothing_never_fires(looked: Looked) -> None:
    await looked.make(kind=AlertKind.latency)
    assert await looked.see(*[UNSAID] * 20) is AlertState.ok
    assert await looked.became() == await looked.told() == []


async def test_the_mail_says_where(looked: Looked) -> None:
    await looked.make()
    await looked.see(WRONG, WRONG)
    async with looked.database.transaction() as session:
        event = (await session.scalars(select(AlertEvent))).one()
        owner = (await session.scalars(select(User))).one()
        session.add(Membership(project_id=event.project_id, user_id=owner.id, role=Role.owner))
        settings = SimpleNamespace(base_url="https://ml.example.com", smtp_url=None)
        context: Any = SimpleNamespace(settings=settings, save=lambda work: work(session))
        assert await jobs.mail(Job(type=telling.MAIL, entity_id=event.id), context) == {"mails": 1}
    (mail,) = await mails_to(looked.database, owner.email)
    assert mail.subject.endswith(": firing (d, Logged)")
    assert "on the deployment “d” of the project “Logged” is firing.\n\nIt broke." in mail.body


async def test_those_that_waited_longest_are_looked_at_first_and_the_rest_in_the_next_round(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = await serve(database)
    project = (await served.run("SELECT project_id FROM deployments"))[0][0]
    async with database.transaction() as session:
        for number in range(4):
            alert = alert_of(project, served.deployment_id, number)
            alert.next_look_at = now() - timedelta(minutes=number)
            session.add(alert)
    looked: list[UUID] = []

    async def look(_session: object, alert_id: UUID) -> None:
        looked.append(alert_id)
        await asyncio.sleep(0.05)

    monkeypatch.setattr(judging, "_look", look)
    monkeypatch.setattr(judging, "BUDGET_SECS", 0.07)
    await judging.tend(database)
    oldest = await served.run("SELECT id FROM alerts ORDER BY next_look_at")
    assert looked == [row[0] for row in oldest[:2]]


async def test_the_lock_is_kept_for_as_long_as_a_look_takes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a transaction that idles is ended."""
    idle = "set_config('idle_in_transaction_session_timeout', '500', true) IS NOT NULL"
    lock = "pg_try_advisory_xact_lock(hashtextextended('monitor', 0))"
    monkeypatch.setattr(monitor, "_TRY_LOCK", text(f"SELECT {idle} AND {lock}"))
    monkeypatch.setattr(monitor, "AWAKE_SECS", 0.1)
    others: list[bool] = []

    async def slow(_database: Database) -> None:
        await asyncio.sleep(1.2)
        others.append(await monitor.look(database))

    monkeypatch.setattr(monitor, "_TENDED", ((text("SELECT true"), slow),))
    assert await monitor.look(database)
    assert others == [False], "nobody else looks meanwhile"
