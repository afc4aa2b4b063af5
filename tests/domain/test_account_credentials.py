"""What credentials are made of: keys, tokens, passwords, waits. No server needed."""

import asyncio
import string
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, model_validator

from coreplex.account import keys, lockout, passwords, tokens
from coreplex.account.delivery import compose
from coreplex.account.inputs import CreateApiKey, Register
from coreplex.account.table import Mail
from coreplex.errors.tree import Invalid, RateLimited
from coreplex.platform.clock import now
from coreplex.platform.permissions import Scope
from coreplex.platform.settings import Settings
from coreplex.platform.smtp import server_of
from rest_compat.table import TABLE
from rest_compat.variables import binder_of
from schema.errors import from_validation


@given(st.uuids())
def test_a_key_names_its_id(key_id: UUID) -> None:
    text = keys.new(key_id)
    assert keys.id_of(text) == key_id
    assert text.startswith(keys.prefix(key_id) + ".")


def test_every_typo_of_one_character_is_refused() -> None:
    text = keys.new(UUID(int=12345))
    for place in range(len(text)):
        for other in string.ascii_letters + string.digits + "._- é\0":
            if other != text[place]:
                assert keys.id_of(text[:place] + other + text[place + 1 :]) is None


@given(st.text() | st.from_regex(r"cpx_live\.[0-9A-Za-z]{22}\.[0-9A-Za-z]{49}", fullmatch=True))
def test_anything_may_be_sent_as_a_key(text: str) -> None:
    assert keys.id_of(text) is None
    assert len(tokens.digest(text)) == 32


def test_tokens_have_256_bits_and_a_csrf_token_of_their_own() -> None:
    some = {tokens.new() for _ in range(100)}
    assert len(some) == 100
    assert {len(token) for token in some} == {tokens.LENGTH}
    assert len({tokens.csrf_of(token) for token in some} | some) == 200


@pytest.mark.parametrize("password", ["short", "1234567", "x" * 1025, "password", "PASSWORD1", "12345678", "ada@example.com"])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(Invalid):
        passwords.require_strong(password, "Ada@example.com")


@pytest.mark.parametrize("password", ["correct horse", "пароль-длинный", "x" * 1024, "        spaces"])
def test_long_passwords_of_any_letters_are_fine(password: str) -> None:
    passwords.require_strong(password, "ada@example.com")


async def test_a_hash_fits_its_password_only() -> None:
    stored = await passwords.hashed("correct horse")
    assert stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert await passwords.matches(stored, "correct horse")
    assert not await passwords.matches(stored, "correct hors")
    assert not await passwords.matches(None, "correct horse")
    assert not await passwords.matches(None, "nobody's password")
    assert not await passwords.matches("not a hash", "correct horse")
    assert not passwords.outdated(stored)


async def test_more_hashes_than_can_wait_are_refused() -> None:
    outcomes = await asyncio.gather(*(passwords.matches(None, "x") for _ in range(30)), return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, RateLimited)]
    assert len(refused) == 30 - passwords.THREADS - passwords.QUEUE
    assert await passwords.matches(None, "x") is False, "the queue is free again"


def test_waits_grow_to_a_quarter_of_an_hour() -> None:
    waits = [lockout.wait_after(n).total_seconds() / 60 for n in range(12)]
    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 15, 15, 15]
    assert lockout.wait_after(10**9) == timedelta(minutes=15)
    assert [lockout.wait_after(n, 25).total_seconds() / 60 for n in (24, 25, 26)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("socket", "socket"),
    ],
)
def test_neighbours_share_a_network(address: str, network: str) -> None:
    assert lockout.site_network(address) == network


@pytest.mark.parametrize(
    "email", ["", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "a@example.com\r\nBcc: x@y.z"]
)
def test_bad_addresses_are_refused(email: str) -> None:
    with pytest.raises(ValidationError):
        Register(email=email, name="Ada", password="correct horse")


def test_addresses_of_small_networks_are_fine() -> None:
    for email in ("ada@localhost", "ada@box.local", "ada@site.test", "ada+tag@example.com", "ädä@bücher.example"):
        Register(email=email, name="Ada", password="correct horse")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "x" * 201])
def test_names_are_one_line(name: str) -> None:
    with pytest.raises(ValidationError):
        Register(email="ada@example.com", name=name, password="correct horse")


def test_a_key_ends_once_and_later() -> None:
    good = CreateApiKey(name="k", scopes=[Scope.read], expires_in_days=2)
    assert good.end is not None
    assert timedelta(days=1) < good.end - now() <= timedelta(days=2)
    for wrong in (
        {"expires_at": now()},
        {"expires_at": now() + timedelta(days=9000)},
        {"expires_in_days": 0},
        {"expires_in_days": 1, "expires_at": now() + timedelta(days=1)},
        {"scopes": []},
        {"scopes": ["root"]},
    ):
        with pytest.raises(ValidationError):
            CreateApiKey.model_validate({"name": "k", "scopes": ["read"], **wrong})


def test_a_mail_is_plain_text_with_its_own_headers_only() -> None:
    settings = Settings(mail_from="CorePlexML <no-reply@ml.example>")
    mail = Mail(recipient="ada@example.com", subject="Confirm your e-mail", body="Hello,\nbücher\n")
    message = compose(settings, mail)
    assert message.get_content_type() == "text/plain"
    assert message["Message-ID"].endswith("@ml.example>")
    assert "bücher" in message.get_content()
    folded = compose(settings, Mail(recipient="a@b.c", subject="x\r\nBcc: d@e.f\u2028\0 y ", body=""))
    assert (folded["Subject"], folded["Bcc"]) == ("x Bcc: d@e.f y", None)
    with pytest.raises(ValueError, match=r"header|linefeed|newline"):
        compose(settings, Mail(recipient="a@b.c\r\nBcc: d@e.f", subject="x", body=""))


def test_a_complaint_about_the_whole_has_a_place_and_no_colon_before_it() -> None:
    class Whole(BaseModel):
        @model_validator(mode="after")
        def _refuse(self) -> "Whole":
            raise ValueError("does not fit together")

    with pytest.raises(ValidationError) as caught:
        Whole()
    wrong = from_validation(caught.value)
    assert wrong.message == "does not fit together"
    binder = binder_of(next(row for row in TABLE if row.operation == "CreateApiKey"))
    placed = binder.placed(wrong)
    assert (placed.errors[0].loc, placed.message) == (("body",), "does not fit together")


def test_the_mail_server_is_read_from_its_address() -> None:
    assert server_of("smtp://box") == {"hostname": "box", "port": 587, "username": None, "password": None, "use_tls": False}
    full = server_of("smtps://a%40b:p%3Aw@mail.example:4650")
    assert full == {"hostname": "mail.example", "port": 4650, "username": "a@b", "password": "p:w", "use_tls": True}
    for wrong in ("http://box", "mail.example", "smtp://", "smtp://u:hunter2@box:mail", "smtp://[box"):
        with pytest.raises(ValueError, match="SMTP_URL"):
            server_of(wrong)
        with pytest.raises(ValidationError, match="SMTP_URL must be smtp://host:port"):
            Settings.model_validate({"smtp_url": wrong})
