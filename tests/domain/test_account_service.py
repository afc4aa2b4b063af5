"""What starts a server off and what happens out of sight: the administrator, the outbox, the mail server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email import message_from_string, policy
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.account import delivery, mail, service
from coreplex.account.passwords import matches
from coreplex.account.table import Mail, User
from coreplex.command import doctor
from coreplex.errors.tree import Conflict, Invalid, Unavailable
from coreplex.job.context import JobContext
from coreplex.job.service import claim
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.permissions import Plan, UserRole
from coreplex.platform.settings import Settings
from coreplex.platform.storage import LocalStorage
from coreplex.runtime import build as composition
from coreplex.supervisor.folder import DataFolder
from coreplex.supervisor.trouble import Trouble
from tests.factories.account import make_user
from tests.factories.clock import tidy


async def test_the_first_administrator(settings: Settings, database: Database) -> None:
    chosen = settings.model_copy(update={"admin_email": "Root@Example.com", "admin_password": SecretStr("password")})
    await asyncio.gather(*(service.ensure_admin(database, chosen) for _ in range(3)))
    async with database.read() as session:
        (admin,) = await session.scalars(select(User))
    assert (admin.role, admin.plan) == (UserRole.admin, Plan.enterprise)
    assert admin.email_verified_at is not None
    assert await matches(admin.password_hash, "password"), "what the administrator of the machine chose is not judged"
    await service.ensure_admin(database, chosen.model_copy(update={"admin_password": SecretStr("another one")}))
    async with database.read() as session:
        (same,) = await session.scalars(select(User))
    assert same.password_hash == admin.password_hash


async def test_an_existing_account_does_not_become_administrator(settings: Settings, database: Database) -> None:
    user = await make_user(database, "root@example.com")
    chosen = settings.model_copy(update={"admin_email": "ROOT@example.com", "admin_password": SecretStr("long enough")})
    await service.ensure_admin(database, chosen)
    async with database.read() as session:
        (same,) = await session.scalars(select(User))
    assert (same.id, same.role) == (user.id, UserRole.user)


async def test_create_admin(database: Database) -> None:
    async with database.transaction() as session:
        made = await service.create_admin(session, "root@box.local", "correct horse", "Root")
    assert made.role is UserRole.admin
    async with database.transaction() as session:
        with pytest.raises(Conflict, match="has an account already"):
            await service.create_admin(session, "ROOT@box.local", "correct horse")
        for email, password in (("nonsense", "correct horse"), ("a@b.example", "short"), ("a@b.example", "12345678")):
            with pytest.raises(Invalid):
                await service.create_admin(session, email, password)


class PostOffice:
    """A small SMTP server that keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refuses = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 box ready\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.split()[0].upper()
            if word == "DATA":
                writer.write(b"354 go on\r\n")
                self.taken.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            elif word == "RCPT" and self.refuses:
                writer.write(b"451 come back later\r\n")
                continue
            writer.write(b"221 bye\r\n" if word == "QUIT" else b"250 ok\r\n")
            if word == "QUIT":
                break
        writer.close()


@asynccontextmanager
async def post_office() -> AsyncIterator[tuple[PostOffice, SecretStr]]:
    office = PostOffice()
    server = await asyncio.start_server(office.serve, "127.0.0.1", 0)
    async with server:
        yield office, SecretStr(f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def deliver(database: Database, settings: Settings) -> None:
    """What a worker does with the one waiting job."""
    timing = Timing()
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET not_before = NULL"))
        job_id = await session.scalar(select(col(Job.id)))
        assert job_id is not None
        job = await claim(session, job_id, "test", timing)
    assert job is not None
    assert job.token is not None
    context = JobContext(job, job.token, database, settings, LocalStorage(settings.storage_dir), timing)
    await delivery.run(job, context)


async def the_mail(database: Database) -> Mail:
    async with database.read() as session:
        (row,) = await session.scalars(select(Mail))
    return row


async def test_a_mail_is_sent_once_and_its_text_is_not_kept(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with post_office() as (office, url):
        settings = settings.model_copy(update={"smtp_url": url})
        async with database.transaction() as session:
            await mail.send_reset(session, settings, user, "secret-token")
        await deliver(database, settings)
        (taken,) = office.taken
        message = message_from_string(taken, policy=policy.default)
        assert message["To"] == user.email
        assert message["From"] == settings.mail_from
        row = await the_mail(database)
        assert (row.sent_at is not None, row.attempts, row.last_error) == (True, 1, None)
        assert "secret-token" not in row.body
        async with database.transaction() as session:
            await session.execute(text("UPDATE jobs SET status = 'queued'"))
        await deliver(database, settings)
        assert len(office.taken) == 1


async def test_a_refusing_mail_server_is_asked_again(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with post_office() as (office, url):
        settings = settings.model_copy(update={"smtp_url": url})
        office.refuses = True
        async with database.transaction() as session:
            await mail.send_taken(session, settings, user)
        with pytest.raises(Unavailable, match="did not take"):
            await deliver(database, settings)
        row = await the_mail(database)
        assert (row.sent_at, row.attempts) == (None, 1)
        assert "come back later" in (row.last_error or "")
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET status = 'queued'"))
    with pytest.raises(Unavailable, match="did not take"):
        await deliver(database, settings)  # now nobody listens at all


async def test_a_mail_is_tried_for_about_a_day(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    settings = settings.model_copy(update={"smtp_url": SecretStr("smtp://127.0.0.1:9")})
    async with database.transaction() as session:
        await mail.send_taken(session, settings, user)
        most = await session.scalar(select(col(Job.max_attempts)))
    pauses = [Timing().pause(attempts).total_seconds() for attempts in range(1, most or 0)]
    assert pauses == sorted(pauses)
    assert 23 * 3600 < sum(pauses) < 25 * 3600


async def test_waiting_mails_get_a_job_once_there_is_a_mail_server(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with database.transaction() as session:
        young = await mail.send_taken(session, settings, user)
        old, sent = await mail.send_taken(session, settings, user), await mail.send_taken(session, settings, user)
        old.created_at, sent.sent_at = now() - timedelta(days=3), now()
    without = composition.build(settings)
    await tidy(without)
    async with database.read() as session:
        assert await session.scalar(select(Job)) is None
    within = composition.build(settings.model_copy(update={"smtp_url": SecretStr("smtp://127.0.0.1:9")}))
    for _ in range(2):
        await tidy(within)
    async with database.read() as session:
        jobs = (await session.scalars(select(Job))).all()
    assert [(job.entity_type, job.entity_id) for job in jobs] == [("mail", young.id)]
    for services in (without, within):
        await services.stop()


async def test_the_doctor_greets_the_mail_server(tmp_path: Path) -> None:
    def said(**chosen: object) -> str:
        settings = Settings.model_validate({"data_dir": tmp_path, **chosen})
        return doctor.CHECKS["mail"](doctor.World(settings, DataFolder(tmp_path), None))

    assert "outbox" in said()
    async with post_office() as (_, url):
        assert "answers" in await asyncio.to_thread(said, smtp_url=url)
    with pytest.raises(Trouble, match="Check SMTP_URL"):
        await asyncio.to_thread(said, smtp_url=url)  # now nobody listens at all


async def test_without_smtp_mails_wait_and_no_job_is_made(settings: Settings, database: Database) -> None:
    user = await make_user(database)
    async with database.transaction() as session:
        await mail.send_taken(session, settings, user)
    assert "it has one already" in (await the_mail(database)).body
    async with database.read() as session:
        assert await session.scalar(select(Job)) is None
