"""Housekeeping throws away what has ended, and nothing else."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError
from sqlmodel import col

from coreplex.account.table import Mail
from coreplex.event.table import Event
from coreplex.platform.bound import Bound, Rule
from coreplex.platform.clock import now
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from coreplex.runtime import retention
from coreplex.serving.table import InferenceLog
from tests.factories.bare import bare
from tests.factories.clock import tidy


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    made = composition.build(settings)
    yield made
    await made.stop()


DAY = timedelta(days=1)
EXPERIMENT, GONE = UUID(int=1), UUID(int=2)
AGED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("sessions", {"expires_at": -DAY / 100}, {"expires_at": DAY}),
    ("api_keys", {"revoked_at": -91 * DAY}, {"revoked_at": -89 * DAY}),
    ("api_keys", {"expires_at": -91 * DAY}, {"expires_at": 400 * DAY}),
    ("api_keys", {"revoked_at": -91 * DAY, "expires_at": 400 * DAY}, {"created_at": -4000 * DAY}),
    ("one_time_tokens", {"expires_at": -25 * DAY / 24}, {"expires_at": -23 * DAY / 24}),
    ("failed_logins", {"forget_at": -DAY / 100}, {"forget_at": DAY / 100}),
    (
        "jobs",
        {"finished_at": -25 * DAY / 24, "entity_type": "schedule"},
        {"finished_at": -23 * DAY / 24, "entity_type": "schedule"},
    ),
    ("mails", {"created_at": -31 * DAY}, {"created_at": -29 * DAY}),
    ("mails", {"created_at": -31 * DAY, "sent_at": -31 * DAY}, {"created_at": -29 * DAY, "sent_at": -29 * DAY}),
    ("idempotency_keys", {"created_at": -25 * DAY / 24}, {"created_at": -23 * DAY / 24}),
    ("diagnoses", {"created_at": -31 * DAY}, {"created_at": -29 * DAY}),
    ("workers", {"seen_at": -25 * DAY / 24}, {"seen_at": -23 * DAY / 24}),
    ("jobs", {"finished_at": -8 * DAY}, {"finished_at": -6 * DAY}),
    ("jobs", {"finished_at": -91 * DAY, "project_id": GONE}, {"finished_at": -89 * DAY, "project_id": GONE}),
    ("jobs", {"finished_at": -91 * DAY, "project_id": GONE}, {"created_at": -900 * DAY, "project_id": GONE}),
    ("users", {"created_at": -31 * DAY, "role": "user"}, {"created_at": -29 * DAY, "role": "user"}),
    ("users", {"created_at": -31 * DAY, "role": "user"}, {"created_at": -31 * DAY, "role": "admin"}),
    (
        "users",
        {"created_at": -31 * DAY, "role": "user"},
        {"created_at": -31 * DAY, "role": "user", "email_verified_at": -31 * DAY},
    ),
]
"""What goes, and beside it what stays."""
EVENTS: list[tuple[bool, dict[str, Any]]] = [
    (True, {"kind": "audit", "entity_type": "project", "entity_id": GONE, "created_at": -366 * DAY}),
    (False, {"kind": "audit", "entity_type": "project", "entity_id": GONE, "created_at": -364 * DAY}),
    (True, {"kind": "audit", "entity_type": "experiment", "entity_id": GONE, "created_at": -366 * DAY}),
    (True, {"kind": "log", "entity_type": "job", "entity_id": GONE, "created_at": -366 * DAY}),
    (False, {"kind": "audit", "entity_type": "experiment", "entity_id": EXPERIMENT, "created_at": -900 * DAY}),
    (False, {"kind": "log", "entity_type": "experiment", "entity_id": EXPERIMENT, "created_at": -900 * DAY}),
    (False, {"kind": "state", "entity_type": "experiment", "entity_id": EXPERIMENT, "created_at": -900 * DAY}),
    (True, {"kind": "progress", "entity_type": "experiment", "entity_id": EXPERIMENT, "created_at": -899 * DAY}),
    (False, {"kind": "progress", "entity_type": "experiment", "entity_id": EXPERIMENT, "created_at": -898 * DAY}),
]


def at(values: dict[str, Any]) -> dict[str, Any]:
    return {name: now() + value if isinstance(value, timedelta) else value for name, value in values.items()}


async def count(services: Services, table: str) -> int:
    async with services.database.read() as session:
        return await session.scalar(text(f"SELECT count(*) FROM {table}")) or 0


async def fill(services: Services, table: str, number: int, values: dict[str, Any]) -> None:
    """A row that differs from the others where it must."""
    own = {"sessions": "token_hash", "api_keys": "secret_hash", "one_time_tokens": "token_hash", "failed_logins": "who"}
    if table in own:
        values = {own[table]: bytes([number]), **values}
    elif table in ("idempotency_keys", "diagnoses", "users", "workers"):
        name = {"idempotency_keys": "key", "diagnoses": "fingerprint", "users": "email", "workers": "id"}[table]
        values = {name: str(number), **values}
    await bare(services.database, table, UUID(int=number), **at(values))


@pytest.mark.parametrize(("table", "ended", "living"), AGED, ids=lambda value: value if isinstance(value, str) else "")
async def test_ended_rows_go_and_living_ones_stay(
    services: Services, table: str, ended: dict[str, Any], living: dict[str, Any]
) -> None:
    for number, values in enumerate([ended, living], start=3):
        await fill(services, table, number, values)
    await tidy(services)
    async with services.database.read() as session:
        rows = (await session.execute(text(f"SELECT * FROM {table}"))).mappings().all()
    assert len(rows) == 1
    assert str(rows[0]["who" if table == "failed_logins" else "id"]).strip() in {str(UUID(int=4)), "4", str(bytes([4]))}


async def test_events_go_but_none_that_an_experiment_needs(services: Services) -> None:
    await bare(services.database, "experiments", EXPERIMENT)
    for number, (_, values) in enumerate(EVENTS):
        await bare(services.database, "events", EXPERIMENT, message=str(number), **at(values))
    await tidy(services)
    async with services.database.read() as session:
        left = set((await session.scalars(select(col(Event.message)))).all())
    assert left == {str(number) for number, (goes, _) in enumerate(EVENTS) if not goes}


@pytest.mark.parametrize("asked", [True, False])
async def test_unconfirmed_accounts_go_unless_nobody_asks_or_something_is_theirs(settings: Settings, asked: bool) -> None:
    services = composition.build(settings.model_copy(update={"require_email_verification": asked}))
    try:
        things = {4: "projects", 5: "memberships", 6: "api_keys", 7: "sessions"}
        for number in (3, *things):
            await fill(services, "users", number, {"created_at": -31 * DAY, "role": "user"})
        for number, table in things.items():
            whose = {"projects": "owner_id"}.get(table, "user_id")
            more = {"sessions": {"token_hash": b"1", "expires_at": now() + DAY}, "api_keys": {"secret_hash": b"1"}}.get(table, {})
            await bare(services.database, table, UUID(int=9), **{whose: UUID(int=number)}, **more)
        await tidy(services)
        assert await count(services, "users") == (4 if asked else 5)
        assert [await count(services, table) for table in things.values()] == [1] * 4
    finally:
        await services.stop()


async def test_a_setting_of_none_keeps_for_ever(settings: Settings) -> None:
    names = ("event_days", "job_days", "inference_log_days", "unconfirmed_account_days")
    services = composition.build(settings.model_copy(update=dict.fromkeys(names, 0)))
    try:
        await bare(services.database, "events", GONE, **at(EVENTS[0][1]))
        await fill(services, "jobs", 3, {"finished_at": -4000 * DAY, "project_id": GONE})
        await fill(services, "users", 3, {"created_at": -4000 * DAY, "role": "user"})
        async with services.database.transaction() as session:
            ids = {"project_id": GONE, "deployment_id": GONE, "model_id": GONE}
            session.add(InferenceLog(**ids, request_id="r", created_at=now() - 4000 * DAY))
        await bare(services.database, "deployments", GONE)
        await tidy(services)
        assert [await count(services, name) for name in ("events", "jobs", "users", "inference_logs")] == [1, 1, 1, 1]
    finally:
        await services.stop()


async def test_what_fails_keeps_the_rest_from_nothing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"no_such_table": Bound("", (Rule("true"),)), **retention.bounds()}
    monkeypatch.setattr(retention, "bounds", lambda: broken)
    await fill(services, "mails", 3, {"created_at": -31 * DAY})
    with pytest.raises(ProgrammingError, match="no_such_table"):
        await tidy(services)
    assert await count(services, "mails") == 0


async def test_many_rows_go_in_batches_past_one_that_somebody_holds(services: Services) -> None:
    async with services.database.transaction() as session:
        old = now() - 40 * DAY
        session.add_all(Mail(recipient=str(n), subject="", body="", created_at=old) for n in range(2500))
    async with services.database.transaction() as holder:
        held = select(Mail).where(col(Mail.recipient) == "7").with_for_update()
        await holder.scalar(held)
        await asyncio.wait_for(tidy(services), 60)
        assert await count(services, "mails") == 1
    await tidy(services)
    assert await count(services, "mails") == 0


async def test_forgotten_files_go_and_fresh_ones_stay(services: Services) -> None:
    old, fresh = services.staging.new_path(), services.staging.new_path()
    for path in (old, fresh):
        path.write_bytes(b"x")
    work = services.settings.data_dir / "work" / f"{'0' * 36}-{'1' * 36}"
    work.mkdir(parents=True)
    for path in (old, work):
        os.utime(path, (time.time() - 7200,) * 2)
    await tidy(services)
    assert not old.exists()
    assert not work.exists()
    assert fresh.exists()
