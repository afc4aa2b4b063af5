"""People without an account are asked into a project by a mail: its token is what lets them in, once, and nothing else does."""

import asyncio
import base64
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select, update
from sqlmodel import col, delete

from coreplex.account.table import User
from coreplex.event.table import Event
from coreplex.membership.table import Invitation, Membership, Project, ProjectStatus
from coreplex.platform.clock import now
from coreplex.platform.settings import Registration, Settings
from coreplex.project import invitation as service
from schema.door import own_documents
from schema.door.own_documents import OWN
from tests.factories.account import PASSWORD, browser, mails_to, make_user, serving, sign_in, token_in
from tests.factories.asking import Asker

GUEST = "guest@example.com"
INVITE = """mutation($input: InviteMemberInput!) { inviteMember(input: $input) {
  member { role user { email } } invitation { id email role expiresAt invitedBy { email } } } }"""
RESEND = "mutation($id: ID!) { resendInvitation(input: {invitationId: $id}) { invitation { id expiresAt } } }"
REVOKE = "mutation($id: ID!) { revokeInvitation(input: {invitationId: $id}) { deletedId } }"
ACCEPT = "mutation($token: String!) { acceptInvitation(input: {token: $token}) { member { role user { email } } } }"
OFFER = """query($token: String!) { invitation(token: $token) {
  email role projectName isRegistered expiresAt invitedBy { email role } } }"""
LIST = """query($id: ID!) { project(id: $id) { invitations(first: 10, sort: {field: EMAIL, direction: ASC}) {
  totalCount nodes { email role } } members(first: 10) { totalCount } } }"""
REGISTER = """mutation($input: RegisterInput!) { register(input: $input) {
  user { id email emailVerifiedAt } verificationRequired } }"""


async def invite(asker: Asker, email: str = GUEST, role: str = "EDITOR", actor: str = "admin") -> dict[str, Any]:
    wanted = {"projectId": asker.world.ids["project"], "email": email, "role": role}
    return await asker.ask(INVITE, actor, input=wanted)


async def invited(asker: Asker, email: str = GUEST) -> tuple[str, str]:
    """The id of a new invitation, and the token of its mail."""
    body = await invite(asker, email)
    assert "errors" not in body, body
    return body["data"]["inviteMember"]["invitation"]["id"], token_in((await mails_to(asker.world.database, email))[-1])


async def ask(client: AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    found: dict[str, Any] = (await client.post("/graphql", json=body, headers=headers)).json()
    return found


def code(body: dict[str, Any]) -> str:
    return str(body["errors"][0]["extensions"]["code"]).lower()


async def register(client: AsyncClient, token: str | None, email: str = GUEST) -> dict[str, Any]:
    wanted = {"email": email, "name": "Guest", "password": PASSWORD, "invitationToken": token}
    return await ask(client, REGISTER, input=wanted)


async def role_of(asker: Asker, email: str = GUEST) -> str | None:
    async with asker.world.database.read() as session:
        query = select(col(Membership.role)).join(User, col(User.id) == col(Membership.user_id))
        query = query.where(func.lower(User.email) == email.lower())
        return await session.scalar(query.where(col(Membership.project_id) == UUID(asker.world.ids["project"])))


async def open_ones(asker: Asker) -> list[str]:
    async with asker.world.database.read() as session:
        mine = col(Invitation.project_id) == UUID(asker.world.ids["project"])
        return sorted(await session.scalars(select(col(Invitation.email)).where(mine)))


async def test_from_the_mail_to_the_project(asker: Asker) -> None:
    _, token = await invited(asker)
    (mail,) = await mails_to(asker.world.database, GUEST)
    assert "admin@example.com" in mail.body
    assert "Project of" not in mail.body, "nothing somebody could choose, in a mail to an address nobody proved"
    async with browser(asker.world.app) as guest:
        offer = (await ask(guest, OFFER, token=token))["data"]["invitation"]
        assert (offer["email"], offer["role"], offer["projectName"]) == (GUEST, "EDITOR", "Project of owner@example.com")
        assert (offer["isRegistered"], offer["invitedBy"]) == (False, {"email": "admin@example.com", "role": None})
        made = (await register(guest, token))["data"]["register"]
        assert made["verificationRequired"] is False, "the token has proved the mailbox"
        assert made["user"]["emailVerifiedAt"] is not None
        await sign_in(guest, GUEST)
        seen = await ask(guest, LIST, id=asker.world.ids["project"])
        assert seen["data"]["project"]["members"]["totalCount"] == 5
    assert await role_of(asker) == "editor"
    assert GUEST not in await open_ones(asker)
    async with asker.world.database.read() as session:
        mine = col(Event.project_id) == UUID(asker.world.ids["project"])
        kinds = list(await session.scalars(select(Event.type).where(mine).order_by(col(Event.seq))))
        assert kinds[-2:] == ["invitation.sent", "invitation.accepted"]
    assert len(await mails_to(asker.world.database, GUEST)) == 1


async def test_who_has_an_account_is_a_member_at_once(asker: Asker) -> None:
    """As by `addMember`, and told no more than by it."""
    body = (await invite(asker, "Stranger@example.com", "VIEWER"))["data"]["inviteMember"]
    assert (body["invitation"], body["member"]["user"]["email"]) == (None, "stranger@example.com")
    assert await role_of(asker, "stranger@example.com") == "viewer"
    assert code(await invite(asker, "stranger@example.com")) == "conflict"
    assert await mails_to(asker.world.database, "stranger@example.com") == []


async def test_managers_see_them_and_take_them_back(asker: Asker) -> None:
    project = asker.world.ids["project"]
    id, token = await invited(asker)
    for actor, emails in (("owner", [GUEST, "guest@example.org"]), ("admin", [GUEST, "guest@example.org"]), ("editor", [])):
        found = (await asker.data(LIST, actor, id=project))["project"]["invitations"]
        assert [one["email"] for one in found["nodes"]] == emails
        assert found["totalCount"] == len(emails)
    assert code(await invite(asker, "GUEST@example.com")) == "conflict", "it is there already"
    for actor, wrong in (("editor", "forbidden"), ("viewer", "forbidden"), ("stranger", "not_found")):
        assert code(await invite(asker, "x@example.com", actor=actor)) == wrong
        for query in (RESEND, REVOKE):
            assert code(await asker.ask(query, actor, id=id)) == wrong
    assert await open_ones(asker) == [GUEST, "guest@example.org"]
    assert (await asker.data(REVOKE, "admin", id=id))["revokeInvitation"]["deletedId"] == id
    assert code(await asker.ask(REVOKE, "admin", id=id)) == "not_found"
    async with browser(asker.world.app) as guest:
        assert code(await ask(guest, OFFER, token=token)) == "bad_input"
        assert code(await register(guest, token)) == "bad_input"
    assert await role_of(asker) is None


async def test_sent_again_the_old_link_ends(asker: Asker) -> None:
    id, first = await invited(asker)
    await asker.data(RESEND, "owner", id=id)
    second = token_in((await mails_to(asker.world.database, GUEST))[-1])
    async with browser(asker.world.app) as guest:
        assert code(await register(guest, first)) == "bad_input"
        assert "errors" not in await register(guest, second)


async def test_an_invitation_ends_by_itself(asker: Asker) -> None:
    id, token = await invited(asker)
    async with asker.world.database.transaction() as session:
        past = update(Invitation).where(col(Invitation.id) == UUID(id)).values(expires_at=now() - timedelta(seconds=1))
        await session.execute(past)
    async with browser(asker.world.app) as guest:
        assert code(await register(guest, token)) == "bad_input"
        again = await invited(asker)
        assert again[0] == id, "renewed"
        assert "errors" not in await register(guest, again[1])


async def test_an_address_that_nobody_proved_claims_nothing(asker: Asker) -> None:
    """Somebody registers with the guest's address first: no membership, no invitation, and the guest takes the account over."""
    await invited(asker)
    async with browser(asker.world.app) as thief, browser(asker.world.app) as guest:
        wanted = {"email": GUEST, "name": "Thief", "password": "another-long-secret"}
        assert (await ask(thief, REGISTER, input=wanted))["data"]["register"]["verificationRequired"] is True
        assert await role_of(asker) is None
        assert code(await invite(asker)) == "conflict", "no member, though there is an account"
        mails = [mail for mail in await mails_to(asker.world.database, GUEST) if "invites you" in mail.body]
        made = await register(guest, token_in(mails[-1]))
        assert "errors" not in made, made
        refused = await thief.post("/api/auth/login", json={"email": GUEST, "password": "another-long-secret"})
        assert refused.status_code == 401
        await sign_in(guest, GUEST)
    assert await role_of(asker) == "editor"
    async with asker.world.database.read() as session:
        (account,) = await session.scalars(select(User).where(col(User.email) == GUEST))
        assert account.name == "Guest"


async def test_only_whose_address_it_is_accepts(asker: Asker) -> None:
    _, token = await invited(asker)
    other = await make_user(asker.world.database)
    async with browser(asker.world.app) as client, browser(asker.world.app) as mine:
        headers = await sign_in(client, other.email)
        assert code(await ask(client, ACCEPT, headers, token=token)) == "forbidden"
        assert code(await register(client, token, "somebody@example.com")) == "invalid"
        assert await role_of(asker, other.email) is None
        user = await make_user(asker.world.database, "Guest@Example.com")  # made meanwhile, by whatever way
        headers = await sign_in(mine, user.email)
        assert (await ask(mine, OFFER, token=token))["data"]["invitation"]["isRegistered"] is True
        assert code(await register(mine, token)) == "conflict"
        assert code(await ask(mine, ACCEPT, headers, token="x")) == "bad_input"
        done = (await ask(mine, ACCEPT, headers, token=token))["data"]["acceptInvitation"]["member"]
        assert (done["role"], done["user"]["email"]) == ("EDITOR", user.email)
        assert code(await ask(mine, ACCEPT, headers, token=token)) == "bad_input", "once"
    body = await asker.ask(ACCEPT, "owner", token=token)
    assert code(body) == "forbidden", "a key accepts nothing"


async def test_accepted_twice_at_once_it_is_accepted_once(asker: Asker) -> None:
    _, token = await invited(asker)
    async with browser(asker.world.app) as client, browser(asker.world.app) as another:
        both = await asyncio.gather(register(client, token), register(another, token))
        assert sorted(code(one) for one in both if "errors" in one) == ["bad_input"]
    async with asker.world.database.read() as session:
        count = select(func.count()).select_from(User).where(col(User.email) == GUEST)
        assert await session.scalar(count) == 1
    assert await role_of(asker) == "editor"


async def test_accepted_while_it_is_sent_again_or_revoked(asker: Asker) -> None:
    """One comes first, and the other is told so."""
    for number, query in enumerate((RESEND, REVOKE, RESEND, REVOKE)):
        email = f"guest{number}@example.com"
        id, token = await invited(asker, email)
        async with browser(asker.world.app) as guest:
            made, other = await asyncio.gather(register(guest, token, email), asker.ask(query, "admin", id=id))
        assert ("errors" in made) != ("errors" in other), (made, other)
        assert {code(one) for one in (made, other) if "errors" in one} <= {"bad_input", "not_found"}
        assert (await role_of(asker, email) is not None) == ("errors" in other)


async def test_invited_twice_at_once_it_is_invited_once(asker: Asker) -> None:
    both = await asyncio.gather(invite(asker), invite(asker, actor="owner"))
    assert [code(one) for one in both if "errors" in one] == ["conflict"]
    assert len(await mails_to(asker.world.database, GUEST)) == 1


async def test_where_registration_is_closed_the_invited_register(asker: Asker) -> None:
    _, token = await invited(asker)
    services = asker.world.services
    services.settings = services.settings.model_copy(update={"registration": Registration.invited})
    async with browser(asker.world.app) as guest:
        assert code(await register(guest, None)) == "forbidden"
        assert code(await register(guest, "x")) == "bad_input"
        answer = await guest.post("/api/auth/register", json={"email": GUEST, "name": "G", "password": PASSWORD})
        assert answer.status_code == 403
        async with asker.world.database.read() as session:
            assert await session.scalar(select(User).where(col(User.email) == GUEST)) is None
        assert "errors" not in await register(guest, token)
        await sign_in(guest, GUEST)


async def test_an_archived_project_takes_nobody_in(asker: Asker) -> None:
    id, token = await invited(asker)
    project = UUID(asker.world.ids["project"])
    async with asker.world.database.transaction() as session:
        (await session.get_one(Project, project)).status = ProjectStatus.archived
    async with browser(asker.world.app) as guest:
        for body in (await register(guest, token), await invite(asker, "more@example.com"), await asker.ask(RESEND, id=id)):
            assert code(body) == "conflict"
        async with asker.world.database.read() as session:
            assert await session.scalar(select(User).where(col(User.email) == GUEST)) is None
        assert (await asker.data(REVOKE, "admin", id=id))["revokeInvitation"]["deletedId"] == id


async def test_nobody_writes_to_the_world_through_us(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    id, _ = await invited(asker)
    for _ in range(service.MOST_TO_ADDRESS - 1):
        await asker.data(RESEND, "owner", id=id)
    refused = await asker.ask(RESEND, "admin", id=id)
    assert code(refused) == "rate_limited"
    assert len(await mails_to(asker.world.database, GUEST)) == service.MOST_TO_ADDRESS
    monkeypatch.setattr(service, "MOST_OF_PERSON", 2)
    for number in (1, 2):
        await invited(asker, f"guest{number}@example.com") if number == 1 else None
    body = await invite(asker, "guest9@example.com")
    assert code(body) == "rate_limited"
    assert await mails_to(asker.world.database, "guest9@example.com") == []
    assert "guest9@example.com" not in await open_ones(asker)


async def test_a_project_has_so_many(asker: Asker) -> None:
    services = asker.world.services
    services.settings = services.settings.model_copy(update={"max_items_per_project": 1})
    assert code(await invite(asker)) == "quota_exceeded"
    assert await mails_to(asker.world.database, GUEST) == []


async def test_an_unused_account_is_invited_and_told_apart_from_none_by_nothing(asker: Asker) -> None:
    await make_user(asker.world.database, "sleeping@example.com", verified=False)
    sleeping, nobody = await invite(asker, "sleeping@example.com"), await invite(asker, "nobody@example.com")
    for body in (sleeping, nobody):
        assert body["data"]["inviteMember"]["member"] is None
        assert set(body["data"]["inviteMember"]["invitation"]) == {"id", "email", "role", "expiresAt", "invitedBy"}


@pytest.mark.parametrize("wrong", ["nobody", "", "a@b", "a\nb@example.com", f"{'a' * 330}@example.com"])
async def test_what_is_no_address_gets_no_mail(asker: Asker, wrong: str) -> None:
    assert code(await invite(asker, wrong)) == "invalid"
    assert await open_ones(asker) == ["guest@example.org"]


async def test_with_the_project_they_go(asker: Asker) -> None:
    _, token = await invited(asker)
    async with asker.world.database.transaction() as session:
        await session.execute(delete(Project).where(col(Project.id) == UUID(asker.world.ids["project"])))
    async with browser(asker.world.app) as guest:
        assert code(await ask(guest, OFFER, token=token)) == "bad_input"


async def test_the_link_in_the_mail_leads_to_a_page_that_uses_up_nothing(asker: Asker) -> None:
    _, token = await invited(asker)
    (mail,) = await mails_to(asker.world.database, GUEST)
    (link,) = re.findall(r"^http\S+$", mail.body, re.MULTILINE)
    async with browser(asker.world.app) as guest:
        for _ in range(2):
            page = await guest.get(link)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert token not in page.text, "it is the same for everybody"
        assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?http""", page.text), "nothing is loaded from elsewhere"
        script = page.text.partition("<script>")[2].partition("</script>")[0]
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in page.headers["content-security-policy"]
        assert all(json.dumps(document) in script for document in OWN)


@pytest.mark.parametrize("known", [False, True])
async def test_what_the_page_asks_lets_people_in_whatever_documents_the_operator_lists(
    settings: Settings, asker: Asker, tmp_path: Path, known: bool
) -> None:
    id, token = await invited(asker)
    if known:
        await make_user(asker.world.database, GUEST)
    listed = tmp_path / "documents.json"
    listed.write_text(json.dumps({"a": "{ __typename }"}))
    own = {"graphql_documents": "required", "graphql_document_list": listed}
    strict = Settings.model_validate(settings.model_dump() | own)
    async with serving(strict) as app, browser(app) as guest:
        assert code(await ask(guest, OFFER, token=token)) == "document_not_listed"
        found = (await ask(guest, own_documents.OFFER, token=token))["data"]["invitation"]
        assert (found["email"], found["isRegistered"], found["invitedBy"]["name"]) == (GUEST, known, "Ada")
        if known:
            login = await ask(guest, own_documents.LOGIN, input={"email": GUEST, "password": PASSWORD})
            headers = {"X-CSRF-Token": login["data"]["login"]["csrfToken"]}
            assert "errors" not in await ask(guest, own_documents.ACCEPT, headers, token=token)
        else:
            wanted = {"email": GUEST, "name": "Guest", "password": PASSWORD, "invitationToken": token}
            assert "errors" not in await ask(guest, own_documents.REGISTER, input=wanted)
    assert await role_of(asker) == "editor"
    assert id not in await open_ones(asker)
